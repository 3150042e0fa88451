/* Models of any kind: makes them, runs their passes stage by stage, with the projection behind the net. */
#include "nn/pv_model.h"
#include "base/pv_mem.h"
#include "nn/core/pv_linear.h"

#include <stdlib.h>

enum { PROJECTION_DEPTH = 2 };

/* Row counts travel through BLAS as int. */
static const double MOST_ROWS = 2147483647.0;

struct pv_model {
    const pv_model_kind *kind;
    void *net; /* from `memory`, like all that the net holds */
    pv_memory memory;
    pv_nn_params params;
    pv_head projection; /* of the net's outputs, if it has one: the last stage */
    int batch;          /* of the last forward */
};

static pv_status check(const pv_model_request *r)
{
    const int *const dims = r->arch->dims;
    const pv_model_kind *kind = (const pv_model_kind *)r->opts->kind.plugin;
    if (r->arch->layers < 1 || r->classes < 1 || r->max_batch < 1)
        return pv_fail(PV_ERR_CONFIG, "a model needs layers, classes and a batch, not %d, %d and %d",
                       r->arch->layers, r->classes, r->max_batch);
    double entries = 0;
    for (int i = 0; i <= r->arch->layers; i++) {
        if (dims[i] < 1) return pv_fail(PV_ERR_CONFIG, "INR width %d is %d", i, dims[i]);
        if (i) entries += (dims[i - 1] + (r->opts->features == PV_READING_PHASOR ? 2.0 : 1.0)) * dims[i];
    }
    if (entries * r->max_batch > MOST_ROWS)
        return pv_fail(PV_ERR_CONFIG, "a batch of %d rows of %.0f weights is too large", r->max_batch,
                       entries);
    if (kind->rows == PV_ROWS_AS_THEY_ARE && r->opts->features != PV_READING_RAW)
        return pv_fail(PV_ERR_CONFIG, "model.features: kind %s evaluates INRs: it takes raw rows",
                       kind->plugin.name);
    return pv_reading_check(r->arch, r->opts->features);
}

/* Linear, ReLU, Linear, as wide as the embedding (Chen et al. 2020), as a stage of its own. */
static void add_projection(pv_model *model, int width, int64_t max_batch)
{
    pv_nn_params_next_stage(&model->params);
    const pv_stack stack =
        pv_stack_new(&model->params, "projection", width, width, PROJECTION_DEPTH, true, PV_LINEAR_PYTORCH);
    model->projection = pv_head_new(&model->params, stack, max_batch);
}

pv_status pv_model_new(const pv_model_opts *opts, const pv_arch *arch, int classes, int max_batch,
                       pv_model **out)
{
    const pv_model_request request = {.opts = opts, .arch = arch, .classes = classes, .max_batch = max_batch};
    pv_model *model = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_TRY(check(&request));
    PV_ALLOC(model, 1);
    model->memory.what = "the model: use a smaller batch or model";
    pv_nn_params_open(&model->params, &model->memory);
    if (opts->narrow) pv_nn_params_narrow(&model->params);
    model->kind = (const pv_model_kind *)opts->kind.plugin;
    PV_TRY(model->kind->make(&request, &model->params, &model->net));
    if (opts->projection) add_projection(model, classes, max_batch);
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
    pv_memory_free(&model->memory);
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

int pv_model_stages(const pv_model *model)
{
    return model->params.stages;
}

int64_t pv_model_stage_begin(const pv_model *model, int stage)
{
    return pv_nn_stage_begin(&model->params, stage);
}

/* The projection is the last stage of a model that has one. */
static bool is_projection(const pv_model *model, int stage)
{
    return model->projection.stack.depth && stage == model->params.stages - 1;
}

pv_batch_sums pv_model_forward_stage(pv_model *model, const pv_pass *pass, int stage, const pv_real *rows,
                                     int batch, pv_real *logits)
{
    const pv_head *const projection = &model->projection;
    pv_batch_sums sums = {0};
    model->batch = batch;
    pv_nn_params_begin(&model->params, pass->training);
    if (is_projection(model, stage))
        pv_head_forward(projection, batch, logits);
    else
        sums = model->kind->forward(model->net, pass, stage, rows, batch,
                                    projection->x ? projection->x : logits);
    pv_nn_params_end(&model->params);
    return sums;
}

pv_batch_sums pv_model_backward_stage(pv_model *model, const pv_pass *pass, int stage, const pv_real *dlogits,
                                      pv_real *drows)
{
    const pv_head *const projection = &model->projection;
    pv_batch_sums sums = {0};
    pv_nn_params_begin(&model->params, pass->training);
    if (is_projection(model, stage))
        pv_head_backward(projection, model->batch, dlogits);
    else
        sums =
            model->kind->backward(model->net, pass, stage, projection->dx ? projection->dx : dlogits, drows);
    pv_nn_params_end(&model->params);
    return sums;
}

void pv_model_forward(pv_model *model, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits)
{
    for (int stage = 0; stage < pv_model_stages(model); stage++)
        pv_model_forward_stage(model, pass, stage, rows, batch, logits);
}

void pv_model_backward(pv_model *model, const pv_pass *pass, const pv_real *dlogits, pv_real *drows)
{
    for (int stage = pv_model_stages(model) - 1; stage >= 0; stage--)
        pv_model_backward_stage(model, pass, stage, dlogits, drows);
}

const pv_real *pv_model_features(const pv_model *model, int *width)
{
    if (model->projection.stack.depth == 0) return model->kind->features(model->net, width);
    *width = model->projection.stack.linear[0].in;
    return model->projection.x;
}

double pv_model_sample_flops(const pv_model *model)
{
    return 3 * (model->kind->forward_flops(model->net) + pv_stack_row_flops(&model->projection.stack));
}

int64_t pv_model_memory(const pv_model *model)
{
    return (int64_t)sizeof *model + model->memory.bytes;
}
