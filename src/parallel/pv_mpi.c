/* The one place that looks at what MPI's calls return.
 *
 * Every MPI call of the program passes through a wrapper of the profiling interface (PMPI), as do those that
 * HDF5, MPI-IO and ScaLAPACK make.  A wrapper times the call, if it can block, and looks at its code: a rank
 * that MPI has failed cannot tell the others, so the job ends, with the call, the rank, its host and MPI's
 * words. Callers need not look.  The calls on files, and those that ask for windows, return their code: there
 * the cause may be a full disk or too little memory, and the caller has a better word for it.
 *
 * The program makes no call that has no row here: tests/cli/test_mpi_calls.py looks.  Errors that belong to
 * no communicator of ours (of a datatype, of an info object) MPI ends the job for by itself. */
#include "base/pv_meter.h"
#include "base/pv_status.h"

#include <mpi.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static void end_job(const char *call, int code)
{
    char host[MPI_MAX_PROCESSOR_NAME] = "?", words[MPI_MAX_ERROR_STRING] = "?";
    int rank = -1, length;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    PMPI_Get_processor_name(host, &length);
    PMPI_Error_string(code, words, &length);
    for (char *line = words; (line = strchr(line, '\n'));) /* MPICH says more than one */
        *line = ' ';
    fprintf(stderr, "polyview: error: rank %d on %s: %s failed: %s\n", rank, host, call, words);
    PMPI_Abort(MPI_COMM_WORLD, pv_status_exit_code(PV_ERR_INTERNAL));
}

static void count_reduction(int n, MPI_Datatype type)
{
    int bytes = 0;
    PMPI_Type_size(type, &bytes);
    pv_meter_reduction((int64_t)n * bytes);
}

#define TIMED(kind, name, arguments)                                                                         \
    pv_meter_begin(kind);                                                                                    \
    const int code = PMPI_##name arguments;                                                                  \
    pv_meter_end();

#define CHECKED(name)                                                                                        \
    if (code != MPI_SUCCESS) end_job("MPI_" #name, code);                                                    \
    return code;

/* A call that may wait for other ranks. */
#define WAITS(name, parameters, arguments)                                                                   \
    int MPI_##name parameters                                                                                \
    {                                                                                                        \
        TIMED(PV_METER_MPI, name, arguments)                                                                 \
        CHECKED(name)                                                                                        \
    }

/* A call that waits for nobody: not timed. */
#define LOCAL(name, parameters, arguments)                                                                   \
    int MPI_##name parameters                                                                                \
    {                                                                                                        \
        const int code = PMPI_##name arguments;                                                              \
        CHECKED(name)                                                                                        \
    }

/* A call whose caller looks at the code. */
#define ANSWERS(kind, name, parameters, arguments)                                                           \
    int MPI_##name parameters                                                                                \
    {                                                                                                        \
        TIMED(kind, name, arguments)                                                                         \
        return code;                                                                                         \
    }

/* A reduction over all ranks, which is counted too. */
#define REDUCES(name, parameters, arguments)                                                                 \
    int MPI_##name parameters                                                                                \
    {                                                                                                        \
        count_reduction(n, type);                                                                            \
        TIMED(PV_METER_MPI, name, arguments)                                                                 \
        CHECKED(name)                                                                                        \
    }

/* Open MPI takes a semaphore called after the file while it opens one, for shared file pointers, which
 * nobody uses: a run that is killed then would leave all later ones on its host waiting.  Who has it open
 * keeps it. */
static void forget_semaphore(const char *path)
{
    char name[252]; /* what Open MPI cuts it to */
    const char *const slash = strrchr(path, '/');
    snprintf(name, sizeof name, "/OMPIO_%s", slash ? slash + 1 : path);
    sem_unlink(name);
}

/* As ANSWERS; no rank opens before the last has forgotten. */
int MPI_File_open(MPI_Comm comm, const char *path, int mode, MPI_Info info, MPI_File *file)
{
    forget_semaphore(path);
    PMPI_Barrier(comm);
    TIMED(PV_METER_FILES, File_open, (comm, path, mode, info, file))
    return code;
}

/* clang-format off */
LOCAL(Init_thread, (int *argc, char ***argv, int wanted, int *given), (argc, argv, wanted, given))
LOCAL(Finalize, (void), ())
LOCAL(Abort, (MPI_Comm comm, int status), (comm, status))
LOCAL(Get_processor_name, (char *name, int *length), (name, length))
LOCAL(Comm_rank, (MPI_Comm comm, int *rank), (comm, rank))
LOCAL(Comm_size, (MPI_Comm comm, int *size), (comm, size))
LOCAL(Comm_set_errhandler, (MPI_Comm comm, MPI_Errhandler handler), (comm, handler))
LOCAL(Type_contiguous, (int n, MPI_Datatype type, MPI_Datatype *made), (n, type, made))
LOCAL(Type_commit, (MPI_Datatype *type), (type))
LOCAL(Type_free, (MPI_Datatype *type), (type))
LOCAL(Info_create, (MPI_Info *info), (info))
LOCAL(Info_set, (MPI_Info info, const char *key, const char *value), (info, key, value))
LOCAL(Info_free, (MPI_Info *info), (info))
LOCAL(Win_set_errhandler, (MPI_Win window, MPI_Errhandler handler), (window, handler))
LOCAL(Win_shared_query, (MPI_Win window, int rank, MPI_Aint *bytes, int *unit, void *base), (window, rank,
      bytes, unit, base))
LOCAL(Win_get_attr, (MPI_Win window, int key, void *value, int *there), (window, key, value, there))
LOCAL(Win_sync, (MPI_Win window), (window))

WAITS(Comm_dup, (MPI_Comm comm, MPI_Comm *copy), (comm, copy))
WAITS(Comm_split, (MPI_Comm comm, int colour, int key, MPI_Comm *group), (comm, colour, key, group))
WAITS(Comm_split_type, (MPI_Comm comm, int kind, int key, MPI_Info info, MPI_Comm *group), (comm, kind, key,
      info, group))
WAITS(Comm_create, (MPI_Comm comm, MPI_Group members, MPI_Comm *made), (comm, members, made))
WAITS(Comm_free, (MPI_Comm *comm), (comm))

WAITS(Barrier, (MPI_Comm comm), (comm))
WAITS(Ibarrier, (MPI_Comm comm, MPI_Request *request), (comm, request))
WAITS(Bcast, (void *data, int n, MPI_Datatype type, int root, MPI_Comm comm), (data, n, type, root, comm))
WAITS(Reduce, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
      (from, to, n, type, op, root, comm))
WAITS(Reduce_scatter, (const void *from, void *to, const int *counts, MPI_Datatype type, MPI_Op op,
      MPI_Comm comm), (from, to, counts, type, op, comm))
REDUCES(Allreduce, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm), (from,
        to, n, type, op, comm))
REDUCES(Iallreduce, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
        MPI_Request *request), (from, to, n, type, op, comm, request))
WAITS(Scan, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm), (from, to, n,
      type, op, comm))
WAITS(Exscan, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm), (from, to, n,
      type, op, comm))
WAITS(Gather, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other, int root,
      MPI_Comm comm), (from, n, type, to, m, other, root, comm))
WAITS(Gatherv, (const void *from, int n, MPI_Datatype type, void *to, const int *counts, const int *places,
      MPI_Datatype other, int root, MPI_Comm comm), (from, n, type, to, counts, places, other, root, comm))
WAITS(Scatterv, (const void *from, const int *counts, const int *places, MPI_Datatype type, void *to, int m,
      MPI_Datatype other, int root, MPI_Comm comm), (from, counts, places, type, to, m, other, root, comm))
WAITS(Allgather, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other,
      MPI_Comm comm), (from, n, type, to, m, other, comm))
WAITS(Allgatherv, (const void *from, int n, MPI_Datatype type, void *to, const int *counts, const int *places,
      MPI_Datatype other, MPI_Comm comm), (from, n, type, to, counts, places, other, comm))
WAITS(Alltoall, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other,
      MPI_Comm comm), (from, n, type, to, m, other, comm))

WAITS(Send, (const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm), (data, n, type, to,
      tag, comm))
WAITS(Recv, (void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status *status),
      (data, n, type, from, tag, comm, status))
WAITS(Isend, (const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
      MPI_Request *request), (data, n, type, to, tag, comm, request))
WAITS(Irecv, (void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request),
      (data, n, type, from, tag, comm, request))
WAITS(Sendrecv, (const void *out, int n, MPI_Datatype type, int to, int tag, void *in, int m,
      MPI_Datatype other, int from, int in_tag, MPI_Comm comm, MPI_Status *status), (out, n, type, to, tag,
      in, m, other, from, in_tag, comm, status))
WAITS(Iprobe, (int from, int tag, MPI_Comm comm, int *there, MPI_Status *status), (from, tag, comm, there,
      status))
WAITS(Mprobe, (int from, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status), (from, tag, comm,
      message, status))
WAITS(Imrecv, (void *data, int n, MPI_Datatype type, MPI_Message *message, MPI_Request *request), (data, n,
      type, message, request))
WAITS(Rsend, (const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm), (data, n, type, to,
      tag, comm))
WAITS(Wait, (MPI_Request *request, MPI_Status *status), (request, status))
WAITS(Waitall, (int n, MPI_Request requests[], MPI_Status *statuses), (n, requests, statuses))
WAITS(Test, (MPI_Request *request, int *done, MPI_Status *status), (request, done, status))
WAITS(Testall, (int n, MPI_Request requests[], int *done, MPI_Status *statuses), (n, requests, done,
      statuses))

ANSWERS(PV_METER_MPI, Win_allocate, (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base,
        MPI_Win *window), (bytes, unit, info, comm, base, window))
ANSWERS(PV_METER_MPI, Win_allocate_shared, (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm,
        void *base, MPI_Win *window), (bytes, unit, info, comm, base, window))
ANSWERS(PV_METER_MPI, Win_create, (void *base, MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm,
        MPI_Win *window), (base, bytes, unit, info, comm, window))
WAITS(Win_free, (MPI_Win *window), (window))
WAITS(Win_lock_all, (int given, MPI_Win window), (given, window))
WAITS(Win_unlock_all, (MPI_Win window), (window))
WAITS(Win_flush, (int rank, MPI_Win window), (rank, window))
WAITS(Rget, (void *to, int n, MPI_Datatype type, int rank, MPI_Aint place, int m, MPI_Datatype other,
      MPI_Win window, MPI_Request *request), (to, n, type, rank, place, m, other, window, request))
WAITS(Rget_accumulate, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other,
      int rank, MPI_Aint place, int k, MPI_Datatype third, MPI_Op op, MPI_Win window, MPI_Request *request),
      (from, n, type, to, m, other, rank, place, k, third, op, window, request))
WAITS(Fetch_and_op, (const void *from, void *to, MPI_Datatype type, int rank, MPI_Aint place, MPI_Op op,
      MPI_Win window), (from, to, type, rank, place, op, window))

ANSWERS(PV_METER_FILES, File_close, (MPI_File *file), (file))
ANSWERS(PV_METER_FILES, File_sync, (MPI_File file), (file))
ANSWERS(PV_METER_FILES, File_set_size, (MPI_File file, MPI_Offset bytes), (file, bytes))
ANSWERS(PV_METER_FILES, File_set_view, (MPI_File file, MPI_Offset place, MPI_Datatype unit, MPI_Datatype type,
        const char *how, MPI_Info info), (file, place, unit, type, how, info))
ANSWERS(PV_METER_FILES, File_read_at, (MPI_File file, MPI_Offset place, void *to, int n, MPI_Datatype type,
        MPI_Status *status), (file, place, to, n, type, status))
ANSWERS(PV_METER_FILES, File_read_at_all, (MPI_File file, MPI_Offset place, void *to, int n,
        MPI_Datatype type, MPI_Status *status), (file, place, to, n, type, status))
ANSWERS(PV_METER_FILES, File_write_at, (MPI_File file, MPI_Offset place, const void *from, int n,
        MPI_Datatype type, MPI_Status *status), (file, place, from, n, type, status))
ANSWERS(PV_METER_FILES, File_write_at_all, (MPI_File file, MPI_Offset place, const void *from, int n,
        MPI_Datatype type, MPI_Status *status), (file, place, from, n, type, status))
/* clang-format on */
