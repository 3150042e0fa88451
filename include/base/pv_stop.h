/* Early stop: SIGTERM, SIGINT and SIGUSR1 only set a flag that loops poll. */
#ifndef PV_STOP_H
#define PV_STOP_H

#include <stdbool.h>

/* Installs the handlers.  Local. */
void pv_stop_install(void);

/* Whether a signal asked this process to save its state and end.  Local. */
bool pv_stop_requested(void);

#endif
