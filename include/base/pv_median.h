/* The median of repeated timings. */
#ifndef PV_MEDIAN_H
#define PV_MEDIAN_H

/* The median of n values, which it sorts; NaN if one of them is.  n > 0.  Local. */
double pv_median(int n, double *values);

#endif
