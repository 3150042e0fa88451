/* The DWS classifier against the published one: logits, losses, gradients, statistics, five AdamW steps. */
#include "pv_oracle.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/pv_model_kinds.h"
#include "nn/core/pv_optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256, DIMS = 17 };

/* float32 against float64; after Adam steps, rounding noise in gradients that are zero moves parameters.
 * Sums of terms of 0.1 to 1 that are zero in truth (a bias before batch norm) keep an error of 1e-7 or two,
 * hence the floor. */
static const double TOLERANCE = 1e-4, ADAM_TOLERANCE = 1e-3, GRADIENT_FLOOR = 5e-3;

static int checks, failures;

static void check(bool holds, const char *name, const char *statement, double error)
{
    checks++;
    failures += !holds;
    printf("%s %d - %s: %s (%.1e)\n", holds ? "ok" : "not ok", checks, name, statement, error);
}

/* A model built from a case. */
typedef struct subject {
    const pv_oracle *oracle;
    const char *name;
    pv_model *model;
    const pv_model_tensor *tensors;
    int count, dims[DIMS], layers, classes, batch;
    int64_t weights; /* of the INR */
} subject;

static double *read_floats(const subject *s, const char *folder, const char *leaf, int64_t *count)
{
    char path[TEXT];
    snprintf(path, sizeof path, "%s%s", folder, leaf);
    return pv_oracle_read(s->oracle, s->name, path, count);
}

static void load(const subject *s)
{
    for (int i = 0; i < s->count; i++) {
        int64_t count = 0;
        double *values = read_floats(s, "param/", s->tensors[i].name, &count);
        for (int64_t k = 0; k < count && k < s->tensors[i].count; k++)
            s->tensors[i].values[k] = (pv_real)values[k];
        free(values);
    }
}

static void build(subject *s, const pv_oracle *oracle, const char *name, bool downsampled)
{
    *s = (subject){.oracle = oracle, .name = name};
    s->layers = pv_oracle_ints(oracle, name, "dims", s->dims, DIMS) - 1;
    s->classes = (int)pv_oracle_int(oracle, name, "n_classes");
    s->batch = (int)pv_oracle_int(oracle, name, "batch");
    char reduction[TEXT];
    pv_oracle_text(oracle, name, "reduction", reduction, TEXT);
    char set_layer[TEXT];
    pv_oracle_text(oracle, name, "set_layer", set_layer, TEXT);
    pv_dws_opts own = {
        .set_layer = strcmp(set_layer, "sab") == 0 ? PV_SET_SAB : PV_SET_DS,
        .reduction = strcmp(reduction, "max") == 0    ? PV_POOL_MAX
                     : strcmp(reduction, "mean") == 0 ? PV_POOL_MEAN
                                                      : PV_POOL_SUM,
        .fc_layers = (int)pv_oracle_int(oracle, name, "n_fc_layers"),
        .out_fc = (int)pv_oracle_int(oracle, name, "n_out_fc"),
        .layer_skip = pv_oracle_int(oracle, name, "add_layer_skip"),
        .skip = pv_oracle_int(oracle, name, "add_skip"),
        .downsample = downsampled ? (int)pv_oracle_int(oracle, name, "downsample") : 0,
    };
    const pv_model_opts opts = {.kind = {&pv_model_dws.plugin, &own},
                                .hidden = (int)pv_oracle_int(oracle, name, "hidden_dim"),
                                .layers = (int)pv_oracle_int(oracle, name, "n_hidden"),
                                .heads = (int)pv_oracle_int(oracle, name, "num_heads"),
                                .batch_norm = pv_oracle_int(oracle, name, "bn")};
    if (pv_model_new(&opts, s->dims, s->layers, s->classes, s->batch, &s->model) != PV_OK) {
        printf("not ok - %s: cannot build the model\n", name);
        exit(1);
    }
    s->count = pv_model_tensors(s->model, &s->tensors);
    for (int i = 0; i < s->layers; i++)
        s->weights += (s->dims[i] + 1) * s->dims[i + 1];
}

/* Copies between rows in state_dict order and the oracle's weights.i [batch][in][out], biases.i. */
static double rows_error(const subject *s, const char *folder, pv_real *rows, bool compare)
{
    double worst = 0;
    int64_t at = 0;
    for (int part = 0; part < 2 * s->layers; part++) {
        const int layer = part / 2, in = part % 2 ? 1 : s->dims[layer], out = s->dims[layer + 1];
        char path[TEXT];
        snprintf(path, sizeof path, "%s%s.%d", folder, part % 2 ? "biases" : "weights", layer);
        int64_t count = 0;
        double *values = pv_oracle_read(s->oracle, s->name, path, &count);
        double *mine = malloc(sizeof *mine * (size_t)count);
        for (int64_t k = 0; k < count; k++) {
            const int64_t i = k / out % in, o = k % out;
            pv_real *value = &rows[k / (in * out) * s->weights + at + o * in + i];
            mine[k] = (double)*value;
            if (!compare) *value = (pv_real)values[k];
        }
        if (compare) worst = fmax(worst, pv_oracle_relative_l2(count, mine, values, GRADIENT_FLOOR));
        at += in * out;
        free(values);
        free(mine);
    }
    return worst;
}

static double distance(const subject *s, const char *path, int64_t n, const pv_real *mine)
{
    int64_t count = 0;
    double *values = pv_oracle_read(s->oracle, s->name, path, &count),
           *copy = malloc(sizeof *copy * (size_t)n);
    for (int64_t k = 0; k < n; k++)
        copy[k] = (double)mine[k];
    const double error = count == n ? pv_oracle_distance(n, copy, values) : INFINITY;
    free(values);
    free(copy);
    return error;
}

static double number(const subject *s, const char *path)
{
    int64_t count = 0;
    double *values = pv_oracle_read(s->oracle, s->name, path, &count);
    const double value = values[0];
    free(values);
    return value;
}

static void check_names(const subject *s)
{
    int64_t mine = 0, theirs = 0, count = 0;
    bool all = true;
    for (int i = 0; i < s->count; i++) {
        char path[TEXT];
        snprintf(path, sizeof path, "param/%s", s->tensors[i].name);
        const bool there = pv_oracle_has(s->oracle, s->name, path);
        if (!there) printf("# no such tensor: %s\n", path);
        if (there) free(pv_oracle_read(s->oracle, s->name, path, &count));
        all = all && there && count == s->tensors[i].count;
        mine += s->tensors[i].count;
    }
    free(pv_oracle_read(s->oracle, s->name, "output/adamw/param_final_flat", &theirs));
    check(all && mine == theirs, s->name, "tensors have the published names and sizes, and none is missing",
          (double)(mine - theirs));
}

static double gradient_error(const subject *s)
{
    double worst = 0;
    for (int i = 0; i < s->count; i++) {
        const pv_model_tensor *tensor = &s->tensors[i];
        if (!tensor->gradients) continue;
        int64_t count = 0;
        double *values = read_floats(s, "grad/", tensor->name, &count),
               *mine = malloc(sizeof *mine * (size_t)count);
        for (int64_t k = 0; k < count; k++)
            mine[k] = (double)tensor->gradients[k];
        const double error = pv_oracle_relative_l2(count, mine, values, GRADIENT_FLOOR);
        if (error > TOLERANCE) printf("# %s: %g\n", tensor->name, error);
        worst = fmax(worst, error);
        free(values);
        free(mine);
    }
    return worst;
}

/* Order of the flat vectors of the oracle: ascending names. */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const pv_model_tensor *)a)->name, ((const pv_model_tensor *)b)->name);
}

/* Whether the published gradient is zero but for rounding (a bias just before batch norm): there Adam follows
 * the noise of whoever computes. */
static bool is_noise(const subject *s, const pv_model_tensor *tensor)
{
    if (!tensor->gradients) return false;
    int64_t count = 0;
    double *values = read_floats(s, "grad/", tensor->name, &count), largest = 0;
    for (int64_t k = 0; k < count; k++)
        largest = fmax(largest, fabs(values[k]));
    free(values);
    return largest < 1e-12;
}

static double flat_error(const subject *s, const char *path, bool gradients)
{
    int64_t count = 0, at = 0;
    double *values = pv_oracle_read(s->oracle, s->name, path, &count), worst = 0;
    pv_model_tensor *sorted = malloc(sizeof *sorted * (size_t)s->count);
    memcpy(sorted, s->tensors, sizeof *sorted * (size_t)s->count);
    qsort(sorted, (size_t)s->count, sizeof *sorted, by_name);
    for (int i = 0; i < s->count; i++) {
        const pv_real *mine = gradients ? sorted[i].gradients : sorted[i].values;
        const bool noise = !gradients && is_noise(s, &sorted[i]);
        for (int64_t k = 0; mine && k < sorted[i].count; k++, at++)
            if (!noise) worst = fmax(worst, fabs((double)mine[k] - values[at]) / (1 + fabs(values[at])));
    }
    free(sorted);
    free(values);
    return at == count ? worst : INFINITY;
}

static void read_labels(const subject *s, const char *path, int32_t *labels)
{
    int64_t count = 0;
    double *values = pv_oracle_read(s->oracle, s->name, path, &count);
    for (int64_t i = 0; i < count; i++)
        labels[i] = (int32_t)values[i];
    free(values);
}

static void clear_gradients(const subject *s)
{
    memset(pv_model_gradients(s->model), 0, sizeof(pv_real) * (size_t)pv_model_count(s->model));
}

typedef struct buffers {
    pv_real *rows, *drows, *logits, *dlogits, *soft;
    int32_t *labels;
} buffers;

static buffers reserve(const subject *s)
{
    const size_t rows = (size_t)(s->batch * s->weights), logits = (size_t)(s->batch * s->classes);
    return (buffers){.rows = calloc(rows, sizeof(pv_real)),
                     .drows = calloc(rows, sizeof(pv_real)),
                     .logits = calloc(logits, sizeof(pv_real)),
                     .dlogits = calloc(logits, sizeof(pv_real)),
                     .soft = calloc(logits, sizeof(pv_real)),
                     .labels = calloc((size_t)s->batch, sizeof(int32_t))};
}

static void release(buffers *b)
{
    free(b->rows);
    free(b->drows);
    free(b->logits);
    free(b->dlogits);
    free(b->soft);
    free(b->labels);
}

static void check_losses(const subject *s, const buffers *b)
{
    const double loss =
        pv_cross_entropy(s->batch, s->classes, b->logits, b->labels, 1.0 / s->batch, b->dlogits);
    double error = fabs(loss / s->batch - number(s, "output/loss"));
    check(error < TOLERANCE, s->name, "the cross entropy agrees", error);

    int64_t count = 0;
    double *targets = pv_oracle_read(s->oracle, s->name, "input/label_soft", &count);
    for (int64_t k = 0; k < count; k++)
        b->soft[k] = (pv_real)targets[k];
    free(targets);
    pv_real *dsoft = calloc((size_t)count, sizeof *dsoft);
    const double soft =
        pv_cross_entropy_soft(s->batch, s->classes, b->logits, b->soft, 1.0 / s->batch, dsoft);
    error = fmax(fabs(soft / s->batch - number(s, "output/loss_soft")),
                 distance(s, "output/dlogits_soft", count, dsoft));
    check(error < TOLERANCE, s->name, "the soft cross entropy and its gradient agree", error);
    free(dsoft);
}

static void check_running(const subject *s, const pv_pass *pass, const buffers *b)
{
    double worst = 0;
    int seen = 0;
    for (int i = 0; i < s->count; i++) {
        if (s->tensors[i].gradients) continue;
        char path[TEXT];
        snprintf(path, sizeof path, "output/running_after_1/%s", s->tensors[i].name);
        worst = fmax(worst, distance(s, path, s->tensors[i].count, s->tensors[i].values));
        seen++;
    }
    if (seen) check(worst < TOLERANCE, s->name, "the running statistics agree", worst);
    pv_pass still = *pass;
    still.training = false;
    pv_model_forward(s->model, &still, b->rows, s->batch, b->logits);
    worst = distance(s, "output/logits_eval", s->batch * s->classes, b->logits);
    check(worst < TOLERANCE, s->name, "the logits of evaluation agree", worst);
}

static void check_one_pass(const subject *s, const buffers *b)
{
    const pv_pass pass = {.training = true, .global_batch = s->batch};
    rows_error(s, "input/", b->rows, false);
    read_labels(s, "input/label", b->labels);
    clear_gradients(s);
    pv_model_forward(s->model, &pass, b->rows, s->batch, b->logits);
    double error = distance(s, "output/logits", s->batch * s->classes, b->logits);
    check(error < TOLERANCE, s->name, "the logits agree", error);
    check_losses(s, b);
    pv_model_backward(s->model, &pass, b->dlogits, b->drows);
    error = gradient_error(s);
    check(error < TOLERANCE, s->name, "the gradients of all parameters agree", error);
    error = rows_error(s, "grad/input/", b->drows, true);
    check(error < TOLERANCE, s->name, "the gradients of the rows agree", error);
    if (pv_oracle_has(s->oracle, s->name, "output/grad_soft_flat")) {
        clear_gradients(s);
        pv_cross_entropy_soft(s->batch, s->classes, b->logits, b->soft, 1.0 / s->batch, b->dlogits);
        pv_model_backward(s->model, &pass, b->dlogits, NULL);
        error = flat_error(s, "output/grad_soft_flat", true);
        check(error < TOLERANCE, s->name, "the gradients of the soft loss agree", error);
    }
    check_running(s, &pass, b);
}

static void check_adamw(const subject *s, const buffers *b)
{
    const pv_optim_opts opts = {.kind = PV_OPTIM_ADAMW,
                                .weight_decay = pv_oracle_real(s->oracle, s->name, "adamw_weight_decay"),
                                .amsgrad = pv_oracle_int(s->oracle, s->name, "adamw_amsgrad")};
    const double lr = pv_oracle_real(s->oracle, s->name, "adamw_lr");
    const int steps = (int)pv_oracle_int(s->oracle, s->name, "adamw_steps");
    pv_optim *optim = NULL;
    if (pv_optim_new(&opts, pv_model_count(s->model), &optim) != PV_OK) exit(1);
    pv_real losses[64];
    load(s);
    for (int step = 0; step < steps; step++) {
        const pv_pass pass = {.training = true, .global_batch = s->batch};
        char path[TEXT];
        snprintf(path, sizeof path, "input/adamw/batch%d/", step);
        rows_error(s, path, b->rows, false);
        snprintf(path, sizeof path, "input/adamw/batch%d/label", step);
        read_labels(s, path, b->labels);
        clear_gradients(s);
        pv_model_forward(s->model, &pass, b->rows, s->batch, b->logits);
        losses[step] = (pv_real)(pv_cross_entropy(s->batch, s->classes, b->logits, b->labels, 1.0 / s->batch,
                                                  b->dlogits) /
                                 s->batch);
        pv_model_backward(s->model, &pass, b->dlogits, NULL);
        pv_optim_step(optim, lr, pv_model_gradients(s->model), pv_model_params(s->model));
    }
    pv_optim_free(optim);
    double error = distance(s, "output/adamw/losses", steps, losses);
    check(error < ADAM_TOLERANCE, s->name, "the losses of five AdamW steps agree", error);
    double norm = 0;
    for (int i = 0; i < s->count; i++)
        for (int64_t k = 0; k < s->tensors[i].count; k++)
            norm += (double)s->tensors[i].values[k] * (double)s->tensors[i].values[k];
    error = fabs(sqrt(norm) / number(s, "output/adamw/param_final_norm") - 1);
    check(error < ADAM_TOLERANCE, s->name, "the norm of the final parameters agrees", error);
    if (pv_oracle_has(s->oracle, s->name, "output/adamw/param_final_flat")) {
        error = flat_error(s, "output/adamw/param_final_flat", false);
        check(error < ADAM_TOLERANCE, s->name, "the final parameters agree", error);
    }
}

/* The comparison must be able to fail. */
static void check_planted(const subject *s, const buffers *b)
{
    const pv_pass pass = {.training = true, .global_batch = s->batch};
    load(s);
    rows_error(s, "input/", b->rows, false);
    s->tensors[0].values[0] += (pv_real)0.5;
    pv_model_forward(s->model, &pass, b->rows, s->batch, b->logits);
    const double error = distance(s, "output/logits", s->batch * s->classes, b->logits);
    check(error > TOLERANCE, s->name, "a parameter changed by 0.5 is seen", error);
}

static void check_file(pv_oracle *oracle, bool downsampled)
{
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        const char *name = pv_oracle_case(oracle, i);
        subject s;
        build(&s, oracle, name, downsampled);
        buffers b = reserve(&s);
        load(&s);
        if (pv_oracle_has(oracle, name, "output/adamw/param_final_flat")) check_names(&s);
        check_one_pass(&s, &b);
        if (pv_oracle_has(oracle, name, "output/adamw/losses")) check_adamw(&s, &b);
        check_planted(&s, &b);
        release(&b);
        pv_model_free(s.model);
    }
    pv_oracle_close(oracle);
}

int main(void)
{
    check_file(pv_oracle_open("dws_model.h5"), false);
    /* The published model behind one set layer of the published down-sampling ones: pv_dws_down.h. */
    check_file(pv_oracle_open_own("dws_downsample.h5"), true);
    return failures > 0;
}
