/* MPI's calls, those of HDF5 and ScaLAPACK too, pass through these wrappers of its profiling interface (PMPI), which time
 * them. */
#include "base/pv_meter.h"

#include <mpi.h>

#define METERED(kind, name, parameters, arguments)                                                           \
    int MPI_##name parameters                                                                                \
    {                                                                                                        \
        pv_meter_begin(kind);                                                                                \
        const int code = PMPI_##name arguments;                                                              \
        pv_meter_end();                                                                                      \
        return code;                                                                                         \
    }

/* clang-format off */
METERED(PV_METER_MPI, Barrier, (MPI_Comm comm), (comm))
METERED(PV_METER_MPI, Bcast, (void *data, int n, MPI_Datatype type, int root, MPI_Comm comm), (data, n, type, root, comm))
METERED(PV_METER_MPI, Reduce, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
        (from, to, n, type, op, root, comm))
METERED(PV_METER_MPI, Scan, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
        (from, to, n, type, op, comm))
METERED(PV_METER_MPI, Exscan, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
        (from, to, n, type, op, comm))
METERED(PV_METER_MPI, Gather, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other, int root,
        MPI_Comm comm), (from, n, type, to, m, other, root, comm))
METERED(PV_METER_MPI, Gatherv, (const void *from, int n, MPI_Datatype type, void *to, const int *counts, const int *places,
        MPI_Datatype other, int root, MPI_Comm comm), (from, n, type, to, counts, places, other, root, comm))
METERED(PV_METER_MPI, Scatterv, (const void *from, const int *counts, const int *places, MPI_Datatype type, void *to, int m,
        MPI_Datatype other, int root, MPI_Comm comm), (from, counts, places, type, to, m, other, root, comm))
METERED(PV_METER_MPI, Allgather, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other,
        MPI_Comm comm), (from, n, type, to, m, other, comm))
METERED(PV_METER_MPI, Allgatherv, (const void *from, int n, MPI_Datatype type, void *to, const int *counts,
        const int *places, MPI_Datatype other, MPI_Comm comm), (from, n, type, to, counts, places, other, comm))
METERED(PV_METER_MPI, Alltoall, (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype other,
        MPI_Comm comm), (from, n, type, to, m, other, comm))
METERED(PV_METER_MPI, Send, (const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm),
        (data, n, type, to, tag, comm))
METERED(PV_METER_MPI, Recv, (void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status *status),
        (data, n, type, from, tag, comm, status))
METERED(PV_METER_MPI, Sendrecv, (const void *out, int n, MPI_Datatype type, int to, int tag, void *in, int m,
        MPI_Datatype other, int from, int in_tag, MPI_Comm comm, MPI_Status *status),
        (out, n, type, to, tag, in, m, other, from, in_tag, comm, status))
METERED(PV_METER_MPI, Wait, (MPI_Request *request, MPI_Status *status), (request, status))
METERED(PV_METER_MPI, Waitall, (int n, MPI_Request requests[], MPI_Status *statuses), (n, requests, statuses))
METERED(PV_METER_MPI, Waitany, (int n, MPI_Request requests[], int *index, MPI_Status *status),
        (n, requests, index, status))
METERED(PV_METER_MPI, Test, (MPI_Request *request, int *done, MPI_Status *status), (request, done, status))
METERED(PV_METER_MPI, Testall, (int n, MPI_Request requests[], int *done, MPI_Status *statuses),
        (n, requests, done, statuses))
METERED(PV_METER_MPI, Iprobe, (int from, int tag, MPI_Comm comm, int *there, MPI_Status *status),
        (from, tag, comm, there, status))
METERED(PV_METER_MPI, Rget, (void *to, int n, MPI_Datatype type, int rank, MPI_Aint place, int m, MPI_Datatype other,
        MPI_Win window, MPI_Request *request), (to, n, type, rank, place, m, other, window, request))
METERED(PV_METER_MPI, Win_flush, (int rank, MPI_Win window), (rank, window))
METERED(PV_METER_MPI, Win_allocate, (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *window),
        (bytes, unit, info, comm, base, window))
METERED(PV_METER_MPI, Win_allocate_shared, (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base,
        MPI_Win *window), (bytes, unit, info, comm, base, window))
METERED(PV_METER_MPI, Win_free, (MPI_Win *window), (window))
METERED(PV_METER_MPI, Comm_dup, (MPI_Comm comm, MPI_Comm *copy), (comm, copy))
METERED(PV_METER_MPI, Comm_split, (MPI_Comm comm, int colour, int key, MPI_Comm *part), (comm, colour, key, part))
METERED(PV_METER_MPI, Comm_split_type, (MPI_Comm comm, int kind, int key, MPI_Info info, MPI_Comm *part),
        (comm, kind, key, info, part))
METERED(PV_METER_MPI, Comm_free, (MPI_Comm *comm), (comm))
METERED(PV_METER_FILES, File_open, (MPI_Comm comm, const char *path, int mode, MPI_Info info, MPI_File *file),
        (comm, path, mode, info, file))
METERED(PV_METER_FILES, File_close, (MPI_File *file), (file))
METERED(PV_METER_FILES, File_sync, (MPI_File file), (file))
METERED(PV_METER_FILES, File_read_at, (MPI_File file, MPI_Offset place, void *to, int n, MPI_Datatype type,
        MPI_Status *status), (file, place, to, n, type, status))
METERED(PV_METER_FILES, File_read_at_all, (MPI_File file, MPI_Offset place, void *to, int n, MPI_Datatype type,
        MPI_Status *status), (file, place, to, n, type, status))
METERED(PV_METER_FILES, File_write_at, (MPI_File file, MPI_Offset place, const void *from, int n, MPI_Datatype type,
        MPI_Status *status), (file, place, from, n, type, status))
METERED(PV_METER_FILES, File_write_at_all, (MPI_File file, MPI_Offset place, const void *from, int n, MPI_Datatype type,
        MPI_Status *status), (file, place, from, n, type, status))
/* clang-format on */

static void count_reduction(int n, MPI_Datatype type)
{
    int bytes = 0;
    PMPI_Type_size(type, &bytes);
    pv_meter_reduction((int64_t)n * bytes);
}

int MPI_Iallreduce(const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request *request)
{
    count_reduction(n, type);
    pv_meter_begin(PV_METER_MPI);
    const int code = PMPI_Iallreduce(from, to, n, type, op, comm, request);
    pv_meter_end();
    return code;
}

int MPI_Allreduce(const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    count_reduction(n, type);
    pv_meter_begin(PV_METER_MPI);
    const int code = PMPI_Allreduce(from, to, n, type, op, comm);
    pv_meter_end();
    return code;
}
