/* Early stop: the signals by which people, batch systems and limits end a program (SIGTERM, SIGINT, SIGHUP,
 * SIGUSR1, SIGUSR2, SIGXCPU) and a time limit only set a flag that loops poll.  Where none does within
 * PV_STOP_PATIENCE_S, in a library's call or on a slow disk, the process ends there and then with the exit
 * status of PV_STOPPED: what it leaves is what a kill would leave, which the next start takes up. */
#ifndef PV_STOP_H
#define PV_STOP_H

#include "base/pv_status.h"

#include <stdbool.h>

enum { PV_STOP_PATIENCE_S = 8 };

/* Installs the handlers; a signal that is ignored (SIGHUP under nohup) stays so.  Local. */
void pv_stop_install(void);

/* Asks for a stop when `hours` have passed from now on.  Local. */
void pv_stop_after(double hours);

/* Whether a signal or the time limit asked this process to save its state and end: who asks and is told so
 * sees to the end.  Local. */
bool pv_stop_requested(void);

/* From here on, or no more: what has been done so far is worth more than a quick end, and all of it polls.
 * Local. */
void pv_stop_defer(bool deferred);

/* PV_STOPPED, with what asked for it in the message.  Local. */
pv_status pv_stop_fail(void);

/* PV_OK, or that where a stop was asked for.  Local. */
pv_status pv_stop_check(void);

#endif
