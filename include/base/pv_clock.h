/* Time that only goes forward, and the median of repeated timings. */
#ifndef PV_CLOCK_H
#define PV_CLOCK_H

/* Monotonic seconds from some instant on.  Local. */
double pv_seconds(void);

/* Seconds that this thread has run.  Local. */
double pv_thread_seconds(void);

/* The median of n values, which it sorts; NaN if one of them is.  n > 0.  Local. */
double pv_median(int n, double *values);

#endif
