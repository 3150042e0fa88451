#define PV_COMM_BODY
#include "parallel/pv_comm.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1536 };

pv_status pv_comm_open(MPI_Comm parent, int node_ranks, pv_comm *comm)
{
    *comm = (pv_comm){.world = MPI_COMM_NULL, .node = MPI_COMM_NULL, .leaders = MPI_COMM_NULL};
    if (MPI_Comm_dup(parent, &comm->world) != MPI_SUCCESS) return pv_fail(PV_ERR_MPI, "MPI_Comm_dup failed");
    MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm->world, &comm->rank);
    MPI_Comm_size(comm->world, &comm->size);
    const int split =
        node_ranks > 0
            ? MPI_Comm_split(comm->world, comm->rank / node_ranks, comm->rank, &comm->node)
            : MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &comm->node);
    if (split != MPI_SUCCESS) return pv_fail(PV_ERR_MPI, "cannot split the ranks by node");
    MPI_Comm_rank(comm->node, &comm->node_rank);
    MPI_Comm_size(comm->node, &comm->node_size);
    MPI_Comm_split(comm->world, comm->node_rank == 0 ? 0 : MPI_UNDEFINED, comm->rank, &comm->leaders);
    int place[2] = {0, 0};
    if (comm->leaders != MPI_COMM_NULL) {
        MPI_Comm_rank(comm->leaders, &place[0]);
        MPI_Comm_size(comm->leaders, &place[1]);
    }
    MPI_Bcast(place, 2, MPI_INT, 0, comm->node);
    comm->node_index = place[0];
    comm->nodes = place[1];
    return PV_OK;
}

void pv_comm_close(pv_comm *comm)
{
    if (comm->leaders != MPI_COMM_NULL) MPI_Comm_free(&comm->leaders);
    if (comm->node != MPI_COMM_NULL) MPI_Comm_free(&comm->node);
    if (comm->world != MPI_COMM_NULL) MPI_Comm_free(&comm->world);
}

pv_status pv_agree(const pv_comm *comm, pv_status local)
{
    struct {
        int code, rank;
    } mine = {(int)local, comm->rank}, worst = {0, 0};
    if (MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MINLOC, comm->world) != MPI_SUCCESS)
        return pv_fail(PV_ERR_MPI, "cannot agree on a status: MPI_Allreduce failed");
    if (worst.code == PV_OK) return PV_OK;
    char message[MESSAGE_BYTES] = "";
    if (comm->rank == worst.rank) {
        char host[MPI_MAX_PROCESSOR_NAME] = "?";
        int length;
        MPI_Get_processor_name(host, &length);
        /* A status agreed once already carries its origin. */
        const bool told = strncmp(pv_fail_message(), "rank ", 5) == 0;
        if (told)
            snprintf(message, sizeof message, "%s", pv_fail_message());
        else
            snprintf(message, sizeof message, "rank %d on %s: %s", comm->rank, host, pv_fail_message());
    }
    MPI_Bcast(message, (int)sizeof message, MPI_CHAR, worst.rank, comm->world);
    return pv_fail((pv_status)worst.code, "%s", message);
}

pv_status pv_shared_open(const pv_comm *comm, int64_t bytes, pv_shared *shared)
{
    *shared = (pv_shared){.window = MPI_WIN_NULL};
    void *own;
    const MPI_Aint size = comm->node_rank == 0 ? (MPI_Aint)bytes : 0;
    if (MPI_Win_allocate_shared(size, 1, MPI_INFO_NULL, comm->node, &own, &shared->window) != MPI_SUCCESS)
        return pv_fail(PV_ERR_NOMEM, "cannot share %lld bytes of memory on this node (is /dev/shm full?)",
                       (long long)bytes);
    MPI_Aint there;
    int unit;
    MPI_Win_shared_query(shared->window, 0, &there, &unit, &shared->data);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, shared->window);
    if (comm->node_rank == 0 && bytes > 0) memset(shared->data, 0, (size_t)bytes);
    pv_shared_sync(comm, shared);
    return PV_OK;
}

void pv_shared_sync(const pv_comm *comm, pv_shared *shared)
{
    MPI_Win_sync(shared->window);
    MPI_Barrier(comm->node);
    MPI_Win_sync(shared->window);
}

void pv_shared_close(pv_shared *shared)
{
    if (shared->data || (shared->window && shared->window != MPI_WIN_NULL)) {
        MPI_Win_unlock_all(shared->window);
        MPI_Win_free(&shared->window);
    }
    *shared = (pv_shared){.window = MPI_WIN_NULL};
}

void pv_share_of(int64_t n, int part, int parts, int64_t *first, int64_t *count)
{
    const int64_t base = n / parts, extra = n % parts;
    *first = base * part + (part < extra ? part : extra);
    *count = base + (part < extra);
}

int64_t pv_cut_of(int64_t n, int64_t part, int64_t parts)
{
    return n * part / parts;
}

int pv_share_owner(int64_t n, int parts, int64_t i)
{
    const int64_t base = n / parts, extra = n % parts, large = extra * (base + 1);
    return (int)(i < large ? i / (base + 1) : extra + (i - large) / base);
}
