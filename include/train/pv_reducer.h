/* Sums over all ranks. */
#ifndef PV_REDUCER_H
#define PV_REDUCER_H

#include "base/pv_comm.h"
#include "nn/pv_real.h"

typedef struct pv_reducer pv_reducer;

/* Owner: pv_reducer_close; comm is borrowed.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_reducer_open(const pv_comm *comm, pv_reducer **out);
void pv_reducer_close(pv_reducer *reducer);

/* Adds `values` up element by element over all ranks.  Collective. */
void pv_reducer_sum(pv_reducer *reducer, double *values, int count);

/* The same of gradients.  Collective. */
void pv_reducer_gradients(pv_reducer *reducer, pv_real *values, int64_t count);

/* Seconds of this rank in the sums so far. */
double pv_reducer_seconds(const pv_reducer *reducer);

#endif
