/* Measures what messages cost on the ranks of a run. */
#include "plan/pv_comm_measure.h"
#include "parallel/pv_shared.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"

#include <stdlib.h>

enum { BATCHES = 9, LARGE_BYTES = 1 << 20, LARGE_FLOATS = LARGE_BYTES / 4 };
static const double batch_seconds = 0.02;
/* Taken where a run has no second rank on a node, or no second node: shared memory, and a network of a
 * cluster. */
static const pv_link usual_inside = {5e-7, 2e-10}, usual_between = {2e-6, 1e-10};

/* An operation that the ranks of a communicator repeat together. */
typedef struct operation {
    MPI_Comm comm;
    int rank, size;
    float *data;
    int count; /* floats of a message */
    MPI_Win window;
} operation;

static void allreduce(const operation *o)
{
    MPI_Allreduce(MPI_IN_PLACE, o->data, o->count, MPI_FLOAT, MPI_SUM, o->comm);
}

/* As a training begins the sum of a gradient: MPI may choose another algorithm for it. */
static void begun_allreduce(const operation *o)
{
    MPI_Request request;
    MPI_Iallreduce(MPI_IN_PLACE, o->data, o->count, MPI_FLOAT, MPI_SUM, o->comm, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
}

/* There and back between the first two ranks. */
static void ping(const operation *o)
{
    if (o->rank == 0) {
        MPI_Send(o->data, o->count, MPI_FLOAT, 1, 0, o->comm);
        MPI_Recv(o->data, o->count, MPI_FLOAT, 1, 0, o->comm, MPI_STATUS_IGNORE);
    } else if (o->rank == 1) {
        MPI_Recv(o->data, o->count, MPI_FLOAT, 0, 0, o->comm, MPI_STATUS_IGNORE);
        MPI_Send(o->data, o->count, MPI_FLOAT, 0, 0, o->comm);
    }
}

static void get(const operation *o)
{
    MPI_Request request;
    MPI_Rget(o->data, o->count, MPI_FLOAT, (o->rank + 1) % o->size, 0, o->count, MPI_FLOAT, o->window,
             &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
}

static void count(const operation *o)
{
    const int64_t one = 1;
    int64_t answer;
    MPI_Fetch_and_op(&one, &answer, MPI_INT64_T, 0, 0, MPI_SUM, o->window);
    MPI_Win_flush(0, o->window);
}

static double time_batch(const operation *o, void (*act)(const operation *), int repetitions)
{
    MPI_Barrier(o->comm);
    const double start = pv_seconds();
    for (int i = 0; i < repetitions; i++)
        act(o);
    double seconds = pv_seconds() - start;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, o->comm);
    return seconds / repetitions;
}

/* The median over batches of as many repetitions as take a while. */
static double repeat(const operation *o, void (*act)(const operation *))
{
    double seconds[BATCHES];
    const double once = time_batch(o, act, 4);
    const int repetitions = once > 0 && batch_seconds / once < 1e5 ? 1 + (int)(batch_seconds / once) : 100000;
    for (int i = 0; i < BATCHES; i++)
        seconds[i] = time_batch(o, act, repetitions);
    return pv_median(BATCHES, seconds);
}

/* Latency and bandwidth between the first two ranks of a communicator; false if it has but one. */
static bool measure_link(MPI_Comm comm, float *data, pv_link *link)
{
    operation o = {.comm = comm, .data = data, .count = 2};
    MPI_Comm_rank(comm, &o.rank);
    MPI_Comm_size(comm, &o.size);
    if (o.size < 2) return false;
    link->latency = repeat(&o, ping) / 2;
    o.count = LARGE_FLOATS;
    link->byte_seconds = (repeat(&o, ping) / 2 - link->latency) / LARGE_BYTES;
    if (link->byte_seconds < 0) link->byte_seconds = 0;
    return true;
}

static void measure_links(const pv_comm *comm, float *data, pv_comm_figures *f)
{
    int known[2] = {0, 0};
    f->inside = usual_inside;
    f->between = usual_between;
    known[0] = measure_link(comm->node, data, &f->inside);
    if (comm->leaders != MPI_COMM_NULL) known[1] = measure_link(comm->leaders, data, &f->between);
    MPI_Bcast(known, 2, MPI_INT, 0, comm->world);
    MPI_Bcast(&f->inside, 2, MPI_DOUBLE, 0, comm->world);
    MPI_Bcast(&f->between, 2, MPI_DOUBLE, 0, comm->world);
    f->knows_inside = known[0] != 0;
    f->knows_between = known[1] != 0;
}

static pv_status measure_windows(const pv_comm *comm, operation *o, int row, pv_comm_figures *f)
{
    int64_t *base;
    const int64_t bytes = row * (int64_t)sizeof(float), least = sizeof *base;
    o->count = row;
    const pv_status st = pv_window_open(comm, bytes > least ? bytes : least, 1, &base, &o->window);
    if (st != PV_OK) return st;
    *base = 0;
    pv_window_sync(comm, o->window);
    f->counter_answer = repeat(o, count);
    f->counter = f->counter_answer / comm->size;
    f->get = repeat(o, get);
    pv_window_close(&o->window);
    return PV_OK;
}

pv_status pv_comm_measure(const pv_comm *comm, int64_t gradient, int row, pv_comm_figures *f)
{
    enum { MOST = 1 << 26 };
    pv_status st = PV_OK;
    const int64_t floats = gradient > LARGE_FLOATS ? gradient : LARGE_FLOATS;
    operation o = {.comm = comm->world, .rank = comm->rank, .size = comm->size, .count = 2};
    *f = (pv_comm_figures){0};
    o.data = pv_alloc(floats > row ? floats : row, sizeof *o.data);
    PV_TRY(pv_agree(comm, o.data ? PV_OK : PV_ERR_NOMEM));
    f->small_allreduce = repeat(&o, allreduce);
    o.count = (int)(gradient < MOST ? gradient : MOST);
    f->gradient_allreduce = repeat(&o, begun_allreduce) * (double)gradient / o.count;
    measure_links(comm, o.data, f);
    PV_TRY(pv_agree(comm, measure_windows(comm, &o, row, f)));
done:
    free(o.data);
    return st;
}
