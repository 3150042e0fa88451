/* The MPI context of a run: all ranks, and the ranks of this node, which share memory; how ranks agree.
 *
 * MPI's return values need no look: a call that fails ends the job (src/parallel/pv_mpi.c), but for those on
 * files and those that ask for windows. */
#ifndef PV_COMM_H
#define PV_COMM_H

#include "base/pv_status.h"

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pv_comm {
    MPI_Comm world;   /* a duplicate of the communicator given to pv_comm_open */
    MPI_Comm node;    /* the ranks of this node */
    MPI_Comm leaders; /* rank 0 of every node; MPI_COMM_NULL on the others */
    MPI_Comm lane;    /* the ranks of this node_rank, by node_index; MPI_COMM_NULL from `lanes` on */
    int rank, size;   /* in world */
    int node_rank, node_size;
    int node_index, nodes; /* nodes are numbered by their lowest rank */
    int lanes;             /* ranks of the smallest node */
    bool safe;             /* pv_same looks: the environment has PV_SAFE=1 */
} pv_comm;

/* Opens the context over a duplicate of `parent`.  `node_ranks` > 0 makes every run of that many consecutive
 * ranks a node of its own (a socket, or a test of several nodes on one machine); 0 asks the hardware.
 * Owner: pv_comm_close.  Collective over parent. */
void pv_comm_open(MPI_Comm parent, int node_ranks, pv_comm *comm);

/* Frees the communicators.  Collective. */
void pv_comm_close(pv_comm *comm);

/* Whether MPI knows of all processes that were started together.  Where the launcher and the MPI library do
 * not speak to each other, each is a world of its own, and all would write the same files.
 * Local.  Errors: PV_ERR_CONFIG (the variable that tells is named, and the remedy). */
pv_status pv_comm_check_launch(void);

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

/* All ranks use the narrowest instruction set of any of them from here on (base/pv_cpu.h), so that what they
 * compute does not depend on where; a warning says so where processors differ.  Collective.
 * Errors: as pv_cpu_check, agreed. */
pv_status pv_agree_isa(const pv_comm *comm);

/* With PV_SAFE=1 in the environment of rank 0: whether an argument of a collective call is the same on all
 * ranks; without, PV_OK at no cost.  `what` names it: "views of pv_store_create".  Collective.
 * Errors: PV_ERR_INTERNAL, agreed: the argument and the lowest rank that differs from rank 0 are named. */
pv_status pv_same(const pv_comm *comm, const char *what, const void *data, size_t bytes);
/* Likewise of a text, which may be NULL. */
pv_status pv_same_text(const pv_comm *comm, const char *what, const char *text);

/* What belongs to `share` of `shares` of n items: [*first, *first + *count), contiguous, sizes differing by
 * at most one.  Local. */
void pv_share_of(int64_t n, int share, int shares, int64_t *first, int64_t *count);
/* The share that item i of n belongs to by pv_share_of.  Local. */
int pv_share_owner(int64_t n, int shares, int64_t i);
/* Where `share` of `shares` begins when shares are to nest: share i of p is what shares k i .. k i + k - 1 of
 * k p are. It ends where the next one begins.  n shares < 2^63.  Local. */
int64_t pv_share_start(int64_t n, int64_t share, int64_t shares);

/* Likewise where ranks have runs of `leaves` such shares, whole ones: where rank `rank` of `ranks` begins,
 * and how many items a rank has at most.  As many leaves as ranks: one each. */
int64_t pv_share_run_start(int64_t n, int64_t leaves, int rank, int ranks);
int64_t pv_share_run_most(int64_t n, int64_t leaves, int ranks);

/* Gives rank 0's text to all.  Owner: the caller frees *text.  Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_share_text(const pv_comm *comm, char **text);

/* What `settle` of base/pv_path.h makes of a path on rank 0, for all: so they open the same file, wherever
 * they run.
 * Owner    the caller frees *out; NULL on failure.  Collective.  Errors: those of `settle`, agreed. */
pv_status pv_path_settle(const pv_comm *comm, pv_status (*settle)(const char *, char **), const char *path,
                         char **out);

/* Whether a path exists, as rank 0 sees it.  Collective. */
bool pv_path_exists(const pv_comm *comm, const char *path);

#endif
