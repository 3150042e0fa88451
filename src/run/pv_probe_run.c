/* Makes the features that `probe` works on. */
#include "run/pv_probe_run.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "data/pv_row_statistics.h"
#include "probe/pv_represent.h"
#include "run/pv_open_model.h"
#include "run/pv_config_source.h"
#include "train/pv_task.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 128 };

/* What a source needs to make features.  Of the weights as they are, only the form of the open model is used. */
typedef struct maker {
    pv_open_model of;
    pv_representation how;
} maker;

/* The model that training by a config starts from. */
static pv_status draw_model(const pv_comm *comm, const pv_store *store, const char *path, uint64_t seed,
                            pv_open_model *m)
{
    const pv_words none = {0};
    pv_status st;
    PV_TRY(pv_config_of_file(comm, path, &none, &m->config));
    const pv_train_opts *opts = &m->config->train;
    m->head.classes = pv_task_of(opts)->outputs(opts, pv_store_classes(store));
    PV_TRY(pv_agree(comm, pv_row_form_make(&opts->form, pv_store_params(store), &m->head.form)));
    PV_TRY(pv_open_model_make(comm, store, BATCH, m));
    pv_model_init(m->model, seed);
done:
    return st;
}

static pv_status open_split(const pv_comm *comm, const pv_store *store, maker *m, uint8_t split, int64_t first,
                            int64_t views, pv_dataset **out)
{
    const pv_dataset_opts opts = {.split = split,
                                  .first_view = first,
                                  .views = views,
                                  .verify = true,
                                  .form = m->of.head.form.params > 0 ? &m->of.head.form : NULL,
                                  .placement = PV_PLACE_JOB};
    return pv_dataset_open(comm, store, &opts, out);
}

/* What is measured on the train split: the statistics of an untrained model's form, the reference of matched rows. */
static pv_status measure(const pv_comm *comm, const pv_store *store, const pv_probe_sampling *sampling,
                         maker *m)
{
    pv_row_form *const form = &m->of.head.form;
    pv_dataset *train = NULL;
    pv_status st;
    PV_TRY(open_split(comm, store, m, PV_SPLIT_TRAIN, sampling->first_view, sampling->views, &train));
    if (form->opts.align != PV_ALIGN_NONE && !form->reference)
        PV_TRY(pv_fail(PV_ERR_DATA, "there is no training object to match others to"));
    st = pv_row_statistics_measure(comm, train, pv_store_arch(store), form);
done:
    pv_dataset_close(train);
    return st;
}

static pv_status maker_open(const pv_comm *comm, const pv_store *store, const pv_probe_source *source,
                            const pv_probe_sampling *sampling, maker *m)
{
    const pv_row_form_opts aligned = {.align = PV_ALIGN_SIGNED, .normalise = PV_NORMALISE_NONE};
    pv_status st = PV_OK;
    if (source->model) st = pv_open_model_file(comm, source->model, store, BATCH, &m->of);
    if (source->untrained) st = draw_model(comm, store, source->untrained, sampling->seed, &m->of);
    if (source->aligned)
        st = pv_agree(comm, pv_row_form_make(&aligned, pv_store_params(store), &m->of.head.form));
    if (st == PV_OK && (source->untrained || source->aligned)) st = measure(comm, store, sampling, m);
    m->how = (pv_representation){
        .model = m->of.model, .form = &m->of.head.form, .max_batch = BATCH, .outputs = m->of.head.classes};
    return st;
}

/* ---- targets ---- */

static pv_status read_targets(const pv_store *store, pv_features *f)
{
    for (int64_t i = 0; i < f->count; i++) {
        float values[PV_SIGNAL_MAX_TARGETS];
        const pv_status st = pv_store_read_targets(store, f->object[i], 1, values);
        if (st != PV_OK) return st;
        for (int t = 0; t < f->targets; t++)
            f->y[i * f->targets + t] = (double)values[t];
    }
    return PV_OK;
}

/* Draws `per_class` objects of each class in the order of a permutation: marks them in `chosen`[objects]. */
static pv_status draw_objects(const pv_dataset *train, const pv_probe_sampling *sampling, int classes,
                              uint8_t *chosen)
{
    const int64_t views = pv_dataset_views(train), objects = pv_dataset_samples(train) / views;
    int64_t *taken = pv_alloc(classes, sizeof *taken);
    pv_status st = taken ? PV_OK : PV_ERR_NOMEM;
    for (int64_t at = 0; st == PV_OK && at < objects; at++) {
        const int64_t i =
            (int64_t)pv_rng_permute(sampling->seed, PV_RNG_SHUFFLE, 0, (uint64_t)objects, (uint64_t)at);
        const int32_t label = pv_dataset_label(train, i * views);
        if (label < 0 || label >= classes)
            st = pv_fail(PV_ERR_DATA, "object %lld has label %d, outside the %d classes",
                         (long long)pv_dataset_object(train, i * views), label, classes);
        else if (taken[label] < sampling->per_class)
            chosen[i] = (uint8_t)(++taken[label] > 0);
    }
    for (int c = 0; st == PV_OK && c < classes; c++)
        if (taken[c] < sampling->per_class)
            st =
                pv_fail(PV_ERR_DATA, "class %d has %lld training objects, not %lld: lower --labels-per-class",
                        c, (long long)taken[c], (long long)sampling->per_class);
    free(taken);
    return st;
}

static pv_status keep_few(const pv_comm *comm, const pv_dataset *train, const pv_probe_sampling *sampling,
                          int classes, pv_features *f)
{
    const int64_t views = pv_dataset_views(train);
    uint8_t *chosen = pv_alloc(pv_dataset_samples(train) / views, 1);
    pv_status st = pv_agree(comm, chosen ? draw_objects(train, sampling, classes, chosen) : PV_ERR_NOMEM);
    if (st == PV_OK) pv_features_keep(comm, f, chosen, views);
    free(chosen);
    return st;
}

/* ---- splits ---- */

static pv_status open_features(const pv_comm *comm, const pv_store *store, maker *m, uint8_t split,
                               const pv_probe_sampling *sampling, pv_features *out)
{
    const bool train = split == PV_SPLIT_TRAIN;
    const int classes = pv_store_classes(store);
    const int targets = sampling->object_targets ? pv_store_targets(store) : classes;
    pv_dataset *dataset = NULL;
    pv_status st;
    PV_TRY(open_split(comm, store, m, split, train ? sampling->first_view : 0, train ? sampling->views : 1,
                      &dataset));
    PV_TRY(pv_represent(comm, &m->how, dataset, targets, out));
    PV_TRY(pv_agree(comm, sampling->object_targets ? read_targets(store, out) : pv_features_one_hot(out)));
    if (train && sampling->per_class > 0) PV_TRY(keep_few(comm, dataset, sampling, classes, out));
done:
    pv_dataset_close(dataset);
    return st;
}

pv_status pv_probe_data_open(const pv_comm *comm, const pv_store *store, const pv_probe_source *source,
                             const pv_probe_sampling *sampling, pv_probe_data *data)
{
    maker m = {0};
    pv_status st;
    *data = (pv_probe_data){.classes = !sampling->object_targets};
    if (sampling->object_targets && pv_store_targets(store) == 0)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' holds no real targets", pv_store_path(store)));
    PV_TRY(maker_open(comm, store, source, sampling, &m));
    PV_TRY(open_features(comm, store, &m, PV_SPLIT_TRAIN, sampling, &data->train));
    PV_TRY(open_features(comm, store, &m, PV_SPLIT_VAL, sampling, &data->val));
    PV_TRY(open_features(comm, store, &m, PV_SPLIT_TEST, sampling, &data->test));
done:
    pv_open_model_close(&m.of);
    return st;
}

void pv_probe_data_close(pv_probe_data *data)
{
    pv_features_free(&data->train);
    pv_features_free(&data->val);
    pv_features_free(&data->test);
}

pv_status pv_probe_data_scale(const pv_comm *comm, pv_probe_data *data)
{
    const pv_features *f = &data->train;
    double *mean = NULL, *deviation = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(mean, f->width);
    PV_ALLOC(deviation, f->width);
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        pv_features_moments(comm, f->samples, f->count, f->width, f->x, mean, deviation);
        pv_features_shift(&data->train, mean, deviation);
        pv_features_shift(&data->val, mean, deviation);
        pv_features_shift(&data->test, mean, deviation);
    }
    free(mean);
    free(deviation);
    return st;
}

pv_status pv_probe_views_open(const pv_comm *comm, const pv_store *store, const pv_probe_source *source,
                              const pv_probe_sampling *sampling, pv_probe_views *views)
{
    maker m = {0};
    pv_status st;
    *views = (pv_probe_views){.of = pv_alloc(sampling->views, sizeof *views->of), .count = sampling->views};
    PV_TRY(pv_agree(comm, views->of ? PV_OK : PV_ERR_NOMEM));
    PV_TRY(maker_open(comm, store, source, sampling, &m));
    for (int64_t v = 0; st == PV_OK && v < sampling->views; v++) {
        pv_dataset *dataset = NULL;
        st = open_split(comm, store, &m, PV_SPLIT_TEST, sampling->first_view + v, 1, &dataset);
        if (st == PV_OK) st = pv_represent(comm, &m.how, dataset, 0, &views->of[v]);
        pv_dataset_close(dataset);
    }
done:
    pv_open_model_close(&m.of);
    return st;
}

void pv_probe_views_close(pv_probe_views *views)
{
    for (int64_t v = 0; views->of && v < views->count; v++)
        pv_features_free(&views->of[v]);
    free(views->of);
}
