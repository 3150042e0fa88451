/* Predicts a fit and a training from the figures of a machine. */
#include "plan/pv_plan.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Rows of the last chunks of a fit, of which some rank takes one when the others find none (pv_fill). */
enum { TAIL_ROWS = 2 };
/* Reductions of a status or a count in a whole fit or training beside those of its steps. */
enum { AGREEMENTS = 40, AGREEMENT_BYTES = 16 };
/* Errors of the models, relative: where they are used as measured, and for each doubling of ranks beyond
 * that. */
static const double fit_error = 0.04, fit_doubling = 0.01, train_error = 0.06, train_doubling = 0.04;

static pv_machine machine_of(const pv_figures *f, int nodes, int ranks_per_node)
{
    return (pv_machine){nodes, ranks_per_node, f->links.inside, f->links.between};
}

static double measured_ranks(const pv_figures *f)
{
    return f->measured_nodes * f->measured_ranks_per_node;
}

/* What comes before and after the work: its wall time, and of that files and MPI. */
static void add_start(double wall, double files, double mpi, int ranks, pv_prediction *p)
{
    const double waiting = ranks > 1 ? mpi : 0;
    p->io_s += files;
    p->idle_s += waiting;
    p->compute_s += fmax(0, wall - files - waiting);
}

/* The wall time, the bar with `doubt` seconds to either side, what the nodes cost. */
static void conclude(const pv_figures *f, int nodes, int ranks, double error, double doubling, double doubt,
                     pv_prediction *p)
{
    const double beyond = fmax(0, log2(ranks / measured_ranks(f)));
    const double relative = sqrt(f->spread * f->spread + pow(error + doubling * beyond, 2));
    p->wall_s = p->compute_s + p->io_s + p->communication_s + p->idle_s;
    p->low_s = fmax(0, p->wall_s * (1 - relative) - doubt);
    p->high_s = p->wall_s * (1 + relative) + doubt;
    p->node_hours = nodes * p->wall_s / 3600;
    p->largest = p->io_s >= fmax(p->communication_s, p->idle_s) ? "files"
                 : p->idle_s >= p->communication_s              ? "waiting for the slowest rank"
                 : p->gradient_s >= p->small_s                  ? "reducing gradients"
                                                                : "small reductions";
}

static double file_mib(const pv_workload *work)
{
    enum { ROW_EXTRA = 1 + 8 + 4 + 4, OBJECT_BYTES = 4 + 1 + 8 };
    const double rows = (double)work->objects * (double)work->views;
    return (rows * (4.0 * (double)work->params + ROW_EXTRA) + (double)work->objects * OBJECT_BYTES) / 0x1p20;
}

pv_prediction pv_plan_fit(const pv_figures *f, const pv_workload *work, int nodes, int ranks_per_node)
{
    const int ranks = nodes * ranks_per_node;
    const pv_machine m = machine_of(f, nodes, ranks_per_node);
    const double each = (double)work->rows / ranks;
    const double row_s = (double)work->steps * f->fit_step_s + f->view_s;
    pv_prediction p = {.compute_s = each * row_s};
    p.io_s = each * f->view_io_s + fmax(0, ranks - measured_ranks(f)) * f->open_rank_s;
    /* Fetches are hidden behind work unless rank 0 cannot serve them in that time. */
    const double items = (double)work->rows / TAIL_ROWS;
    const double served = pv_cost_counter_fetches(items, nodes) * f->counter_s;
    p.small_s = AGREEMENTS * pv_cost_allreduce(&m, AGREEMENT_BYTES, NULL) + fmax(0, served - p.compute_s);
    p.communication_s = p.small_s;
    /* The last chunk ends for one rank when the others are, on average, half a chunk ahead. */
    if (ranks > 1) p.idle_s = 0.5 * TAIL_ROWS * (row_s + f->view_io_s);
    add_start(f->fit_start_s, f->fit_start_io_s, f->fit_start_mpi_s, ranks, &p);
    conclude(f, nodes, ranks, fit_error, fit_doubling, 0, &p);
    p.node_mib = (double)work->objects * (double)work->object_bytes / 0x1p20 + ranks_per_node * f->rank_mib;
    p.file_mib = file_mib(work);
    return p;
}

/* Samples of the rank that has most, over all batches of an epoch. */
static double samples_of_busiest(const pv_workload *work, int ranks)
{
    const double full = floor((double)work->train_samples / (double)work->batch);
    const double rest = (double)work->train_samples - full * (double)work->batch;
    return full * ceil((double)work->batch / ranks) + ceil(rest / ranks);
}

/* What a step's reductions take by the models. */
typedef struct step_messages {
    double gradient, small; /* that ranks wait for */
    double doubt;           /* of the gradient, to either side */
} step_messages;

static double reduce_gradient(const pv_machine *m, double bytes, bool narrow)
{
    return narrow ? pv_cost_narrow_allreduce(m, bytes) : pv_cost_allreduce(m, bytes, NULL);
}

/* The gradient of a layer is reduced while backward goes on to the layers before.  How much of that is
 * hidden, between none and as much as backward is long, depends on how MPI gets on between its calls: half
 * of it is taken, and the rest is doubt. */
static step_messages reductions(const pv_figures *f, const pv_machine *m, bool narrow, double samples)
{
    enum { LAST_BYTES = 1 << 16 }; /* of the first layer's, with nothing left to hide behind (pv_reducer) */
    const double backward = 2.0 / 3 * samples * f->train_sample_s;
    const double all = reduce_gradient(m, f->gradient_bytes, narrow);
    const double last = fmin(all, reduce_gradient(m, LAST_BYTES, narrow));
    const double hidden = fmin(all - last, backward);
    return (step_messages){.gradient = all - hidden / 2,
                           .small = f->small_reductions * pv_cost_allreduce(m, f->small_bytes, NULL),
                           .doubt = hidden / 2};
}

/* What ranks spend in MPI a step.  Where that was measured, the models are scaled down to it if they say
 * more, and what they leave unexplained is waiting, which grows with the depth of the tree. */
static step_messages step_in_mpi(const pv_figures *f, const pv_machine *m, bool narrow, double samples,
                                 double *idle)
{
    const int ranks = m->nodes * m->ranks_per_node;
    step_messages here = reductions(f, m, narrow, samples);
    *idle = 0;
    if (ranks == 1 || measured_ranks(f) < 2 || f->train_mpi_step_s <= 0) return here;
    const pv_machine m_there = machine_of(f, (int)f->measured_nodes, (int)f->measured_ranks_per_node);
    const step_messages there = reductions(f, &m_there, narrow, samples);
    const double modelled = there.gradient + there.small;
    const double scale = modelled > f->train_mpi_step_s ? f->train_mpi_step_s / modelled : 1;
    here.gradient *= scale;
    here.small *= scale;
    here.doubt *= scale;
    *idle = (f->train_mpi_step_s - scale * modelled) * log2(ranks) / log2(measured_ranks(f));
    return here;
}

pv_prediction pv_plan_train(const pv_figures *f, const pv_workload *work, int nodes, int ranks_per_node)
{
    const int ranks = nodes * ranks_per_node;
    const pv_machine m = machine_of(f, nodes, ranks_per_node);
    const double epochs = (double)work->epochs, row_mib = (double)work->params * 4 / 0x1p20;
    const double steps = epochs * ceil((double)work->train_samples / (double)work->batch);
    const double samples = samples_of_busiest(work, ranks), rows = (double)work->train_rows / ranks;
    const double scored =
        epochs * ceil((double)work->val_samples / ranks) + ceil((double)work->test_samples / ranks);
    double idle;
    const step_messages step = step_in_mpi(f, &m, work->narrow, samples * epochs / steps, &idle);
    pv_prediction p = {.compute_s = steps * f->train_step_s + epochs * samples * f->train_sample_s +
                                    scored * f->eval_sample_s + rows * f->row_load_s,
                       .gradient_s = steps * step.gradient,
                       .small_s = steps * step.small};
    p.communication_s = p.gradient_s + p.small_s;
    if (work->sharded)
        p.communication_s +=
            epochs * samples * pv_cost_fetch(&m, (double)work->params * 4) * (ranks - 1) / ranks;
    /* While one rank writes what an epoch leaves, the others wait. */
    p.idle_s = steps * idle + epochs * f->epoch_s * (ranks - 1) / ranks;
    p.io_s = rows * f->row_io_s + epochs * f->epoch_s / ranks +
             fmax(0, ranks - measured_ranks(f)) * f->open_rank_s;
    add_start(f->train_start_s, f->train_start_io_s, f->train_start_mpi_s, ranks, &p);
    conclude(f, nodes, ranks, train_error, train_doubling, steps * step.doubt, &p);
    p.node_mib = (double)work->train_rows * row_mib / (work->sharded ? nodes : 1) +
                 ranks_per_node * (f->rank_mib + f->model_mib);
    p.file_mib = f->gradient_bytes * 4 / 0x1p20; /* the model, and the checkpoint with two moments */
    return p;
}

#define FIGURE(name)                                                                                         \
    {                                                                                                        \
#name, offsetof(pv_figures, name)                                                                    \
    }
static const struct {
    const char *name;
    size_t place;
} table[] = {FIGURE(measured_nodes),
             FIGURE(measured_ranks_per_node),
             FIGURE(spread),
             FIGURE(fit_step_s),
             FIGURE(view_s),
             FIGURE(view_io_s),
             FIGURE(fit_start_s),
             FIGURE(fit_start_io_s),
             FIGURE(fit_start_mpi_s),
             FIGURE(train_step_s),
             FIGURE(train_sample_s),
             FIGURE(train_mpi_step_s),
             FIGURE(gradient_bytes),
             FIGURE(small_reductions),
             FIGURE(small_bytes),
             FIGURE(eval_sample_s),
             FIGURE(epoch_s),
             FIGURE(train_start_s),
             FIGURE(train_start_io_s),
             FIGURE(train_start_mpi_s),
             FIGURE(row_load_s),
             FIGURE(row_io_s),
             FIGURE(counter_s),
             FIGURE(open_rank_s),
             FIGURE(rank_mib),
             FIGURE(model_mib),
             {"latency_inside_s", offsetof(pv_figures, links.inside.latency)},
             {"byte_inside_s", offsetof(pv_figures, links.inside.byte_seconds)},
             {"latency_between_s", offsetof(pv_figures, links.between.latency)},
             {"byte_between_s", offsetof(pv_figures, links.between.byte_seconds)}};
enum { FIGURES = sizeof table / sizeof *table };

json_t *pv_figures_json(const pv_figures *figures)
{
    json_t *object = json_object();
    for (int i = 0; i < FIGURES; i++) {
        double number;
        memcpy(&number, (const char *)figures + table[i].place, sizeof number);
        json_object_set_new(object, table[i].name, json_real(number));
    }
    return object;
}

pv_status pv_figures_read(const char *path, pv_figures *figures)
{
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!file) return pv_fail(PV_ERR_DATA, "'%s' line %d: %s", path, error.line, error.text);
    const json_t *inner = json_object_get(file, "figures"), *object = inner ? inner : file;
    pv_status st = PV_OK;
    *figures = (pv_figures){.links = {.nodes = 1, .ranks_per_node = 1}};
    for (int i = 0; st == PV_OK && i < FIGURES; i++) {
        const json_t *value = json_object_get(object, table[i].name);
        const double number = json_number_value(value);
        if (!json_is_number(value) || !(number >= 0))
            st = pv_fail(PV_ERR_DATA, "'%s' has no figure '%s' from 0 up: `polyview plan` prints whole ones",
                         path, table[i].name);
        memcpy((char *)figures + table[i].place, &number, sizeof number);
    }
    const double nodes = figures->measured_nodes, ranks = figures->measured_ranks_per_node;
    if (st == PV_OK && (nodes < 1 || ranks < 1 || nodes * ranks > INT32_MAX))
        st = pv_fail(PV_ERR_DATA, "'%s': figures cannot have been measured on %g nodes of %g ranks", path,
                     nodes, ranks);
    json_decref(file);
    return st;
}
