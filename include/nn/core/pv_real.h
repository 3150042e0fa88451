/* The arithmetic of the nn room: float; double in the build that checks gradients and equivariance. */
#ifndef PV_REAL_H
#define PV_REAL_H

#ifdef PV_NN_DOUBLE
typedef double pv_real;
#else
typedef float pv_real;
#endif

#endif
