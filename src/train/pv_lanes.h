/* Several passes of a model side by side on one thread, in step: each runs until it has to know what all others have
 * found, then the next one's turn comes. */
#ifndef PV_LANES_H
#define PV_LANES_H

#include "base/pv_status.h"

typedef struct pv_lanes pv_lanes;

/* A power of two of lanes, each with a stack of its own.
 * Owner: pv_lanes_free (NULL is a no-op).  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_lanes_new(int count, pv_lanes **out);
void pv_lanes_free(pv_lanes *lanes);

/* Runs body(context, lane) of every lane to its end.  Whenever all lanes are in pv_lanes_meet, calls meet(context), then
 * lets them go on; every body has to call it as often as the others.  A single lane runs on the caller's stack. */
void pv_lanes_run(pv_lanes *lanes, void (*body)(void *context, int lane), void (*meet)(void *context),
                  void *context);

/* Waits for the other lanes.  From a body only. */
void pv_lanes_meet(pv_lanes *lanes);

#endif
