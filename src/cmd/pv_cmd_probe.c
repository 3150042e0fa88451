/* `polyview probe`: judges frozen features. */
#include "base/pv_clock.h"
#include "cmd/pv_commands.h"
#include "parallel/pv_output.h"
#include "probe/pv_probe.h"
#include "data/pv_row_statistics.h"
#include "probe/pv_probe_data.h"
#include "run/pv_open.h"
#include "symmetry/pv_symmetry.h"
#include "train/pv_task.h"

enum { BATCH = 128 };
typedef enum features { BY_MODEL, RAW, ALIGNED } features;
typedef enum scale { BY_PROBE, NONE, STANDARD } scale;

/* The words of the command line. */
typedef struct words {
    pv_pick method;
    char *store, *model, *untrained, *against, *output;
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
    {PV_KEY(words, store), .path = true, .required = true, .value = "STORE",
     .meaning = "whose INRs are judged"},
    {PV_KEY(words, method), .registry = &pv_probes, .required = true, .meaning = "the probe"},
    {PV_KEY(words, model), .path = true, .value = "MODEL", .meaning = "makes the features: a model file"},
    {PV_KEY(words, untrained), .value = "CONFIG", .meaning = "or the model of a config as it is initialised"},
    {PV_KEY(words, features), .choices = feature_names, .initial = "model",
     .meaning =
         "or the weights, as they are or matched to those of one object, with signs if units have them"},
    {PV_KEY(words, targets), .choices = target_names, .initial = "label",
     .meaning = "what is predicted: the class, or the real targets of a store that has some"},
    {PV_KEY(words, views), .initial = "0", .meaning = "views of the train split; cka: of the test split"},
    {PV_KEY(words, labels_per_class), PV_AT_LEAST(0), .initial = "0",
     .meaning = "trains on N objects of each class, drawn by --seed; 0: on all"},
    {PV_KEY(words, seed), .initial = "1", .meaning = "of that draw, and of --untrained"},
    {PV_KEY(words, scale), .choices = scale_names, .initial = "probe",
     .meaning = "standardises features by the train split; probe: for ridge and krr"},
    {PV_KEY(words, against), .path = true, .value = "MODEL",
     .meaning = "cka: the other model, for the same one"},
    {PV_KEY(words, output), .path = true, .value = "FILE.h5",
     .meaning = "where predictions or coordinates of the test split go"},
    {0}};

/* What probes write. */
static const char *const outputs[] = {"predictions", "coordinates", NULL};

/* Exactly one of --model, --untrained and --features makes the features. */
static pv_status check_words(const words *w)
{
    const pv_probe *probe = (const pv_probe *)w->method.plugin;
    if ((w->model != NULL) + (w->untrained != NULL) + (w->features != BY_MODEL) != 1)
        return pv_fail(PV_ERR_USAGE, "probe needs one of --model, --untrained and --features; see `polyview "
                                     "probe --help`");
    return pv_probe_check(probe, w->method.options);
}

/* Where features come from: a model file, the model of a config as it is initialised, or (both NULL) the
 * weights. */
typedef struct feature_source {
    const char *model, *untrained;
    bool aligned; /* weights: matched to those of the first training object */
} feature_source;

/* What a source needs to make features. */
typedef struct feature_maker {
    pv_open_model of; /* of the weights themselves, only the form of its head */
    pv_representation how;
} feature_maker;

/* The model that training by a config starts from. */
static pv_status draw_model(const pv_comm *comm, const pv_store *store, const char *path, uint64_t seed,
                            pv_open_model *m)
{
    const pv_words none = {0};
    pv_status st;
    PV_TRY(pv_config_of_file(comm, path, &none, &m->config));
    const pv_train_opts *opts = &m->config->train;
    m->head.classes = pv_task_of(opts)->outputs(opts, pv_store_signal(store)->classes);
    PV_TRY(pv_agree(comm, pv_open_fresh(store, opts->seed, &m->config->train.form.fresh)));
    PV_TRY(pv_agree(comm, pv_row_form_make(&opts->form, pv_store_arch(store), &m->head.form)));
    PV_TRY(pv_open_model_make(comm, store, BATCH, m));
    pv_model_init(m->model, seed);
done:
    return st;
}

/* What is measured on the train split: the statistics of an untrained model's form, the reference of matched
 * rows. */
static pv_status measure(const pv_comm *comm, const pv_store *store, const pv_probe_sampling *sampling,
                         const pv_representation *how)
{
    pv_dataset *train = NULL;
    pv_status st;
    PV_TRY(pv_representation_rows(comm, store, how, PV_SPLIT_TRAIN, sampling->first_view, sampling->views,
                                  &train));
    if (how->form->opts.align != PV_ALIGN_NONE && !how->form->reference)
        PV_TRY(pv_fail(PV_ERR_DATA, "there is no training object to match others to"));
    st = pv_row_statistics_measure(comm, train, how->form);
done:
    pv_dataset_close(train);
    return st;
}

/* The caller closes m->of, also after a failure. */
static pv_status open_maker(const pv_comm *comm, const pv_store *store, const feature_source *source,
                            const pv_probe_sampling *sampling, feature_maker *m)
{
    const bool signs = pv_symmetry_kinds(pv_store_arch(store)) & PV_SYMMETRY_SIGNS;
    const pv_row_form_opts aligned = {.align = signs ? PV_ALIGN_SIGNED : PV_ALIGN_PERMUTATION,
                                      .normalise = PV_NORMALISE_NONE};
    pv_row_form *const form = &m->of.head.form;
    pv_status st = PV_OK;
    if (source->model) st = pv_open_model_file(comm, source->model, store, BATCH, &m->of);
    if (source->untrained) st = draw_model(comm, store, source->untrained, sampling->seed, &m->of);
    if (source->aligned) st = pv_agree(comm, pv_row_form_make(&aligned, pv_store_arch(store), form));
    m->how = (pv_representation){.model = m->of.model,
                                 .form = form->params > 0 ? form : NULL,
                                 .max_batch = BATCH,
                                 .outputs = m->of.head.classes};
    if (st == PV_OK && m->how.form && (source->untrained || source->aligned))
        st = measure(comm, store, sampling, &m->how);
    return st;
}

/* A probe at work. */
typedef struct study {
    const words *w;
    const pv_probe *probe;
    pv_probe_job job;
    pv_probe_sampling sampling;
    pv_store *store;
    feature_maker maker;
} study;

static pv_status compare(study *s)
{
    const pv_comm *comm = s->job.comm;
    const feature_source source = {.model = s->w->against};
    feature_maker against = {0};
    pv_probe_views one = {0}, other = {0};
    pv_status st;
    PV_TRY(pv_probe_views_open(comm, s->store, &s->maker.how, &s->sampling, &one));
    if (source.model) PV_TRY(open_maker(comm, s->store, &source, &s->sampling, &against));
    if (source.model) PV_TRY(pv_probe_views_open(comm, s->store, &against.how, &s->sampling, &other));
    PV_TRY(s->probe->compare(&s->job, &one, source.model ? &other : &one));
    pv_json_int(s->job.result, "width", one.of[0].width);
    pv_json_int(s->job.result, "test", one.of[0].samples);
done:
    pv_probe_views_close(&one);
    pv_probe_views_close(&other);
    pv_open_model_close(&against.of);
    return st;
}

static pv_status judge(study *s, double start)
{
    const bool standardised = s->w->scale == BY_PROBE ? s->probe->standardised : s->w->scale == STANDARD;
    json_t *result = s->job.result;
    pv_probe_data data = {0};
    pv_status st;
    PV_TRY(pv_probe_data_open(s->job.comm, s->store, &s->maker.how, &s->sampling, &data));
    if (standardised) PV_TRY(pv_probe_data_scale(s->job.comm, &data));
    pv_json_int(result, "width", data.train.width);
    pv_json_int(result, "train", data.train.samples);
    pv_json_int(result, "val", data.val.samples);
    pv_json_int(result, "test", data.test.samples);
    pv_json_real(result, "features_seconds", pv_seconds() - start);
    st = pv_probe_judge(s->probe, &s->job, &data);
done:
    pv_probe_data_close(&data);
    return st;
}

static pv_status run_probe(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    const pv_probe *probe = (const pv_probe *)w->method.plugin;
    const feature_source source = {w->model, w->untrained, w->features == ALIGNED};
    study s = {.w = w,
               .probe = probe,
               .job = {comm, w->method.options, w->output, result},
               .sampling = {.first_view = w->views.first,
                            .views = w->views.count,
                            .per_class = w->labels_per_class,
                            .seed = w->seed,
                            .object_targets = w->targets == 1,
                            .unlabelled = probe->judge != NULL}};
    pv_status st;
    const double start = pv_seconds();
    PV_TRY(pv_agree(comm, check_words(w)));
    if (w->output) PV_TRY(pv_output_check(comm, "--output", w->output, outputs));
    PV_TRY(pv_store_open(comm, w->store, PV_STORE_READ, NULL, &s.store));
    pv_json_text(result, "method", s.probe->plugin.name);
    pv_json_text(result, "store", w->store);
    pv_json_text(result, "features",
                 w->untrained ? "untrained"
                 : w->model   ? w->model
                              : feature_names[w->features]);
    PV_TRY(pv_agree(comm, pv_open_tell_init(s.store, result)));
    const double begin = pv_seconds();
    PV_TRY(open_maker(comm, s.store, &source, &s.sampling, &s.maker));
    PV_TRY(s.probe->compare ? compare(&s) : judge(&s, begin));
    pv_json_real(result, "seconds", pv_seconds() - start);
    pv_result_machine(comm, result);
    pv_run_keep(run, w->model ? w->model : w->store, NULL);
done:
    if (st != PV_OK) json_object_clear(result);
    pv_open_model_close(&s.maker.of);
    pv_store_close(s.store);
    return st;
}

const pv_command pv_command_probe = {
    .plugin = {.name = "probe",
               .help = "judge frozen features: ridge, kernel ridge, neighbours, components",
               PV_OWN(options, words)},
    .about =
        "Makes features of INRs, in parallel: of a frozen model (what its last linear map is given; of a\n"
        "simclr model the embedding), of a model as a config initialises it, or the weights themselves.\n"
        "Fits a probe to the train split, chooses its hyperparameter on the validation split, and judges it\n"
        "on view 0 of the test split.\n",
    .run = run_probe,
};
