/* Measures the figures of a plan with a few fits and epochs of its config. */
#include "plan/pv_plan.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"
#include "base/pv_stop.h"
#include "run/pv_timed_fits.h"
#include "run/pv_timing.h"
#include "plan/pv_comm_measure.h"
#include "data/pv_dataset.h"
#include "train/pv_task.h"
#include "train/pv_trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WINDOWS = 5, LEAST_EPOCHS = 4, TRAIN_OBJECTS = 2048, SCORED_OBJECTS = 256 };
static const double window_seconds = 0.3, fill_seconds = 4, train_seconds = 2;
static const double much_spread = 0.1; /* an undisturbed core is within some per cent */
/* Not measurable without a parallel file system: what its metadata server takes for one more client. */
static const double open_rank_seconds = 20e-6;

/* The measuring of one config; one owner. */
typedef struct probe {
    const pv_comm *comm;
    const pv_run_config *config;
    pv_signal *signal; /* a part of the config's */
    char store[PV_TIMING_PATH], model[PV_TIMING_PATH + 16];
    char *yaml;
    pv_figures *figures;
} probe;

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

pv_status pv_plan_workload(const pv_comm *comm, const pv_run_config *config, pv_workload *work)
{
    pv_signal *signal = NULL;
    pv_arch arch;
    const pv_train_opts *t = &config->train;
    pv_status st;
    PV_TRY(pv_signal_open(comm, &config->signal, &signal));
    PV_TRY(pv_agree(comm, pv_arch_make(&config->inr, pv_signal_form(signal)->inputs,
                                       pv_signal_form(signal)->channels, config->fit.seed, &arch)));
    const int64_t objects = pv_signal_objects(signal), train = pv_signal_count(signal, PV_SPLIT_TRAIN);
    const int64_t val = pv_signal_count(signal, PV_SPLIT_VAL), test = pv_signal_count(signal, PV_SPLIT_TEST);
    const bool mixes_all = pv_augment_partner_views(&config->augment) == PV_PARTNER_VIEWS_ALL;
    const int64_t views = mixes_all && config->fit.views > t->views ? config->fit.views : t->views;
    *work = (pv_workload){.rows = config->fit.views * objects,
                          .steps = config->fit.steps,
                          .params = pv_arch_params(&arch),
                          .objects = objects,
                          .views = config->fit.views,
                          .object_bytes =
                              (int64_t)pv_signal_form(signal)->samples * pv_signal_form(signal)->channels,
                          .train_samples = t->random_view ? train : t->views * train,
                          .val_samples = val,
                          .test_samples = test,
                          .train_rows = views * train + val + test,
                          .epochs = t->epochs,
                          .batch = t->batch,
                          .sharded = t->placement == PV_PLACE_JOB,
                          .narrow = t->wire == PV_WIRE_BFLOAT16};
done:
    pv_signal_close(signal);
    return st;
}

/* Reads the whole source, for its time, and then the part that is used here. */
static pv_status open_signal(probe *p)
{
    pv_signal_opts opts = p->config->signal;
    pv_signal *whole = NULL;
    const double start = pv_seconds();
    const pv_meter before = pv_meter_read();
    pv_status st = pv_signal_open(p->comm, &opts, &whole);
    p->figures->fit_start_s = pv_seconds() - start;
    if (st == PV_OK) st = pv_agree(p->comm, pv_signal_settle(whole, &opts));
    pv_signal_close(whole);
    if (st != PV_OK) return st;
    pv_timing_add_spent(p->comm, &before, &p->figures->fit_start_io_s, &p->figures->fit_start_mpi_s);
    opts.train = fmin(opts.train, TRAIN_OBJECTS);
    opts.val = fmin(opts.val, SCORED_OBJECTS);
    opts.test = fmin(opts.test, SCORED_OBJECTS);
    return pv_signal_open(p->comm, &opts, &p->signal);
}

/* Adam steps on all ranks at once, window after window: their spread, and about how long one takes. */
static pv_status time_steps(probe *p)
{
    pv_timed_fits *fits = NULL;
    double step[WINDOWS], mean = 0, deviation = 0, rate, core_share;
    pv_status st;
    PV_TRY(pv_agree(p->comm, pv_timed_fits_open(p->config, p->signal, &fits)));
    for (int i = 0; i < WINDOWS; i++) {
        MPI_Barrier(p->comm->world);
        PV_TRY(pv_agree(p->comm, pv_timed_fits_rate(fits, window_seconds, &rate, &core_share)));
        step[i] = 1 / rate;
        MPI_Allreduce(MPI_IN_PLACE, &step[i], 1, MPI_DOUBLE, MPI_SUM, p->comm->world);
        step[i] /= p->comm->size;
        mean += step[i] / WINDOWS;
        PV_TRY(pv_agree(p->comm, pv_stop_requested() ? pv_stop_fail() : PV_OK));
    }
    for (int i = 0; i < WINDOWS; i++)
        deviation += (step[i] - mean) * (step[i] - mean) / (WINDOWS - 1);
    p->figures->fit_step_s = mean;
    p->figures->spread = sqrt(deviation) / mean;
done:
    pv_timed_fits_close(fits);
    return st;
}

/* Fills a store of a part of the source twice, with fits of one step and of as many as take a while: as
 * `fit` does it, with everything that comes between the steps. */
static pv_status time_filling(probe *p)
{
    pv_figures *const f = p->figures;
    pv_timed_fill one = {0}, many = {0};
    const double each = (double)pv_signal_objects(p->signal) / p->comm->size;
    const int64_t wanted = 2 + (int64_t)(fill_seconds / (each * f->fit_step_s));
    const int64_t steps = at_most(wanted, p->config->fit.steps);
    const pv_storage_opts *storage = &p->config->storage;
    pv_status st = pv_time_fill(p->comm, p->config, p->signal, p->store, storage, steps, &many);
    if (p->comm->rank == 0) unlink(p->store);
    if (st == PV_OK) st = pv_time_fill(p->comm, p->config, p->signal, p->store, storage, 1, &one);
    if (st != PV_OK) return st;
    const double computed = (many.fill - many.files) - (one.fill - one.files);
    if (computed > 1) { /* less would drown in the noise of the files */
        const double before = f->fit_step_s;
        f->fit_step_s = computed * p->comm->size / (double)(many.steps - one.steps);
        f->spread = fmax(f->spread, fabs(f->fit_step_s / before - 1));
    }
    f->view_io_s = one.files / each;
    f->view_s = fmax(0, (one.fill - one.files) / each - f->fit_step_s);
    f->fit_start_s += one.create + one.open + one.close;
    f->fit_start_io_s += one.around_files;
    f->fit_start_mpi_s += one.around_mpi;
    return PV_OK;
}

/* What some epochs took. */
typedef struct epochs_took {
    double wall, steps; /* seconds of rank 0 */
    double mpi, files;  /* means over the ranks */
    double reductions, reduced_bytes, gradient_bytes;
} epochs_took;

static pv_status run_epochs(probe *p, const pv_store *store, int64_t batch, int64_t epochs, epochs_took *took)
{
    pv_train_opts opts = p->config->train;
    pv_train_result result;
    opts.output = p->model;
    opts.views = 1;
    opts.batch = batch;
    opts.epochs = epochs;
    /* A batch other than the config's may be too small for its parts. */
    while (batch % opts.accumulate || batch / opts.accumulate < p->comm->size)
        opts.accumulate--;
    while (opts.micro_batch > 1 && pv_task_leaves(&opts, p->comm->size) < p->comm->size)
        opts.micro_batch /= 2;
    const double start = pv_seconds();
    const pv_meter before = pv_meter_read();
    const pv_status st =
        pv_train(p->comm, store, &p->config->model, &opts, &p->config->augment, p->yaml, NULL, NULL, &result);
    const pv_meter now = pv_meter_read(), spent = pv_meter_between(&before, &now);
    if (st != PV_OK) return st;
    *took = (epochs_took){.wall = pv_seconds() - start,
                          .steps = (double)(result.samples * epochs) / result.samples_per_s,
                          .reductions = (double)spent.allreduces,
                          .reduced_bytes = (double)spent.allreduce_bytes,
                          .gradient_bytes = (double)result.parameters * 4};
    MPI_Bcast(took, sizeof *took, MPI_BYTE, 0, p->comm->world);
    pv_timing_add_spent(p->comm, &before, &took->files, &took->mpi);
    return PV_OK;
}

/* An epoch alone: what a run of more of them took beyond a run of one. */
static pv_status time_epoch(probe *p, const pv_store *store, int64_t batch, epochs_took *first,
                            epochs_took *epoch)
{
    epochs_took more;
    pv_status st = run_epochs(p, store, batch, 1, first);
    if (st != PV_OK) return st;
    /* Tiny epochs are mostly the files at their ends: those take their time too. */
    const double wanted = ceil(fmin(train_seconds / first->steps, 3 * train_seconds / first->wall));
    /* Few short ones drown in the noise of the first; over a slow network one is long. */
    const double again = first->steps > train_seconds ? 1 : fmax(wanted, LEAST_EPOCHS);
    st = run_epochs(p, store, batch, 1 + (int64_t)again, &more);
    if (st != PV_OK) return st;
    *epoch = (epochs_took){.wall = (more.wall - first->wall) / again,
                           .steps = (more.steps - first->steps) / again,
                           .mpi = fmax(0, more.mpi - first->mpi) / again,
                           .files = fmax(0, more.files - first->files) / again,
                           .reductions = (more.reductions - first->reductions) / again,
                           .reduced_bytes = (more.reduced_bytes - first->reduced_bytes) / again,
                           .gradient_bytes = more.gradient_bytes};
    return PV_OK;
}

static double per_rank(int64_t count, const pv_comm *comm)
{
    return ceil((double)count / comm->size);
}

/* Of an epoch's MPI what is within its steps: the rest is waiting while rank 0 writes. */
static double mpi_of_steps(const epochs_took *epoch, int ranks)
{
    const double most = 0.9; /* in tiny epochs what comes after the last step is as much as they */
    return fmin(most * epoch->steps, fmax(0, epoch->mpi - epoch->files * (ranks - 1)));
}

/* The cost of a step at two sizes of a rank's share of a batch: a line. */
static pv_status time_training(probe *p, const pv_store *store, int64_t share)
{
    pv_figures *const f = p->figures;
    const int64_t train = pv_signal_count(p->signal, PV_SPLIT_TRAIN);
    const int64_t val = pv_signal_count(p->signal, PV_SPLIT_VAL);
    const int64_t test = pv_signal_count(p->signal, PV_SPLIT_TEST);
    const int ranks = p->comm->size;
    const int64_t most = train / ranks > 0 ? train / ranks : 1;
    const int64_t large = at_most(share, most), small = large > 8 ? large / 4 : at_most(4 * large, most);
    epochs_took start, first, epoch, first_small, epoch_small;
    /* What comes once in a process (pages of memory, connections) is a part of the start, not of an epoch. */
    pv_status st = run_epochs(p, store, large * ranks, 1, &start);
    if (st == PV_OK) st = time_epoch(p, store, large * ranks, &first, &epoch);
    if (st == PV_OK) st = time_epoch(p, store, small * ranks, &first_small, &epoch_small);
    if (st != PV_OK) return st;
    const double steps = ceil((double)train / (double)(large * ranks));
    const double steps_small = ceil((double)train / (double)(small * ranks));
    const double own = per_rank(train, p->comm), loaded = (double)(train + val + test) / ranks;
    const double mpi = mpi_of_steps(&epoch, ranks), computing = epoch.steps - mpi;
    const double computing_small = epoch_small.steps - mpi_of_steps(&epoch_small, ranks);
    /* An epoch computes steps * step_s + own * sample_s. */
    f->train_step_s =
        steps_small != steps ? fmax(0, (computing_small - computing) / (steps_small - steps)) : 0;
    f->train_sample_s = fmax(0, (computing - steps * f->train_step_s) / own);
    f->train_mpi_step_s = ranks > 1 ? mpi / steps : 0;
    f->gradient_bytes = epoch.gradient_bytes;
    f->small_reductions = fmax(0, epoch.reductions / steps - 1);
    f->small_bytes = f->small_reductions > 0
                         ? fmax(8, (epoch.reduced_bytes / steps - f->gradient_bytes) / f->small_reductions)
                         : 0;
    f->epoch_s = epoch.files * ranks;
    const double scoring = fmax(0, epoch.wall - epoch.steps - f->epoch_s);
    f->eval_sample_s = val > 0 && scoring > 0 ? scoring / per_rank(val, p->comm) : f->train_sample_s / 3;
    f->train_start_s = fmax(0, start.wall - epoch.wall - per_rank(test, p->comm) * f->eval_sample_s -
                                   loaded * (f->row_load_s + f->row_io_s));
    f->train_start_io_s = fmin(f->train_start_s, fmax(0, start.files - epoch.files - loaded * f->row_io_s));
    f->train_start_mpi_s = fmin(f->train_start_s - f->train_start_io_s, fmax(0, start.mpi - epoch.mpi));
    return PV_OK;
}

/* Reading rows into memory, with their checksums, forms and frames. */
static pv_status time_loading(probe *p, const pv_store *store)
{
    const pv_match_opts *match = pv_augment_frames(&p->config->augment);
    float *const reference = pv_alloc(pv_store_params(store), sizeof *reference);
    const pv_frames frames = {match ? *match : (pv_match_opts){0}, reference};
    pv_row_form form = {0};
    const pv_dataset_opts opts = {.split = PV_SPLIT_TRAIN,
                                  .views = 1,
                                  .verify = true,
                                  .form = &form,
                                  .frames = match ? &frames : NULL,
                                  .placement = PV_PLACE_NODE};
    pv_dataset *dataset = NULL;
    double files = 0, mpi = 0;
    pv_status st;
    PV_TRY(pv_agree(p->comm, reference ? PV_OK : PV_ERR_NOMEM));
    pv_fresh_draw(&(pv_fresh){0, p->config->inr.variant}, pv_store_arch(store), reference);
    PV_TRY(pv_agree(p->comm, pv_row_form_make(&p->config->train.form, pv_store_arch(store), &form)));
    const double start = pv_seconds();
    const pv_meter before = pv_meter_read();
    PV_TRY(pv_dataset_open(p->comm, store, &opts, &dataset));
    const double seconds = pv_seconds() - start, rows = per_rank(pv_dataset_samples(dataset), p->comm);
    pv_timing_add_spent(p->comm, &before, &files, &mpi);
    p->figures->row_io_s = files / rows;
    p->figures->row_load_s = fmax(0, seconds - files - mpi) / rows;
done:
    pv_dataset_close(dataset);
    pv_row_form_free(&form);
    free(reference);
    return st;
}

static pv_status time_messages(probe *p, int row)
{
    pv_figures *const f = p->figures;
    pv_comm_figures messages;
    const pv_status st =
        pv_comm_measure(p->comm, &p->config->train, (int64_t)(f->gradient_bytes / 4), row, &messages);
    if (st != PV_OK) return st;
    f->links = (pv_machine){1, 1, messages.inside, messages.between};
    f->counter_s = messages.counter;
    f->open_rank_s = open_rank_seconds;
    return PV_OK;
}

static void remove_files(const probe *p)
{
    static const char *const ends[] = {"", ".ckpt", ".jsonl"};
    char path[sizeof p->model + 16];
    if (p->comm->rank != 0) return;
    unlink(p->store);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", p->model, ends[i]);
        unlink(path);
    }
}

static double mebibytes(const pv_comm *comm)
{
    double peak = (double)pv_peak_memory() / 0x1p20;
    MPI_Allreduce(MPI_IN_PLACE, &peak, 1, MPI_DOUBLE, MPI_MAX, comm->world);
    return peak;
}

pv_status pv_figures_measure(const pv_comm *comm, const pv_run_config *config, int64_t share,
                             const char *directory, pv_figures *figures)
{
    probe p = {.comm = comm, .config = config, .figures = figures};
    pv_store *store = NULL;
    pv_status st;
    *figures = (pv_figures){.measured_nodes = comm->nodes, .measured_ranks_per_node = comm->node_size};
    PV_TRY(pv_agree(comm, pv_timing_path(comm, directory, p.store)));
    snprintf(p.model, sizeof p.model, "%s.model", p.store);
    PV_TRY(pv_agree(comm, pv_run_config_emit(config, &p.yaml)));
    PV_TRY(open_signal(&p));
    PV_TRY(time_steps(&p));
    PV_TRY(time_filling(&p));
    figures->rank_mib = mebibytes(comm);
    PV_TRY(pv_store_open(comm, p.store, PV_STORE_READ, NULL, &store));
    PV_TRY(time_loading(&p, store));
    const int verbosity = pv_log_verbosity(0); /* the epochs here are not the user's */
    st = time_training(&p, store, share);
    pv_log_verbosity(verbosity);
    if (st != PV_OK) goto done;
    figures->model_mib = fmax(0, mebibytes(comm) - figures->rank_mib);
    st = time_messages(&p, pv_store_params(store));
    if (comm->rank == 0 && figures->spread > much_spread)
        pv_log_warn("repeated timings differ by %.0f %%: something else "
                    "runs on these cores, and the figures are less sure",
                    100 * figures->spread);
done:
    pv_store_close(store);
    pv_signal_close(p.signal);
    free(p.yaml);
    remove_files(&p);
    return st;
}
