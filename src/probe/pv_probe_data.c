/* Makes the features of the splits of a store: runs a frozen model over rows. */
#include "probe/pv_probe_data.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "base/pv_stop.h"

#include <math.h>
#include <stdlib.h>

/* Features of samples [at, at + batch) of this rank. */
static void embed(const pv_representation *how, const pv_dataset *dataset, int64_t at, int batch,
                  pv_real *rows, pv_real *outputs, pv_features *out)
{
    const pv_pass pass = {.training = false, .global_batch = batch};
    const int numbers = how->form->width;
    int width;
    for (int i = 0; i < batch; i++)
        pv_row_form_finish(how->form, pv_dataset_row(dataset, out->first + at + i),
                           rows + (int64_t)i * numbers);
    pv_model_forward(how->model, &pass, rows, batch, outputs);
    const pv_real *features = pv_model_features(how->model, &width);
    for (int64_t i = 0; i < (int64_t)batch * width; i++)
        out->x[at * width + i] = (double)features[i];
}

static pv_status embed_all(const pv_representation *how, const pv_dataset *dataset, pv_features *out)
{
    pv_real *rows = NULL, *outputs = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(rows, (int64_t)how->max_batch * how->form->width);
    PV_ALLOC(outputs, (int64_t)how->max_batch * how->outputs);
    for (int64_t at = 0; at < out->count; at += how->max_batch) {
        PV_TRY(pv_stop_check());
        embed(how, dataset, at, (int)(out->count - at < how->max_batch ? out->count - at : how->max_batch),
              rows, outputs, out);
    }
done:
    PV_FREE(rows, outputs);
    return st;
}

static pv_status check_finite(const pv_features *f)
{
    for (int64_t i = 0; i < f->count * f->width; i++)
        if (!isfinite(f->x[i]))
            return pv_fail(PV_ERR_NUMERIC, "a feature of view %lld of object %lld is not finite",
                           (long long)f->view[i / f->width], (long long)f->object[i / f->width]);
    return PV_OK;
}

static pv_status fill(const pv_representation *how, const pv_dataset *dataset, int targets, pv_features *out)
{
    int64_t first, count;
    int width = pv_dataset_params(dataset);
    pv_status st;
    pv_dataset_share(dataset, &first, &count);
    if (how->model) pv_model_features(how->model, &width);
    PV_TRY(pv_features_make(pv_dataset_samples(dataset), first, count, width, targets, out));
    for (int64_t i = 0; i < count; i++) {
        out->label[i] = pv_dataset_label(dataset, first + i);
        out->object[i] = pv_dataset_object(dataset, first + i);
        out->view[i] = pv_dataset_view(dataset, first + i);
    }
    if (how->model) {
        PV_TRY(embed_all(how, dataset, out));
    } else {
        for (int64_t i = 0; i < count; i++)
            for (int k = 0; k < width; k++)
                out->x[i * width + k] = (double)pv_dataset_row(dataset, first + i)[k];
    }
    st = check_finite(out);
done:
    return st;
}

/* Features of all samples of a data set, each rank those of its share, with labels and room for targets. */
static pv_status represent(const pv_comm *comm, const pv_representation *how, const pv_dataset *dataset,
                           int targets, pv_features *out)
{
    const pv_status st = pv_agree(comm, fill(how, dataset, targets, out));
    if (st != PV_OK) pv_features_free(out);
    return st;
}

pv_status pv_representation_rows(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                                 uint8_t split, int64_t first, int64_t views, pv_dataset **out)
{
    const pv_dataset_opts opts = {.split = split,
                                  .first_view = first,
                                  .views = views,
                                  .verify = true,
                                  .form = how->form,
                                  .placement = PV_PLACE_JOB};
    return pv_dataset_open(comm, store, &opts, out);
}

static pv_status read_targets(const pv_store *store, pv_features *f)
{
    float *values;
    pv_status st = PV_OK;
    PV_ALLOC(values, f->targets);
    for (int64_t i = 0; i < f->count; i++) {
        PV_TRY(pv_store_read_targets(store, f->object[i], 1, values));
        for (int t = 0; t < f->targets; t++)
            f->y[i * f->targets + t] = (double)values[t];
    }
done:
    free(values);
    return st;
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

static pv_status open_features(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                               uint8_t split, const pv_probe_sampling *sampling, pv_features *out)
{
    const bool train = split == PV_SPLIT_TRAIN;
    const int classes = pv_store_signal(store)->classes;
    const int targets = sampling->object_targets ? pv_store_targets(store) : classes;
    pv_dataset *dataset = NULL;
    pv_status st;
    PV_TRY(pv_representation_rows(comm, store, how, split, train ? sampling->first_view : 0,
                                  train ? sampling->views : 1, &dataset));
    PV_TRY(represent(comm, how, dataset, targets, out));
    PV_TRY(pv_agree(comm, sampling->object_targets ? read_targets(store, out)
                                                   : pv_features_one_hot(out, sampling->unlabelled)));
    if (train && sampling->per_class > 0) PV_TRY(keep_few(comm, dataset, sampling, classes, out));
done:
    pv_dataset_close(dataset);
    return st;
}

pv_status pv_probe_data_open(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                             const pv_probe_sampling *sampling, pv_probe_data *data)
{
    pv_status st;
    *data = (pv_probe_data){.classes = !sampling->object_targets};
    PV_TRY(pv_same(comm, "views of pv_probe_data_open", &sampling->views, sizeof sampling->views));
    PV_TRY(
        pv_same(comm, "per_class of pv_probe_data_open", &sampling->per_class, sizeof sampling->per_class));
    PV_TRY(pv_same(comm, "seed of pv_probe_data_open", &sampling->seed, sizeof sampling->seed));
    if (sampling->object_targets && pv_store_targets(store) == 0)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' holds no real targets", pv_store_path(store)));
    PV_TRY(open_features(comm, store, how, PV_SPLIT_TRAIN, sampling, &data->train));
    PV_TRY(open_features(comm, store, how, PV_SPLIT_VAL, sampling, &data->val));
    PV_TRY(open_features(comm, store, how, PV_SPLIT_TEST, sampling, &data->test));
done:
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
    PV_FREE(mean, deviation);
    return st;
}

pv_status pv_probe_views_open(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                              const pv_probe_sampling *sampling, pv_probe_views *views)
{
    pv_status st;
    *views = (pv_probe_views){.of = pv_alloc(sampling->views, sizeof *views->of), .count = sampling->views};
    PV_TRY(pv_agree(comm, views->of ? PV_OK : PV_ERR_NOMEM));
    for (int64_t v = 0; st == PV_OK && v < sampling->views; v++) {
        pv_dataset *dataset = NULL;
        st = pv_representation_rows(comm, store, how, PV_SPLIT_TEST, sampling->first_view + v, 1, &dataset);
        if (st == PV_OK) st = represent(comm, how, dataset, 0, &views->of[v]);
        pv_dataset_close(dataset);
    }
done:
    return st;
}

void pv_probe_views_close(pv_probe_views *views)
{
    for (int64_t v = 0; views->of && v < views->count; v++)
        pv_features_free(&views->of[v]);
    free(views->of);
}
