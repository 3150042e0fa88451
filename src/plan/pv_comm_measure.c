/* Measures what messages cost on the ranks of a run. */
#include "plan/pv_comm_measure.h"
#include "parallel/pv_shared.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "train/pv_reducer.h"
#include "train/pv_task.h"

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
    pv_reducer *reducer;
    pv_real **leaves; /* of this rank */
} operation;

static void allreduce(const operation *o)
{
    MPI_Allreduce(MPI_IN_PLACE, o->data, o->count, MPI_FLOAT, MPI_SUM, o->comm);
}

/* As a training does it for a model of a few layers, with all of backward done: sums that are on their way
 * together use a link both ways. */
static void reduce_gradient(const operation *o)
{
    enum { LAYERS = 4 };
    pv_reducer_begin(o->reducer, o->leaves, o->count);
    for (int64_t layer = LAYERS - 1; layer >= 0; layer--)
        pv_reducer_ready(o->reducer, layer * o->count / LAYERS);
    pv_reducer_finish(o->reducer);
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

static int repetitions_of(double once)
{
    return once > 0 && batch_seconds / once < 1e5 ? 1 + (int)(batch_seconds / once) : 100000;
}

/* The median over batches of as many repetitions as take a while.  On busy cores what took a microsecond may
 * take a thousand the next time: each batch goes by the one before it. */
static double repeat(const operation *o, void (*act)(const operation *))
{
    double seconds[BATCHES], once = time_batch(o, act, 4);
    for (int i = 0; i < BATCHES; i++)
        once = seconds[i] = time_batch(o, act, repetitions_of(once));
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

/* A reducer of gradients of o->count numbers, and a vector of them for each of this rank's leaves. */
static pv_status make_reducer(const pv_comm *comm, const pv_train_opts *train, pv_memory *memory,
                              operation *o)
{
    pv_reducer_setup setup = {train->reduce, train->wire, pv_task_leaves(train, comm->size), o->count};
    while (setup.leaves < comm->size) /* a batch too small for these ranks, which may be for fewer */
        setup.leaves *= 2;
    const int run = (int)(pv_share_start(setup.leaves, comm->rank + 1, comm->size) -
                          pv_share_start(setup.leaves, comm->rank, comm->size));
    PV_TAKE(memory, run, &o->leaves);
    for (int leaf = 0; o->leaves && leaf < run; leaf++)
        PV_TAKE(memory, o->count, &o->leaves[leaf]);
    const pv_status st = pv_memory_status(memory);
    return st == PV_OK ? pv_reducer_open(comm, &setup, &o->reducer) : st;
}

static pv_status measure_gradient(const pv_comm *comm, const pv_train_opts *train, int64_t gradient,
                                  pv_comm_figures *f)
{
    enum { MOST = 1 << 26 };
    operation o = {.comm = comm->world, .count = (int)(gradient < MOST ? gradient : MOST)};
    pv_memory memory = {0};
    pv_status st;
    PV_TRY(pv_agree(comm, make_reducer(comm, train, &memory, &o)));
    f->gradient_allreduce = repeat(&o, reduce_gradient) * (double)gradient / o.count;
done:
    pv_reducer_close(o.reducer);
    pv_memory_free(&memory);
    return st;
}

pv_status pv_comm_measure(const pv_comm *comm, const pv_train_opts *train, int64_t gradient, int row,
                          pv_comm_figures *f)
{
    pv_status st = PV_OK;
    operation o = {.comm = comm->world, .rank = comm->rank, .size = comm->size, .count = 2};
    *f = (pv_comm_figures){0};
    o.data = pv_alloc(row > LARGE_FLOATS ? row : LARGE_FLOATS, sizeof *o.data);
    PV_TRY(pv_agree(comm, o.data ? PV_OK : PV_ERR_NOMEM));
    f->small_allreduce = repeat(&o, allreduce);
    PV_TRY(measure_gradient(comm, train, gradient, f));
    measure_links(comm, o.data, f);
    PV_TRY(pv_agree(comm, measure_windows(comm, &o, row, f)));
done:
    free(o.data);
    return st;
}
