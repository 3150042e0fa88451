/* Memory that ranks share: one copy a node, and windows into every rank's own. */
#ifndef PV_SHARED_H
#define PV_SHARED_H

#include "parallel/pv_comm.h"

/* One copy a node, zeroed, in a file without a name. */
typedef struct pv_shared {
    void *data; /* the same bytes on every rank of the node */
    int64_t bytes;
} pv_shared;

/* Bytes that this node has free for it.  Local. */
int64_t pv_shared_room(void);

/* Takes as many bytes as rank 0 of the node asks for, in memory or, where that has no room, in a file on a
 * disk.  Call pv_shared_sync between one rank's writes and another's reads.
 * Owner: pv_shared_close.  Collective over comm->world.  Errors: PV_ERR_NOMEM (no room behind it: where, how
 * much is free, and what helps), agreed: no rank waits for one that fails. */
pv_status pv_shared_open(const pv_comm *comm, int64_t bytes, pv_shared *shared);
/* Barrier over the node that also makes all writes visible.  Collective over the node. */
void pv_shared_sync(const pv_comm *comm, pv_shared *shared);
/* Local; safe on a zeroed pv_shared. */
void pv_shared_close(pv_shared *shared);

/* Lets windows reach over hosts that Ethernet joins: Debian tells Open MPI to do without the one component
 * that can, pt2pt, because it is not made for several threads; a rank has one.  OMPI_MCA_osc in the
 * environment, and other MPIs, are left alone.  Call it before MPI_Init.  Local. */
void pv_window_allow_hosts(void);

/* `bytes` of each rank's own memory, any number, which one-sided calls reach in units of `unit` bytes until
 * the window is closed: shared within a node or, where that has no room, by messages.  Sets *data (a pointer
 * to a pointer) and *window, MPI_WIN_NULL on failure.
 * Owner: pv_window_close.  Collective over comm->world.  Errors: PV_ERR_NOMEM (also where MPI has no
 * one-sided calls over this network: the remedy is named), agreed. */
pv_status pv_window_open(const pv_comm *comm, int64_t bytes, int unit, void *data, MPI_Win *window);
/* Makes what the ranks have written to their own memory visible to all.  Collective over comm->world. */
void pv_window_sync(const pv_comm *comm, MPI_Win window);
/* Collective over comm->world; MPI_WIN_NULL and a zeroed one are no-ops. */
void pv_window_close(MPI_Win *window);

#endif
