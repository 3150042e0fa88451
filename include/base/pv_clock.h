/* Time that only goes forward. */
#ifndef PV_CLOCK_H
#define PV_CLOCK_H

/* Monotonic seconds from some instant on.  Local. */
double pv_seconds(void);

/* Seconds that this thread has run.  Local. */
double pv_thread_seconds(void);

#endif
