/* Training speed of the DWS classifier on one core: samples/s of forward, loss, backward and AdamW. */
#include "base/pv_cpu.h"
#include "base/pv_clock.h"
#include "base/pv_rng.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/pv_model_kinds.h"
#include "nn/scalegmn/pv_scalegmn_opts.h"
#include "nn/core/pv_optim.h"
#include "run/pv_limits.h"
#include "pv_test_arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 10 };

typedef struct bench {
    pv_model *model;
    pv_optim *optim;
    int batch;
    pv_real *rows, *logits, *dlogits;
    int32_t *labels;
} bench;

static void step(bench *b, uint64_t number)
{
    const pv_pass pass = {.training = true, .global_batch = b->batch, .seed = 1, .step = number};
    memset(pv_model_gradients(b->model), 0, sizeof(pv_real) * (size_t)pv_model_count(b->model));
    pv_model_forward(b->model, &pass, b->rows, b->batch, b->logits);
    pv_cross_entropy(b->batch, CLASSES, b->logits, b->labels, 1.0 / b->batch, b->dlogits);
    pv_model_backward(b->model, &pass, b->dlogits, NULL);
    pv_optim_step(b->optim, 1e-3, pv_model_gradients(b->model), pv_model_params(b->model));
}

/* What the command line asks for, and the core's measured multiply-add peak. */
typedef struct request {
    double seconds, peak_gflops;
    const char *part; /* of the titles wanted */
    bool narrow;
} request;

static void run(const request *r, const char *title, const pv_model_opts *opts, const int *dims, int layers,
                int batch)
{
    if (!strstr(title, r->part)) return;
    bench b = {.batch = batch};
    pv_model_opts own = *opts;
    own.narrow = r->narrow;
    if (pv_model_new(&own, pv_test_arch(dims, layers), CLASSES, batch, &b.model) != PV_OK) exit(1);
    pv_model_init(b.model, 1);
    const pv_optim_opts adamw = {.kind = PV_OPTIM_ADAMW, .weight_decay = 5e-4, .amsgrad = true};
    if (pv_optim_new(&adamw, pv_model_count(b.model), &b.optim) != PV_OK) exit(1);
    int weights = 0;
    for (int i = 0; i < layers; i++)
        weights += (dims[i] + 1) * dims[i + 1];
    b.rows = calloc((size_t)(batch * weights), sizeof *b.rows);
    b.logits = calloc((size_t)(batch * CLASSES), sizeof *b.logits);
    b.dlogits = calloc((size_t)(batch * CLASSES), sizeof *b.dlogits);
    b.labels = calloc((size_t)batch, sizeof *b.labels);
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < batch * weights; i++)
        b.rows[i] = (pv_real)pv_rng_normal(&rng);
    for (int i = 0; i < batch; i++)
        b.labels[i] = (int32_t)pv_rng_below(&rng, CLASSES);

    step(&b, 0);
    double best = 1e30;
    const double start = pv_seconds();
    for (uint64_t n = 1; pv_seconds() - start < r->seconds; n++) {
        const double before = pv_seconds();
        step(&b, n);
        const double taken = pv_seconds() - before;
        best = taken < best ? taken : best;
    }
    const double flops = pv_model_sample_flops(b.model), gflops = 1e-9 * flops * batch / best;
    printf(
        "%-28s batch %4d  %8.0f samples/s  %6.1f Gflop/s  %5.1f %% of peak  %6.1f Mflop/sample  %6.0f MB\n",
        title, batch, batch / best, gflops, 100 * gflops / r->peak_gflops, 1e-6 * flops,
        1e-6 * (double)pv_model_memory(b.model));
    fflush(stdout);
    free(b.rows);
    free(b.logits);
    free(b.dlogits);
    free(b.labels);
    pv_optim_free(b.optim);
    pv_model_free(b.model);
}

/* The published sizes. */
static const pv_gnn_opts published = {.d_node = 64,
                                      .d_edge = 32,
                                      .d_attn = 128,
                                      .d_node_hid = 128,
                                      .d_edge_hid = 64,
                                      .d_out_hid = 128,
                                      .sin_emb = true,
                                      .inp_factor = 1,
                                      .input_layers = 1,
                                      .modulate_v = true,
                                      .use_ln = true,
                                      .dropout_node = 0.2,
                                      .dropout_edge = 0.2};

/* Usage: bench_model [SECONDS [TITLE-PART [bfloat16]]]: seconds for each line, 3 by default; with products of
 * bfloat16 (train.precision). */
int main(int argc, char **argv)
{
    pv_limits limits;
    pv_limits_measure(0.5, PV_PRECISION_FLOAT32, NULL, &limits);
    const request r = {.seconds = argc > 1 ? atof(argv[1]) : 3,
                       .part = argc > 2 ? argv[2] : "",
                       .narrow = argc > 3 && strcmp(argv[3], "bfloat16") == 0,
                       .peak_gflops = limits.fma_gflops};
    printf("multiply-add peak of this core: %.1f Gflop/s (%s)\n", r.peak_gflops, pv_isa_name(pv_cpu_isa()));
    const int dims[] = {2, 32, 32, 1};
    pv_dws_opts dws = {.fc_layers = 1, .out_fc = 1, .reduction = PV_POOL_MAX};
    pv_gnn_opts gnn = published;
    pv_model_opts opts = {
        .kind = {&pv_model_dws.plugin, &dws}, .hidden = 32, .layers = 4, .heads = 8, .batch_norm = true};
    run(&r, "dws 32x4 ds bn", &opts, dims, 3, 64);
    run(&r, "dws 32x4 ds bn", &opts, dims, 3, 256);
    opts.dropout = 0.1;
    run(&r, "dws 32x4 ds bn dropout 0.1", &opts, dims, 3, 64);
    opts.dropout = 0;
    dws.reduction = PV_POOL_MEAN;
    run(&r, "dws 32x4 ds bn mean", &opts, dims, 3, 64);
    dws.reduction = PV_POOL_MAX;
    dws.set_layer = PV_SET_SAB;
    run(&r, "dws 32x4 sab bn", &opts, dims, 3, 64);
    opts =
        (pv_model_opts){.kind.plugin = &pv_model_mlp.plugin, .hidden = 512, .layers = 3, .batch_norm = true};
    run(&r, "mlp 512x3 bn", &opts, dims, 3, 64);
    opts = (pv_model_opts){.kind = {&pv_model_gnn.plugin, &gnn}, .layers = 4, .heads = 8};
    run(&r, "gnn 64/32/128x4", &opts, dims, 3, 64);
    gnn.dropout_node = gnn.dropout_edge = 0;
    run(&r, "gnn 64/32/128x4 no dropout", &opts, dims, 3, 64);
    opts = (pv_model_opts){
        .kind.plugin = &pv_model_tokens.plugin, .hidden = 64, .layers = 4, .heads = 8, .dropout = 0.1};
    run(&r, "tokens 64x4", &opts, dims, 3, 64);
    pv_scalegmn_opts scalegmn = {.direction = PV_DIRECTION_FORWARD};
    opts = (pv_model_opts){
        .kind = {&pv_model_scalegmn.plugin, &scalegmn}, .hidden = 128, .layers = 2, .dropout = 0.2};
    run(&r, "scalegmn 128x2", &opts, dims, 3, 64);
    opts.dropout = 0;
    run(&r, "scalegmn 128x2 no dropout", &opts, dims, 3, 64);
    opts.hidden = 32;
    run(&r, "scalegmn 32x2 no dropout", &opts, dims, 3, 64);
    scalegmn.direction = PV_DIRECTION_BOTH;
    run(&r, "scalegmn 32x2 both no dropout", &opts, dims, 3, 64);
    return 0;
}
