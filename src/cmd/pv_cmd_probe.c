/* `polyview probe`: judges frozen features. */
#include "base/pv_clock.h"
#include "cmd/pv_commands.h"
#include "run/pv_probe_run.h"

typedef enum features { BY_MODEL, RAW, ALIGNED } features;
typedef enum scale { BY_PROBE, NONE, STANDARD } scale;

/* The words of the command line. */
typedef struct words {
    pv_pick method;
    const char *store, *model, *untrained, *against, *output;
    features features;
    unsigned targets;
    scale scale;
    pv_span views;
    int64_t labels_per_class;
    uint64_t seed;
} words;

static const char *const feature_names[] = {"model", "raw", "aligned", NULL}, /* by features */
    *const target_names[] = {"label", "object", NULL}, *const scale_names[] = {"probe", "none", "std", NULL};

static const pv_option options[] = {
    {PV_KEY(words, store), .required = true, .value = "STORE", .meaning = "whose INRs are judged"},
    {PV_KEY(words, method), .registry = &pv_probes, .required = true, .meaning = "the probe"},
    {PV_KEY(words, model), .value = "MODEL", .meaning = "makes the features: a model file"},
    {PV_KEY(words, untrained), .value = "CONFIG", .meaning = "or the model of a config as it is initialised"},
    {PV_KEY(words, features), .choices = feature_names, .initial = "model",
     .meaning = "or the weights themselves, as they are or matched to those of one object"},
    {PV_KEY(words, targets), .choices = target_names, .initial = "label",
     .meaning = "what is predicted: the class, or the real targets of a store that has some"},
    {PV_KEY(words, views), .initial = "0", .meaning = "views of the train split; cka: of the test split"},
    {PV_KEY(words, labels_per_class), PV_AT_LEAST(0), .initial = "0",
     .meaning = "trains on N objects of each class, drawn by --seed; 0: on all"},
    {PV_KEY(words, seed), .initial = "1", .meaning = "of that draw, and of --untrained"},
    {PV_KEY(words, scale), .choices = scale_names, .initial = "probe",
     .meaning = "standardises features by the train split; probe: for ridge and krr"},
    {PV_KEY(words, against), .value = "MODEL", .meaning = "cka: the other model, for the same one"},
    {PV_KEY(words, output), .value = "FILE.h5",
     .meaning = "where predictions or coordinates of the test split go"},
    {0}};

/* Exactly one of --model, --untrained and --features makes the features. */
static pv_status check_words(const words *w)
{
    const pv_probe *probe = (const pv_probe *)w->method.plugin;
    if ((w->model != NULL) + (w->untrained != NULL) + (w->features != BY_MODEL) != 1)
        return pv_fail(PV_ERR_USAGE, "probe needs one of --model, --untrained and --features; see `polyview "
                                     "probe --help`");
    return probe->check ? probe->check(w->method.options) : PV_OK;
}

static pv_status compare(const pv_probe_job *job, const pv_probe *probe, const words *w,
                         const pv_probe_source *source, const pv_probe_sampling *sampling,
                         const pv_store *store)
{
    const pv_probe_source against = {.model = w->against};
    pv_probe_views one = {0}, other = {0};
    pv_status st;
    PV_TRY(pv_probe_views_open(job->comm, store, source, sampling, &one));
    if (w->against) PV_TRY(pv_probe_views_open(job->comm, store, &against, sampling, &other));
    PV_TRY(probe->compare(job, &one, w->against ? &other : &one));
    pv_json_int(job->result, "width", one.of[0].width);
    pv_json_int(job->result, "test", one.of[0].samples);
done:
    pv_probe_views_close(&one);
    pv_probe_views_close(&other);
    return st;
}

static pv_status judge(const pv_probe_job *job, const pv_probe *probe, const words *w,
                       const pv_probe_source *source, const pv_probe_sampling *sampling,
                       const pv_store *store)
{
    pv_probe_data data = {0};
    const double start = pv_seconds();
    pv_status st;
    PV_TRY(pv_probe_data_open(job->comm, store, source, sampling, &data));
    if (w->scale == BY_PROBE ? probe->standardised : w->scale == STANDARD)
        PV_TRY(pv_probe_data_scale(job->comm, &data));
    pv_json_int(job->result, "width", data.train.width);
    pv_json_int(job->result, "train", data.train.samples);
    pv_json_int(job->result, "val", data.val.samples);
    pv_json_int(job->result, "test", data.test.samples);
    pv_json_real(job->result, "features_seconds", pv_seconds() - start);
    st = probe->judge(job, &data);
done:
    pv_probe_data_close(&data);
    return st;
}

static pv_status run_probe(const pv_comm *comm, const pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    const pv_probe *probe = (const pv_probe *)w->method.plugin;
    const pv_probe_job job = {comm, w->method.options, w->output, result};
    const pv_probe_source source = {
        .model = w->model, .untrained = w->untrained, .aligned = w->features == ALIGNED};
    const pv_probe_sampling sampling = {.first_view = w->views.first,
                                        .views = w->views.count,
                                        .per_class = w->labels_per_class,
                                        .seed = w->seed,
                                        .object_targets = w->targets == 1};
    pv_store *store = NULL;
    pv_status st;
    const double start = pv_seconds();
    PV_TRY(pv_agree(comm, check_words(w)));
    PV_TRY(pv_store_open(comm, w->store, PV_STORE_READ, NULL, &store));
    pv_json_text(result, "method", probe->plugin.name);
    pv_json_text(result, "store", w->store);
    pv_json_text(result, "features",
                 w->model       ? w->model
                 : w->untrained ? "untrained"
                                : feature_names[w->features]);
    PV_TRY((probe->compare ? compare : judge)(&job, probe, w, &source, &sampling, store));
    pv_json_real(result, "seconds", pv_seconds() - start);
    pv_result_machine(comm, result);
done:
    if (st != PV_OK) json_object_clear(result);
    pv_store_close(store);
    if (st == PV_OK) pv_run_record(comm, run, w->model ? w->model : w->store, NULL, st, result);
    return st;
}

const pv_command pv_command_probe = {
    .plugin = {.name = "probe",
               .help = "judge frozen features: ridge, kernel ridge, neighbours, components",
               .options = options,
               .options_size = sizeof(words)},
    .about =
        "Makes features of INRs, in parallel: of a frozen model (what its last linear map is given; of a simclr\n"
        "model the embedding), of a model as a config initialises it, or the weights themselves.  Fits a probe to\n"
        "the train split, chooses its hyperparameter on the validation split, and judges it on view 0 of the\n"
        "test split.\n",
    .run = run_probe,
};
