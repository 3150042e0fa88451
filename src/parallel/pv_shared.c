/* Memory that ranks share: one copy a node, and windows into every rank's own. */
#include "parallel/pv_shared.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *backing_wish(void)
{
    const char *const wish = getenv("OMPI_MCA_osc_sm_backing_directory");
    return wish && wish[0] != '\0' ? wish : NULL;
}

/* Where files behind shared memory are made: what moves Open MPI's own there moves ours, too. */
static const char *backing_directory(void)
{
    const char *const wish = backing_wish();
    return wish ? wish : "/dev/shm";
}

int64_t pv_shared_room(void)
{
    struct statvfs room;
    return statvfs(backing_directory(), &room) == 0 ? (int64_t)(room.f_bavail * room.f_frsize) : 0;
}

/* `why` there is no memory that all ranks of a node reach. */
static pv_status fail_backing(int64_t bytes, const char *why)
{
    return pv_fail(
        PV_ERR_NOMEM,
        "cannot share %lld bytes with the ranks of this node: %s; '%s' has %lld bytes free: give the "
        "container more (--shm-size), or set OMPI_MCA_osc_sm_backing_directory to a directory that has "
        "them; on several nodes, train.placement: job keeps training rows once in all, not once a node",
        (long long)bytes, why, backing_directory(), (long long)pv_shared_room());
}

/* Makes the file and takes all of its space: a page that is missing later would end the job by a signal. 
 * Returns what is wrong, else 0. */
static int make_backing_in(const char *directory, int64_t bytes, char path[PATH_MAX], int *file)
{
    int error;
    if (snprintf(path, PATH_MAX, "%s/polyview-XXXXXX", directory) >= PATH_MAX) return ENAMETOOLONG;
    *file = mkostemp(path, O_CLOEXEC);
    if (*file < 0) return errno;
    while ((error = posix_fallocate(*file, 0, bytes)) == EINTR)
        ;
    if (error == 0) return 0;
    unlink(path);
    close(*file);
    *file = -1;
    return error;
}

/* In memory; or, where that is too small, as containers' often is, on a disk, whose pages stay in memory as
 * long as there is room.  Who has named a directory has chosen. */
static pv_status make_backing(int64_t bytes, char path[PATH_MAX], int *file)
{
    const char *const elsewhere[] = {getenv("TMPDIR"), "/tmp", "/var/tmp"};
    const int error = make_backing_in(backing_directory(), bytes, path, file);
    if (error == 0) return PV_OK;
    for (size_t i = 0; !backing_wish() && i < sizeof elsewhere / sizeof *elsewhere; i++) {
        if (!elsewhere[i] || elsewhere[i][0] != '/' || make_backing_in(elsewhere[i], bytes, path, file) != 0)
            continue;
        pv_log_warn(
            "'%s' cannot hold %lld bytes that the ranks of this node share (%s): they are kept in a file "
            "in '%s', which may be slower: give the container more (--shm-size)",
            backing_directory(), (long long)bytes, strerror(error), elsewhere[i]);
        return PV_OK;
    }
    path[0] = '\0';
    return fail_backing(bytes, strerror(error));
}

/* Takes the pages now, all at once.  false: there are too few.  Kernels before 5.14 cannot, and leave it to
 * chance. */
static bool take_pages(char *data, int64_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    char *const page = data - (uintptr_t)data % (uintptr_t)sysconf(_SC_PAGESIZE);
    return madvise(page, (size_t)(data + bytes - page), MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
#else
    return (void)data, (void)bytes, true;
#endif
}

/* A rank alone on its node needs no file, and has memory of its own, whose pages come at less cost. */
static pv_status map_backing(const pv_comm *comm, const char *path, int file, pv_shared *shared)
{
    const int kind = comm->node_size > 1 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    if (comm->node_rank > 0 && (file = open(path, O_RDWR | O_CLOEXEC)) < 0)
        return pv_fail(PV_ERR_NOMEM, "cannot open the shared memory '%s' of this node's ranks: %s", path,
                       strerror(errno));
    void *const data = mmap(NULL, (size_t)shared->bytes, PROT_READ | PROT_WRITE, kind, file, 0);
    const int error = errno;
    if (comm->node_rank > 0) close(file);
    if (data == MAP_FAILED)
        return pv_fail(PV_ERR_NOMEM, "cannot map %lld bytes of shared memory: %s", (long long)shared->bytes,
                       strerror(error));
    if (comm->node_size == 1)
        take_pages(data, shared->bytes); /* cheaper than one by one; they need not be there */
    shared->data = data;
    return PV_OK;
}

pv_status pv_shared_open(const pv_comm *comm, int64_t bytes, pv_shared *shared)
{
    char path[PATH_MAX] = "";
    int file = -1;
    pv_status st = PV_OK;
    *shared = (pv_shared){.bytes = bytes > 0 ? bytes : 1};
    MPI_Bcast(&shared->bytes, 1, MPI_INT64_T, 0, comm->node);
    if (comm->node_rank == 0 && comm->node_size > 1) st = make_backing(shared->bytes, path, &file);
    PV_TRY(pv_agree(comm, st));
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, comm->node);
    st = pv_agree(comm, map_backing(comm, path, file, shared));
done:
    if (comm->node_rank == 0 && path[0] != '\0') unlink(path); /* it lives as long as somebody maps it */
    if (file >= 0) close(file);
    if (st != PV_OK) pv_shared_close(shared);
    return st;
}

void pv_shared_sync(const pv_comm *comm, pv_shared *shared)
{
    (void)shared;
    atomic_thread_fence(memory_order_seq_cst);
    MPI_Barrier(comm->node);
    atomic_thread_fence(memory_order_seq_cst);
}

void pv_shared_close(pv_shared *shared)
{
    if (shared->data) munmap(shared->data, (size_t)shared->bytes);
    *shared = (pv_shared){0};
}

/* ---- windows ---- */

/* Takes a name out of a list with commas. */
static void take_out(char *list, const char *name)
{
    const size_t length = strlen(name);
    for (char *at = list; (at = strstr(at, name)); at++) {
        const bool begins = at == list || at[-1] == ',' || at[-1] == '^';
        if (!begins || (at[length] != '\0' && at[length] != ',')) continue;
        const char *rest = at + length;
        if (*rest == ',')
            rest++;
        else if (at > list && at[-1] == ',')
            at--;
        memmove(at, rest, strlen(rest) + 1);
        return;
    }
}

void pv_window_allow_hosts(void)
{
    enum { MOST = 4096 };
    MPI_T_cvar_handle handle;
    int index, most, threads;
    char list[MOST] = "";
    if (getenv("OMPI_MCA_osc") || MPI_T_init_thread(MPI_THREAD_SINGLE, &threads) != MPI_SUCCESS) return;
    if (MPI_T_cvar_get_index("osc", &index) != MPI_SUCCESS ||
        MPI_T_cvar_handle_alloc(index, NULL, &handle, &most) != MPI_SUCCESS)
        return; /* it is another MPI */
    if (most < MOST && MPI_T_cvar_read(handle, list) == MPI_SUCCESS && list[0] == '^') {
        take_out(list, "pt2pt");
        MPI_T_cvar_write(handle, list);
    }
    MPI_T_cvar_handle_free(&handle); /* no MPI_T_finalize: what was written would be forgotten */
}

/* `bytes` are not what there is too little of where windows would lie on several hosts. */
static pv_status fail_window(const pv_comm *comm, int64_t bytes)
{
    if (comm->nodes == 1) return fail_backing(bytes, "MPI opens no window");
    return pv_fail(
        PV_ERR_NOMEM,
        "MPI opens no window into the memory of ranks on %d nodes: its one-sided calls must be allowed "
        "to use the network there is (Open MPI 4: OMPI_MCA_osc=^ucx, or ucx where the network is its)",
        comm->nodes);
}

/* Asked beforehand: where there is no room, Open MPI's ranks may wait for the one that found out. */
static pv_status check_room(const pv_comm *comm, int64_t bytes)
{
    enum { OF_MPI = 1 << 17 }; /* a rank's, for its own use */
    int64_t wanted = bytes + OF_MPI;
    if (comm->node_size == 1) return PV_OK;
    MPI_Allreduce(MPI_IN_PLACE, &wanted, 1, MPI_INT64_T, MPI_SUM, comm->node);
    return wanted <= pv_shared_room() ? PV_OK : fail_backing(wanted, "a window has no room");
}

/* Memory that MPI makes; ranks of a node reach it without its further help.  Where all got a window and one
 * cannot use it, it is given back. */
static pv_status allocate_window(const pv_comm *comm, MPI_Aint bytes, int unit, void *data, MPI_Win *window)
{
    pv_status st = pv_agree(comm, check_room(comm, bytes));
    int made;
    if (st != PV_OK) return st;
    made = MPI_Win_allocate(bytes, unit, MPI_INFO_NULL, comm->world, data, window) == MPI_SUCCESS;
    if (!made)
        st = fail_window(comm, bytes);
    else if (bytes > 0 && !take_pages(*(char **)data, bytes))
        st = fail_backing(bytes, strerror(errno));
    MPI_Allreduce(MPI_IN_PLACE, &made, 1, MPI_INT, MPI_MIN, comm->world);
    if ((st = pv_agree(comm, st)) != PV_OK && made) MPI_Win_free(window);
    return st;
}

/* Memory of this rank's own, where shared memory has no room: others reach it through messages.  The window
 * owns it. */
static pv_status create_window(const pv_comm *comm, MPI_Aint bytes, int unit, void *data, MPI_Win *window)
{
    void *const own = pv_alloc(bytes, 1);
    pv_status st = pv_agree(comm, own ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK)
        st =
            pv_agree(comm, MPI_Win_create(own, bytes, unit, MPI_INFO_NULL, comm->world, window) == MPI_SUCCESS
                               ? PV_OK
                               : fail_window(comm, bytes));
    if (st == PV_OK)
        *(void **)data = own;
    else
        free(own);
    return st;
}

pv_status pv_window_open(const pv_comm *comm, int64_t bytes, int unit, void *data, MPI_Win *window)
{
    /* MPICH 4.0 errs in where the memory of a rank begins after one whose bytes are no multiple of 16. */
    const MPI_Aint whole = (MPI_Aint)((bytes + PV_ALIGN - 1) / PV_ALIGN * PV_ALIGN);
    *window = MPI_WIN_NULL;
    if (allocate_window(comm, whole, unit, data, window) != PV_OK) {
        pv_log_warn("%s; messages serve instead, which are slower", pv_fail_message());
        *window = MPI_WIN_NULL;
        const pv_status st = create_window(comm, whole, unit, data, window);
        if (st != PV_OK) return st;
    }
    MPI_Win_set_errhandler(*window, MPI_ERRORS_RETURN); /* to pv_mpi.c, which looks */
    MPI_Win_lock_all(MPI_MODE_NOCHECK, *window);        /* ranks reach it without further ado */
    return PV_OK;
}

void pv_window_sync(const pv_comm *comm, MPI_Win window)
{
    MPI_Win_sync(window);
    MPI_Barrier(comm->world);
}

void pv_window_close(MPI_Win *window)
{
    void *base = NULL;
    int *flavour = NULL, known = 0;
    if (!*window || *window == MPI_WIN_NULL) return;
    MPI_Win_get_attr(*window, MPI_WIN_CREATE_FLAVOR, &flavour, &known);
    if (known && *flavour == MPI_WIN_FLAVOR_CREATE) MPI_Win_get_attr(*window, MPI_WIN_BASE, &base, &known);
    MPI_Win_unlock_all(*window);
    MPI_Win_free(window);
    free(base);
}
