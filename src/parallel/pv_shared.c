/* Memory that ranks share: one copy a node, and windows into every rank's own. */
#include "parallel/pv_shared.h"

#include <string.h>

/* From here on the ranks reach the window without further ado; its errors go to pv_mpi.c. */
static void open_to_all(MPI_Win window)
{
    MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, window);
}

pv_status pv_shared_open(const pv_comm *comm, int64_t bytes, pv_shared *shared)
{
    void *own;
    MPI_Aint there;
    int unit;
    const MPI_Aint size = comm->node_rank == 0 ? (MPI_Aint)bytes : 0;
    pv_status st = PV_OK;
    *shared = (pv_shared){.window = MPI_WIN_NULL};
    if (MPI_Win_allocate_shared(size, 1, MPI_INFO_NULL, comm->node, &own, &shared->window) != MPI_SUCCESS) {
        st = pv_fail(PV_ERR_NOMEM, "cannot share %lld bytes of memory on this node (is /dev/shm full?)",
                     (long long)bytes);
        shared->window = MPI_WIN_NULL;
    } else {
        MPI_Win_shared_query(shared->window, 0, &there, &unit, &shared->data);
        open_to_all(shared->window);
        if (comm->node_rank == 0 && bytes > 0) memset(shared->data, 0, (size_t)bytes);
        pv_shared_sync(comm, shared);
    }
    if ((st = pv_agree(comm, st)) != PV_OK) pv_shared_close(shared);
    return st;
}

void pv_shared_sync(const pv_comm *comm, pv_shared *shared)
{
    MPI_Win_sync(shared->window);
    MPI_Barrier(comm->node);
    MPI_Win_sync(shared->window);
}

void pv_shared_close(pv_shared *shared)
{
    pv_window_close(&shared->window);
    shared->data = NULL;
}

pv_status pv_window_open(const pv_comm *comm, int64_t bytes, int unit, void *data, MPI_Win *window)
{
    pv_status st = PV_OK;
    if (MPI_Win_allocate((MPI_Aint)bytes, unit, MPI_INFO_NULL, comm->world, data, window) == MPI_SUCCESS) {
        open_to_all(*window);
    } else {
        *window = MPI_WIN_NULL;
        st = pv_fail(PV_ERR_NOMEM, "cannot open a window of %lld bytes to the other ranks", (long long)bytes);
    }
    if ((st = pv_agree(comm, st)) != PV_OK) pv_window_close(window);
    return st;
}

void pv_window_sync(const pv_comm *comm, MPI_Win window)
{
    MPI_Win_sync(window);
    MPI_Barrier(comm->world);
}

void pv_window_close(MPI_Win *window)
{
    if (!*window || *window == MPI_WIN_NULL) return;
    MPI_Win_unlock_all(*window);
    MPI_Win_free(window);
}
