#include "nn/core/pv_model_kind.h"
#include "base/pv_mem.h"

#include <stdlib.h>

/* Row counts travel through BLAS as int. */
static const double MOST_ROWS = 2147483647.0;

typedef struct kind {
    const char *name;
    pv_status (*make)(const pv_model_request *request, pv_model *model);
} kind;

#define KIND(identifier, label, maker) [PV_MODEL_##identifier] = {.name = (label), .make = (maker)},
static const kind kinds[PV_MODEL_KIND_COUNT] = {PV_MODEL_KINDS(KIND)};
#undef KIND

const char *pv_model_kind_name(pv_model_kind number)
{
    return kinds[number].name;
}

static pv_status check(const pv_model_request *r)
{
    if (r->layers < 1 || r->classes < 1 || r->max_batch < 1)
        return pv_fail(PV_ERR_CONFIG, "a model needs layers, classes and a batch, not %d, %d and %d",
                       r->layers, r->classes, r->max_batch);
    double entries = 0;
    for (int i = 0; i <= r->layers; i++) {
        if (r->dims[i] < 1) return pv_fail(PV_ERR_CONFIG, "INR width %d is %d", i, r->dims[i]);
        if (i) entries += (r->dims[i - 1] + 1.0) * r->dims[i];
    }
    if (entries * r->max_batch > MOST_ROWS)
        return pv_fail(PV_ERR_CONFIG, "a batch of %d rows of %.0f weights is too large", r->max_batch,
                       entries);
    if (r->opts->hidden < 1)
        return pv_fail(PV_ERR_CONFIG, "model.hidden: must be at least 1, not %d", r->opts->hidden);
    if (r->opts->layers < 0)
        return pv_fail(PV_ERR_CONFIG, "model.layers: must not be negative, not %d", r->opts->layers);
    if (!(r->opts->dropout >= 0 && r->opts->dropout < 1))
        return pv_fail(PV_ERR_CONFIG, "model.dropout: must be in [0, 1), not %g", r->opts->dropout);
    return PV_OK;
}

pv_status pv_model_new(const pv_model_opts *opts, const int *dims, int layers, int classes, int max_batch,
                       pv_model **out)
{
    const pv_model_request request = {
        .opts = opts, .dims = dims, .layers = layers, .classes = classes, .max_batch = max_batch};
    pv_model *model = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_TRY(check(&request));
    PV_ALLOC(model, 1);
    pv_nn_params_open(&model->params, &model->memory);
    PV_TRY(kinds[opts->kind].make(&request, model));
    if (opts->projection) {
        pv_projection_new(&model->projection, classes, max_batch, &model->params, &model->memory);
        model->sample_flops += 3 * pv_stack_row_flops(&model->projection.stack);
    }
    PV_TRY(pv_nn_params_close(&model->params));
    *out = model;
    model = NULL;
done:
    pv_model_free(model);
    return st;
}

void pv_model_free(pv_model *model)
{
    if (!model) return;
    pv_nn_memory_free(&model->memory);
    free(model);
}

void pv_model_init(pv_model *model, uint64_t seed)
{
    pv_nn_params_init(&model->params, seed);
}

void pv_model_share_params(pv_model *model, pv_model *owner)
{
    for (int i = 0; i < model->params.count; i++)
        if (i < model->params.trained || model->params.tensors[i].constant)
            model->params.tensors[i].values = owner->params.tensors[i].values;
    model->params.values = owner->params.values;
}

int64_t pv_model_count(const pv_model *model)
{
    return model->params.length;
}

pv_real *pv_model_params(pv_model *model)
{
    return model->params.values;
}

pv_real *pv_model_gradients(pv_model *model)
{
    return model->params.gradients;
}

int pv_model_tensors(const pv_model *model, const pv_model_tensor **tensors)
{
    *tensors = model->params.tensors;
    return model->params.count;
}

void pv_model_forward(pv_model *model, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits)
{
    pv_projection *const projection = &model->projection;
    model->batch = batch;
    model->ops->forward(model->net, pass, rows, batch, projection->width ? projection->embedding : logits);
    if (projection->width) pv_projection_forward(projection, &model->params, batch, logits);
}

void pv_model_backward(pv_model *model, const pv_pass *pass, const pv_real *dlogits, pv_real *drows)
{
    pv_projection *const projection = &model->projection;
    if (projection->width) pv_projection_backward(projection, &model->params, pass, model->batch, dlogits);
    model->ops->backward(model->net, pass, projection->width ? projection->dembedding : dlogits, drows);
    if (pass->ready) pass->ready(pass->sum_context, 0);
}

const pv_real *pv_model_features(const pv_model *model, int *width)
{
    if (model->projection.width == 0) return model->ops->features(model->net, width);
    *width = model->projection.width;
    return model->projection.embedding;
}

double pv_model_sample_flops(const pv_model *model)
{
    return model->sample_flops;
}

int64_t pv_model_memory(const pv_model *model)
{
    return (int64_t)sizeof *model + model->memory.bytes;
}
