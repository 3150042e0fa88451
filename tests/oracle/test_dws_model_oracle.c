/* The DWS classifier against the published one: logits, losses, gradients, statistics, five AdamW steps. */
#include "pv_model_case.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/pv_model_kinds.h"
#include "nn/core/pv_optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256 };

/* float32 against float64; after Adam steps, rounding noise in gradients that are zero moves parameters.
 * Sums of terms of 0.1 to 1 that are zero in truth (a bias before batch norm) keep an error of 1e-7 or two,
 * hence the floor. */
static const double TOLERANCE = 1e-4, ADAM_TOLERANCE = 1e-3, GRADIENT_FLOOR = 5e-3;

static void open(pv_model_case *s, const pv_oracle *oracle, const char *name, bool downsampled)
{
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
    pv_model_case_open(s, oracle, name, &opts, "dims", "n_classes");
    s->floor = GRADIENT_FLOOR;
}

static double number(const pv_model_case *s, const char *path)
{
    int64_t count = 0;
    double *values = pv_oracle_read(s->oracle, s->name, path, &count);
    const double value = values[0];
    free(values);
    return value;
}

/* Order of the flat vectors of the oracle: ascending names. */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const pv_model_tensor *)a)->name, ((const pv_model_tensor *)b)->name);
}

/* Whether the published gradient is zero but for rounding (a bias just before batch norm): there Adam follows
 * the noise of whoever computes. */
static bool is_noise(const pv_model_case *s, const pv_model_tensor *tensor)
{
    if (!tensor->gradients) return false;
    int64_t count = 0;
    double *values = pv_model_case_read(s, "grad/", tensor->name, &count), largest = 0;
    for (int64_t k = 0; k < count; k++)
        largest = fmax(largest, fabs(values[k]));
    free(values);
    return largest < 1e-12;
}

static double flat_error(const pv_model_case *s, const char *path, bool gradients)
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

static void clear_gradients(const pv_model_case *s)
{
    memset(pv_model_gradients(s->model), 0, sizeof(pv_real) * (size_t)pv_model_count(s->model));
}

static void check_losses(const pv_model_case *s, pv_real *soft_labels)
{
    const double loss =
        pv_cross_entropy(s->batch, s->classes, s->logits, s->labels, 1.0 / s->batch, s->dlogits);
    double error = fabs(loss / s->batch - number(s, "output/loss"));
    pv_case_check(error < TOLERANCE, s->name, "the cross entropy agrees", error);

    int64_t count = 0;
    double *targets = pv_oracle_read(s->oracle, s->name, "input/label_soft", &count);
    for (int64_t k = 0; k < count; k++)
        soft_labels[k] = (pv_real)targets[k];
    free(targets);
    pv_real *dsoft = calloc((size_t)count, sizeof *dsoft);
    const double soft =
        pv_cross_entropy_soft(s->batch, s->classes, s->logits, soft_labels, 1.0 / s->batch, dsoft);
    error = fmax(fabs(soft / s->batch - number(s, "output/loss_soft")),
                 pv_model_case_distance(s, "output/dlogits_soft", count, dsoft));
    pv_case_check(error < TOLERANCE, s->name, "the soft cross entropy and its gradient agree", error);
    free(dsoft);
}

static void check_running(const pv_model_case *s, const pv_pass *pass)
{
    double worst = 0;
    int seen = 0;
    for (int i = 0; i < s->count; i++) {
        if (s->tensors[i].gradients) continue;
        char path[TEXT];
        snprintf(path, sizeof path, "output/running_after_1/%s", s->tensors[i].name);
        worst = fmax(worst, pv_model_case_distance(s, path, s->tensors[i].count, s->tensors[i].values));
        seen++;
    }
    if (seen) pv_case_check(worst < TOLERANCE, s->name, "the running statistics agree", worst);
    pv_pass still = *pass;
    still.training = false;
    pv_model_forward(s->model, &still, s->rows, s->batch, s->logits);
    worst = pv_model_case_distance(s, "output/logits_eval", s->batch * s->classes, s->logits);
    pv_case_check(worst < TOLERANCE, s->name, "the logits of evaluation agree", worst);
}

static void check_one_pass(const pv_model_case *s)
{
    const pv_pass pass = {.training = true, .global_batch = s->batch};
    pv_model_case_input(s, "input/");
    clear_gradients(s);
    pv_model_forward(s->model, &pass, s->rows, s->batch, s->logits);
    double error = pv_model_case_distance(s, "output/logits", s->batch * s->classes, s->logits);
    pv_case_check(error < TOLERANCE, s->name, "the logits agree", error);
    pv_real *const soft_labels = calloc((size_t)(s->batch * s->classes), sizeof *soft_labels);
    check_losses(s, soft_labels);
    pv_model_backward(s->model, &pass, s->dlogits, s->drows);
    error = pv_model_case_gradients(s, TOLERANCE);
    pv_case_check(error < TOLERANCE, s->name, "the gradients of all parameters agree", error);
    error = pv_model_case_row_gradients(s);
    pv_case_check(error < TOLERANCE, s->name, "the gradients of the rows agree", error);
    if (pv_oracle_has(s->oracle, s->name, "output/grad_soft_flat")) {
        clear_gradients(s);
        pv_cross_entropy_soft(s->batch, s->classes, s->logits, soft_labels, 1.0 / s->batch, s->dlogits);
        pv_model_backward(s->model, &pass, s->dlogits, NULL);
        error = flat_error(s, "output/grad_soft_flat", true);
        pv_case_check(error < TOLERANCE, s->name, "the gradients of the soft loss agree", error);
    }
    free(soft_labels);
    check_running(s, &pass);
}

static void check_adamw(const pv_model_case *s)
{
    const pv_optim_opts opts = {.kind = PV_OPTIM_ADAMW,
                                .weight_decay = pv_oracle_real(s->oracle, s->name, "adamw_weight_decay"),
                                .amsgrad = pv_oracle_int(s->oracle, s->name, "adamw_amsgrad")};
    const double lr = pv_oracle_real(s->oracle, s->name, "adamw_lr");
    const int steps = (int)pv_oracle_int(s->oracle, s->name, "adamw_steps");
    pv_optim *optim = NULL;
    if (pv_optim_new(&opts, pv_model_count(s->model), &optim) != PV_OK) exit(1);
    pv_real losses[64];
    pv_model_case_load(s);
    for (int step = 0; step < steps; step++) {
        const pv_pass pass = {.training = true, .global_batch = s->batch};
        char path[TEXT];
        snprintf(path, sizeof path, "input/adamw/batch%d/", step);
        pv_model_case_input(s, path);
        clear_gradients(s);
        pv_model_forward(s->model, &pass, s->rows, s->batch, s->logits);
        losses[step] = (pv_real)(pv_cross_entropy(s->batch, s->classes, s->logits, s->labels, 1.0 / s->batch,
                                                  s->dlogits) /
                                 s->batch);
        pv_model_backward(s->model, &pass, s->dlogits, NULL);
        pv_optim_step(optim, lr, pv_model_gradients(s->model), pv_model_params(s->model));
    }
    pv_optim_free(optim);
    double error = pv_model_case_distance(s, "output/adamw/losses", steps, losses);
    pv_case_check(error < ADAM_TOLERANCE, s->name, "the losses of five AdamW steps agree", error);
    double norm = 0;
    for (int i = 0; i < s->count; i++)
        for (int64_t k = 0; k < s->tensors[i].count; k++)
            norm += (double)s->tensors[i].values[k] * (double)s->tensors[i].values[k];
    error = fabs(sqrt(norm) / number(s, "output/adamw/param_final_norm") - 1);
    pv_case_check(error < ADAM_TOLERANCE, s->name, "the norm of the final parameters agrees", error);
    if (pv_oracle_has(s->oracle, s->name, "output/adamw/param_final_flat")) {
        error = flat_error(s, "output/adamw/param_final_flat", false);
        pv_case_check(error < ADAM_TOLERANCE, s->name, "the final parameters agree", error);
    }
}

/* The comparison must be able to fail. */
static void check_planted(const pv_model_case *s)
{
    const pv_pass pass = {.training = true, .global_batch = s->batch};
    pv_model_case_load(s);
    pv_model_case_input(s, "input/");
    s->tensors[0].values[0] += (pv_real)0.5;
    pv_model_forward(s->model, &pass, s->rows, s->batch, s->logits);
    const double error = pv_model_case_distance(s, "output/logits", s->batch * s->classes, s->logits);
    pv_case_check(error > TOLERANCE, s->name, "a parameter changed by 0.5 is seen", error);
}

static void check_file(pv_oracle *oracle, bool downsampled)
{
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        const char *name = pv_oracle_case(oracle, i);
        pv_model_case s;
        open(&s, oracle, name, downsampled);
        pv_model_case_load(&s);
        check_one_pass(&s);
        if (pv_oracle_has(oracle, name, "output/adamw/losses")) check_adamw(&s);
        check_planted(&s);
        pv_model_case_close(&s);
    }
    pv_oracle_close(oracle);
}

int main(void)
{
    check_file(pv_oracle_open("dws_model.h5"), false);
    /* The published model behind one set layer of the published down-sampling ones: pv_dws_down.h. */
    check_file(pv_oracle_open_own("dws_downsample.h5"), true);
    return pv_case_end();
}
