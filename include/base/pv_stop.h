/* Early stop: the signals by which people, batch systems and limits end a program (SIGTERM, SIGINT, SIGHUP,
 * SIGUSR1, SIGUSR2, SIGXCPU) and a time limit only set a flag that loops poll. */
#ifndef PV_STOP_H
#define PV_STOP_H

#include "base/pv_status.h"

#include <stdbool.h>

/* Installs the handlers; a signal that is ignored (SIGHUP under nohup) stays so.  Local. */
void pv_stop_install(void);

/* Asks for a stop when `hours` have passed from now on.  Local. */
void pv_stop_after(double hours);

/* Whether a signal or the time limit asked this process to save its state and end.  Local. */
bool pv_stop_requested(void);

/* PV_STOPPED, with what asked for it in the message.  Local. */
pv_status pv_stop_fail(void);

#endif
