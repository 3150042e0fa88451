/* The MPI context of a run: all ranks, and the ranks of this node, which share memory. */
#ifndef PV_COMM_H
#define PV_COMM_H

#include "base/pv_status.h"

#include <mpi.h>
#include <stdint.h>

typedef struct pv_comm {
    MPI_Comm world;   /* a duplicate of the communicator given to pv_comm_open */
    MPI_Comm node;    /* the ranks of this node */
    MPI_Comm leaders; /* rank 0 of every node; MPI_COMM_NULL on the others */
    int rank, size;   /* in world */
    int node_rank, node_size;
    int node_index, nodes; /* nodes are numbered by their lowest rank */
} pv_comm;

/* Opens the context over a duplicate of `parent`, on which MPI errors are returned, not fatal.
 * `node_ranks` > 0 makes every run of that many consecutive ranks a node of its own (a socket, or a test of several nodes
 * on one machine); 0 asks the hardware.
 * Owner: pv_comm_close.  Collective over parent.  Errors: PV_ERR_MPI. */
pv_status pv_comm_open(MPI_Comm parent, int node_ranks, pv_comm *comm);

/* Frees the communicators.  Collective. */
void pv_comm_close(pv_comm *comm);

/* Agrees on the worst status of all ranks: what was PV_OK on every rank stays PV_OK; else every rank returns
 * the worst status, with the message of the lowest rank that raised it, prefixed by its rank and host, as
 * pv_fail_message().  Collective: every rank calls it at the end of each local phase that can fail. */
pv_status pv_agree(const pv_comm *comm, pv_status local);

#if defined(__clang_analyzer__) && !defined(PV_COMM_BODY)
/* What a static analyser, which sees one rank only, may assume of the result. */
pv_status pv_agree_of_others(const pv_comm *comm);
#define pv_agree(comm, local) pv_agree_model((comm), (local))
static inline pv_status pv_agree_model(const pv_comm *comm, pv_status local)
{
    return local != PV_OK ? local : pv_agree_of_others(comm);
}
#endif

/* Memory that the ranks of a node share: one copy a node, allocated on the node's rank 0, zeroed. */
typedef struct pv_shared {
    void *data; /* the same bytes on every rank of the node */
    MPI_Win window;
} pv_shared;

/* Collective over the node.  Call pv_shared_sync between one rank's writes and another's reads. */
pv_status pv_shared_open(const pv_comm *comm, int64_t bytes, pv_shared *shared);
/* Barrier over the node that also makes all writes visible.  Collective over the node. */
void pv_shared_sync(const pv_comm *comm, pv_shared *shared);
/* Collective over the node; safe on a zeroed pv_shared. */
void pv_shared_close(pv_shared *shared);

/* The part of n items that belongs to `part` of `parts`: [*first, *first + *count), contiguous, sizes
 * differing by at most one.  Local. */
void pv_share_of(int64_t n, int part, int parts, int64_t *first, int64_t *count);
/* Where `part` of `parts` begins when n items are cut evenly so that cuts nest: part i of p is parts k i .. k i + k - 1 of
 * k p.  It ends where the next one begins.  n parts < 2^63.  Local. */
int64_t pv_cut_of(int64_t n, int64_t part, int64_t parts);
/* The part that item i of n belongs to by pv_share_of.  Local. */
int pv_share_owner(int64_t n, int parts, int64_t i);

#endif
