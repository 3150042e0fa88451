/* Runs a frozen model over rows. */
#include "probe/pv_represent.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Features of samples [at, at + batch) of this rank. */
static void embed(const pv_representation *how, const pv_dataset *dataset, int64_t at, int batch,
                  pv_real *rows, pv_real *outputs, pv_features *out)
{
    const pv_pass pass = {.training = false, .global_batch = batch};
    const int params = how->form->params;
    int width;
    for (int i = 0; i < batch; i++)
        pv_row_form_normalise(how->form, 1, pv_dataset_row(dataset, out->first + at + i),
                              rows + (int64_t)i * params);
    pv_model_forward(how->model, &pass, rows, batch, outputs);
    const pv_real *features = pv_model_features(how->model, &width);
    for (int64_t i = 0; i < (int64_t)batch * width; i++)
        out->x[at * width + i] = (double)features[i];
}

static pv_status embed_all(const pv_representation *how, const pv_dataset *dataset, pv_features *out)
{
    pv_real *rows = NULL, *outputs = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(rows, (int64_t)how->max_batch * how->form->params);
    PV_ALLOC(outputs, (int64_t)how->max_batch * how->outputs);
    for (int64_t at = 0; at < out->count; at += how->max_batch)
        embed(how, dataset, at, (int)(out->count - at < how->max_batch ? out->count - at : how->max_batch),
              rows, outputs, out);
done:
    free(rows);
    free(outputs);
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

pv_status pv_represent(const pv_comm *comm, const pv_representation *how, const pv_dataset *dataset,
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
