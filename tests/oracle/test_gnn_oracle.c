/* The relational transformer against the published one: names, logits, loss, gradients of every option. */
#include "pv_oracle.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256, DIMS = 17 };

/* float32 against float64 */
static const double TOLERANCE = 1e-4, GRADIENT_FLOOR = 1e-3;

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
    pv_real *rows, *drows, *logits, *dlogits;
    int32_t *labels;
} subject;

static double *read_floats(const subject *s, const char *folder, const char *leaf, int64_t *count)
{
    char path[TEXT];
    snprintf(path, sizeof path, "%s%s", folder, leaf);
    return pv_oracle_read(s->oracle, s->name, path, count);
}

static int integer(const subject *s, const char *key)
{
    return (int)pv_oracle_int(s->oracle, s->name, key);
}

static pv_gnn_opts own_options(const subject *s)
{
    char features[TEXT];
    pv_oracle_text(s->oracle, s->name, "graph_features", features, TEXT);
    return (pv_gnn_opts){.d_node = integer(s, "d_node"),
                         .d_edge = integer(s, "d_edge"),
                         .d_attn = integer(s, "d_attn_hid"),
                         .d_node_hid = integer(s, "d_node_hid"),
                         .d_edge_hid = integer(s, "d_edge_hid"),
                         .d_out_hid = integer(s, "d_out_hid"),
                         .graph_features = strcmp(features, "mean") == 0        ? PV_GRAPH_MEAN
                                           : strcmp(features, "cls_token") == 0 ? PV_GRAPH_CLS_TOKEN
                                                                                : PV_GRAPH_CAT_LAST_LAYER,
                         .rev_edge_features = integer(s, "rev_edge_features"),
                         .sin_emb = integer(s, "sin_emb"),
                         .inp_factor = pv_oracle_real(s->oracle, s->name, "inp_factor"),
                         .input_layers = integer(s, "input_layers"),
                         .modulate_v = integer(s, "modulate_v"),
                         .use_ln = integer(s, "use_ln")};
}

/* `own` is borrowed. */
static pv_model_opts options(const subject *s, pv_gnn_opts *own)
{
    *own = own_options(s);
    return (pv_model_opts){.kind = {&pv_model_gnn.plugin, own},
                           .layers = integer(s, "n_layers"),
                           .heads = integer(s, "n_heads")};
}

static void build(subject *s, const pv_oracle *oracle, const char *name)
{
    *s = (subject){.oracle = oracle, .name = name};
    s->layers = pv_oracle_ints(oracle, name, "layer_layout", s->dims, DIMS) - 1;
    s->classes = integer(s, "d_out");
    s->batch = integer(s, "batch");
    pv_gnn_opts own;
    const pv_model_opts opts = options(s, &own);
    if (pv_model_new(&opts, s->dims, s->layers, s->classes, s->batch, &s->model) != PV_OK) {
        printf("not ok - %s: cannot build the model\n", name);
        exit(1);
    }
    s->count = pv_model_tensors(s->model, &s->tensors);
    for (int i = 0; i < s->layers; i++)
        s->weights += (s->dims[i] + 1) * s->dims[i + 1];
    s->rows = calloc((size_t)(s->batch * s->weights), sizeof *s->rows);
    s->drows = calloc((size_t)(s->batch * s->weights), sizeof *s->drows);
    s->logits = calloc((size_t)(s->batch * s->classes), sizeof *s->logits);
    s->dlogits = calloc((size_t)(s->batch * s->classes), sizeof *s->dlogits);
    s->labels = calloc((size_t)s->batch, sizeof *s->labels);
}

static void release(subject *s)
{
    free(s->rows);
    free(s->drows);
    free(s->logits);
    free(s->dlogits);
    free(s->labels);
    pv_model_free(s->model);
}

/* The names and sizes of our tensors are the published ones, and there are no others; takes their values. */
static void load(const subject *s)
{
    bool all = true;
    int64_t mine = 0, theirs = 0;
    for (int i = 0; i < s->count; i++) {
        char path[TEXT];
        int64_t count = 0;
        snprintf(path, sizeof path, "param/%s", s->tensors[i].name);
        if (!pv_oracle_has(s->oracle, s->name, path)) {
            printf("# no such tensor: %s\n", path);
            all = false;
            continue;
        }
        double *values = pv_oracle_read(s->oracle, s->name, path, &count);
        all = all && count == s->tensors[i].count;
        for (int64_t k = 0; k < count && k < s->tensors[i].count; k++)
            s->tensors[i].values[k] = (pv_real)values[k];
        free(values);
        mine += s->tensors[i].count;
    }
    theirs = pv_oracle_values(s->oracle, s->name, "param");
    check(all && mine == theirs, s->name, "tensors have the published names and sizes, and none is missing",
          (double)(mine - theirs));
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

static void check_case(const pv_oracle *oracle, const char *name)
{
    subject s;
    build(&s, oracle, name);
    const pv_pass pass = {.training = true, .global_batch = s.batch};
    load(&s);
    rows_error(&s, "input/", s.rows, false);
    int64_t count = 0;
    double *values = read_floats(&s, "input/", "label", &count);
    for (int64_t i = 0; i < count; i++)
        s.labels[i] = (int32_t)values[i];
    free(values);

    pv_model_forward(s.model, &pass, s.rows, s.batch, s.logits);
    values = read_floats(&s, "output/", "logits", &count);
    double *logits = calloc((size_t)count, sizeof *logits);
    for (int64_t i = 0; i < count; i++)
        logits[i] = (double)s.logits[i];
    double error = pv_oracle_distance(count, logits, values);
    check(error < TOLERANCE, name, "the logits agree", error);
    free(logits);
    free(values);

    const double loss =
        pv_cross_entropy(s.batch, s.classes, s.logits, s.labels, 1.0 / s.batch, s.dlogits) / s.batch;
    values = read_floats(&s, "output/", "loss", &count);
    check(fabs(loss - values[0]) < TOLERANCE, name, "the loss agrees", loss - values[0]);
    free(values);

    pv_model_backward(s.model, &pass, s.dlogits, s.drows);
    error = gradient_error(&s);
    check(error < TOLERANCE, name, "the gradients of all parameters agree", error);
    error = rows_error(&s, "grad/input/", s.drows, true);
    check(error < TOLERANCE, name, "the gradients of the rows agree", error);
    release(&s);
}

int main(void)
{
    pv_oracle *oracle = pv_oracle_open("relational_transformer.h5");
    for (int i = 0; i < pv_oracle_cases(oracle); i++)
        check_case(oracle, pv_oracle_case(oracle, i));
    pv_oracle_close(oracle);
    printf("1..%d\n", checks);
    return failures > 0;
}
