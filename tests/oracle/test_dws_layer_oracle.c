/* One DWS layer against the published layer: outputs and every gradient. */
#include "pv_oracle.h"
#include "nn/dws/pv_dws_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256, DIMS = 17 };

/* float32 against float64: outputs, gradients, and the norm below which a gradient counts as zero. */
static const double OUTPUT_TOLERANCE = 1e-4, GRADIENT_TOLERANCE = 1e-4, GRADIENT_FLOOR = 1e-3, ZERO = 1e-12;

static int failures;

/* A layer built from a case, with its parameters loaded. */
typedef struct subject {
    pv_dws_space space;
    pv_dws_layer layer;
    pv_memory memory;
    pv_nn_params params;
    int batch;
} subject;

static pv_pooling reduction_of(const char *text)
{
    return strcmp(text, "max") == 0 ? PV_POOL_MAX : strcmp(text, "mean") == 0 ? PV_POOL_MEAN : PV_POOL_SUM;
}

static void expect(bool holds, const char *name, const char *what)
{
    if (holds) return;
    failures++;
    printf("# %s: does not hold: %s\n", name, what);
}

static void load(subject *s, const pv_oracle *oracle, const char *name)
{
    for (int i = 0; i < s->params.count; i++) {
        const pv_model_tensor *tensor = &s->params.tensors[i];
        char path[TEXT];
        snprintf(path, sizeof path, "param/%s", tensor->name);
        int64_t count = 0;
        double *values = pv_oracle_read(oracle, name, path, &count);
        expect(count == tensor->count, name, path);
        for (int64_t k = 0; k < count; k++)
            tensor->values[k] = (pv_real)values[k];
        free(values);
    }
}

static void build(subject *s, const pv_oracle *oracle, const char *name)
{
    *s = (subject){0};
    int dims[DIMS];
    const int layers = pv_oracle_ints(oracle, name, "dims", dims, DIMS) - 1;
    char reduction[TEXT];
    pv_oracle_text(oracle, name, "reduction", reduction, TEXT);
    char set_layer[TEXT];
    pv_oracle_text(oracle, name, "set_layer", set_layer, TEXT);
    const pv_dws_layer_opts opts = {
        .in = (int)pv_oracle_int(oracle, name, "in_features"),
        .out = (int)pv_oracle_int(oracle, name, "out_features"),
        .fc_layers = (int)pv_oracle_int(oracle, name, "n_fc_layers"),
        .set_layer = strcmp(set_layer, "sab") == 0 ? PV_SET_SAB : PV_SET_DS,
        .heads = (int)pv_oracle_int(oracle, name, "num_heads"),
        .reduction = reduction_of(reduction),
        .diagonal = pv_oracle_int(oracle, name, "diagonal"),
        .skip = pv_oracle_int(oracle, name, "add_skip"),
    };
    s->batch = (int)pv_oracle_int(oracle, name, "batch");
    pv_nn_params_open(&s->params, &s->memory);
    expect(pv_dws_space_set(&s->space, dims, layers, 1) == PV_OK, name, "space");
    expect(pv_dws_layer_new(&s->layer, &s->space, &s->space, &opts, s->batch, "", &s->params) == PV_OK, name,
           "layer");
    expect(pv_nn_params_close(&s->params) == PV_OK, name, "parameters");
    load(s, oracle, name);
}

static void tensor_path(const pv_dws_space *space, int t, const char *folder, char *path)
{
    const bool weight = t < space->layers;
    snprintf(path, TEXT, "%s%s.%d", folder, weight ? "weights" : "biases", weight ? t : t - space->layers);
}

/* Entry k of a tensor of the oracle in a set: weight 0 is held transposed. */
static int64_t place(const pv_dws_space *space, int t, int batch, int f, int64_t k)
{
    const int64_t rows = space->rows[t], cols = space->cols[t], per = rows * cols * f;
    int64_t inner = k % per;
    if (t == 0) inner = (inner / f % rows * cols + inner / f / rows) * f + inner % f;
    return pv_dws_at(space, t, PV_MARGIN_FULL, batch, (int)(k / per), f) + inner;
}

static pv_real *read_set(const subject *s, const pv_oracle *oracle, const char *name, const char *folder,
                         int f)
{
    pv_real *set = calloc((size_t)(s->space.total[PV_MARGIN_FULL] * s->batch * f), sizeof *set);
    for (int t = 0; t < s->space.tensors; t++) {
        char path[TEXT];
        tensor_path(&s->space, t, folder, path);
        int64_t count = 0;
        double *values = pv_oracle_read(oracle, name, path, &count);
        for (int64_t k = 0; k < count; k++)
            set[place(&s->space, t, s->batch, f, k)] = (pv_real)values[k];
        free(values);
    }
    return set;
}

/* The worst distance of a set's tensors from the oracle's, in the measure given. */
static double set_error(const subject *s, const pv_oracle *oracle, const char *name, const char *folder,
                        int f, const pv_real *set, bool gradient)
{
    double worst = 0;
    for (int t = 0; t < s->space.tensors; t++) {
        char path[TEXT];
        tensor_path(&s->space, t, folder, path);
        int64_t count = 0;
        double *values = pv_oracle_read(oracle, name, path, &count),
               *mine = malloc(sizeof *mine * (size_t)count);
        for (int64_t k = 0; k < count; k++)
            mine[k] = (double)set[place(&s->space, t, s->batch, f, k)];
        worst = fmax(worst, gradient ? pv_oracle_relative_l2(count, mine, values, GRADIENT_FLOOR)
                                     : pv_oracle_distance(count, mine, values));
        free(values);
        free(mine);
    }
    return worst;
}

static double parameter_error(const subject *s, const pv_oracle *oracle, const char *name)
{
    double worst = 0;
    for (int i = 0; i < s->params.count; i++) {
        const pv_model_tensor *tensor = &s->params.tensors[i];
        char path[TEXT];
        snprintf(path, sizeof path, "grad/%s", tensor->name);
        int64_t count = 0;
        double *values = pv_oracle_read(oracle, name, path, &count),
               *mine = malloc(sizeof *mine * (size_t)count);
        for (int64_t k = 0; k < count; k++)
            mine[k] = (double)tensor->gradients[k];
        double largest = 0; /* an attention's logits do not see fc_k.bias: zero but for rounding */
        for (int64_t k = 0; k < count; k++)
            largest = fmax(largest, fabs(values[k]));
        worst = fmax(worst, largest < ZERO ? pv_oracle_distance(count, mine, values)
                                           : pv_oracle_relative_l2(count, mine, values, GRADIENT_FLOOR));
        free(values);
        free(mine);
    }
    return worst;
}

/* Whether outputs and gradients of a case agree; `plant` first spoils one parameter. */
static bool agrees(const pv_oracle *oracle, const char *name, bool plant)
{
    subject s;
    build(&s, oracle, name);
    if (plant) s.params.tensors[0].values[0] += (pv_real)0.01;
    const int in = s.layer.opts.in, out = s.layer.opts.out;
    pv_real *x = read_set(&s, oracle, name, "input/", in), *dy = read_set(&s, oracle, name, "input/R.", out);
    pv_real *y = calloc((size_t)(s.space.total[PV_MARGIN_FULL] * s.batch * out), sizeof *y);
    pv_real *dx = calloc((size_t)(s.space.total[PV_MARGIN_FULL] * s.batch * in), sizeof *dx);
    const pv_dws_exit plain = {.relu = false};
    pv_dws_layer_pack(&s.layer);
    pv_dws_margins_pool(&s.layer.source, s.batch, x);
    pv_dws_layer_forward(&s.layer, s.batch, x, y, NULL);
    pv_dws_layer_backward_begin(&s.layer);
    pv_dws_margins_pool(&s.layer.target, s.batch, dy);
    pv_dws_layer_backward(&s.layer, s.batch, x, dy, dx, &plain);
    pv_dws_layer_backward_end(&s.layer);
    const double output = set_error(&s, oracle, name, "output/", out, y, false);
    const double input = set_error(&s, oracle, name, "grad/input/", in, dx, true);
    const double parameter = parameter_error(&s, oracle, name);
    if (!plant)
        printf("# %s: output %.1e, input gradient %.1e, parameter gradients %.1e\n", name, output, input,
               parameter);
    free(x);
    free(y);
    free(dx);
    free(dy);
    pv_memory_free(&s.memory);
    return output < OUTPUT_TOLERANCE && input < GRADIENT_TOLERANCE && parameter < GRADIENT_TOLERANCE;
}

int main(void)
{
    pv_oracle *oracle = pv_oracle_open("dws_layer.h5");
    const char *tested = NULL;
    const int cases = pv_oracle_cases(oracle);
    bool all = true;
    for (int i = 0; i < cases; i++) {
        const char *name = pv_oracle_case(oracle, i);
        failures = 0;
        const bool good = agrees(oracle, name, false) && failures == 0;
        printf("%s %d - %s: outputs and all gradients agree\n", good ? "ok" : "not ok", i + 1, name);
        all = all && good;
        tested = name;
    }
    const bool seen = tested && !agrees(oracle, tested, true);
    printf("%s %d - a parameter changed by 0.01 is seen\n", seen ? "ok" : "not ok", cases + 1);
    pv_oracle_close(oracle);
    return !(all && seen);
}
