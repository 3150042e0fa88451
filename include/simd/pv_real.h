/* The numbers that dense kernels compute with: float, but double where PV_REAL_IS_DOUBLE is defined: in the
 * build of room nn that checks gradients and equivariance, and by a kernel file that needs the digits. */
#ifndef PV_REAL_H
#define PV_REAL_H

#ifdef PV_REAL_IS_DOUBLE
typedef double pv_real;
#else
typedef float pv_real;
#endif

#endif
