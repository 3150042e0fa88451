#include "train/pv_reducer.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <stdlib.h>

enum { PART = 1 << 26 }; /* numbers of one MPI call */

#ifdef PV_NN_DOUBLE
#define REAL_MPI MPI_DOUBLE
#else
#define REAL_MPI MPI_FLOAT
#endif

struct pv_reducer {
    const pv_comm *comm;
    double seconds;
};

pv_status pv_reducer_open(const pv_comm *comm, pv_reducer **out)
{
    pv_status st = PV_OK;
    PV_ALLOC(*out, 1);
    (*out)->comm = comm;
done:
    return st;
}

void pv_reducer_close(pv_reducer *reducer)
{
    free(reducer);
}

void pv_reducer_sum(pv_reducer *reducer, double *values, int count)
{
    const double start = pv_seconds();
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, reducer->comm->world);
    reducer->seconds += pv_seconds() - start;
}

void pv_reducer_gradients(pv_reducer *reducer, pv_real *values, int64_t count)
{
    const double start = pv_seconds();
    for (int64_t first = 0; first < count; first += PART)
        MPI_Allreduce(MPI_IN_PLACE, values + first, (int)(count - first < PART ? count - first : PART),
                      REAL_MPI, MPI_SUM, reducer->comm->world);
    reducer->seconds += pv_seconds() - start;
}

double pv_reducer_seconds(const pv_reducer *reducer)
{
    return reducer->seconds;
}
