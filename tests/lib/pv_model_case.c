/* Models against the oracle: what the tests of all kinds of models repeat. */
#include "pv_model_case.h"
#include "pv_test_arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT = 256 };

static int checks, failures;

void pv_case_check(bool holds, const char *name, const char *statement, double error)
{
    checks++;
    failures += !holds;
    printf("%s %d - %s: %s (%.1e)\n", holds ? "ok" : "not ok", checks, name, statement, error);
}

int pv_case_end(void)
{
    printf("1..%d\n", checks);
    return failures > 0;
}

void pv_model_case_open(pv_model_case *c, const pv_oracle *oracle, const char *name,
                        const pv_model_opts *opts, const char *dims, const char *classes)
{
    *c = (pv_model_case){.oracle = oracle, .name = name};
    c->layers = pv_oracle_ints(oracle, name, dims, c->dims, PV_CASE_DIMS) - 1;
    c->classes = (int)pv_oracle_int(oracle, name, classes);
    c->batch = (int)pv_oracle_int(oracle, name, "batch");
    if (pv_model_new(opts, pv_test_arch(c->dims, c->layers), c->classes, c->batch, &c->model) != PV_OK) {
        printf("not ok - %s: cannot build the model\n", name);
        exit(1);
    }
    c->count = pv_model_tensors(c->model, &c->tensors);
    for (int i = 0; i < c->layers; i++)
        c->weights += (c->dims[i] + 1) * c->dims[i + 1];
    c->rows = calloc((size_t)(c->batch * c->weights), sizeof *c->rows);
    c->drows = calloc((size_t)(c->batch * c->weights), sizeof *c->drows);
    c->logits = calloc((size_t)(c->batch * c->classes), sizeof *c->logits);
    c->dlogits = calloc((size_t)(c->batch * c->classes), sizeof *c->dlogits);
    c->labels = calloc((size_t)c->batch, sizeof *c->labels);
}

void pv_model_case_close(pv_model_case *c)
{
    free(c->rows);
    free(c->drows);
    free(c->logits);
    free(c->dlogits);
    free(c->labels);
    pv_model_free(c->model);
}

double *pv_model_case_read(const pv_model_case *c, const char *folder, const char *leaf, int64_t *count)
{
    char path[2 * TEXT];
    snprintf(path, sizeof path, "%s%s", folder, leaf);
    return pv_oracle_read(c->oracle, c->name, path, count);
}

void pv_model_case_load(const pv_model_case *c)
{
    bool all = true;
    int64_t mine = 0;
    for (int i = 0; i < c->count; i++) {
        char path[TEXT];
        int64_t count = 0;
        snprintf(path, sizeof path, "param/%s", c->tensors[i].name);
        if (!pv_oracle_has(c->oracle, c->name, path)) {
            printf("# no such tensor: %s\n", path);
            all = false;
            continue;
        }
        double *values = pv_oracle_read(c->oracle, c->name, path, &count);
        all = all && count == c->tensors[i].count;
        for (int64_t k = 0; k < count && k < c->tensors[i].count; k++)
            c->tensors[i].values[k] = (pv_real)values[k];
        free(values);
        mine += c->tensors[i].count;
    }
    const int64_t theirs = pv_oracle_values(c->oracle, c->name, "param");
    pv_case_check(all && mine == theirs, c->name,
                  "tensors have the published names and sizes, and none is missing", (double)(mine - theirs));
}

/* The largest relative distance of n values from doubles. */
static double relative(const pv_model_case *c, int64_t n, const pv_real *mine, const double *truth)
{
    double *copy = malloc(sizeof *copy * (size_t)n);
    for (int64_t k = 0; k < n; k++)
        copy[k] = (double)mine[k];
    const double error = pv_oracle_relative_l2(n, copy, truth, c->floor);
    free(copy);
    return error;
}

/* Rows in state_dict order from the oracle's weights.i [batch][in][out], biases.i, or their distance from
 * it. */
static double carry_rows(const pv_model_case *c, const char *folder, pv_real *rows, bool compare)
{
    double worst = 0;
    int64_t at = 0;
    for (int tensor = 0; tensor < 2 * c->layers; tensor++) {
        const int layer = tensor / 2, in = tensor % 2 ? 1 : c->dims[layer], out = c->dims[layer + 1];
        char leaf[TEXT];
        snprintf(leaf, sizeof leaf, "%s.%d", tensor % 2 ? "biases" : "weights", layer);
        int64_t count = 0;
        double *values = pv_model_case_read(c, folder, leaf, &count);
        pv_real *mine = malloc(sizeof *mine * (size_t)count);
        for (int64_t k = 0; k < count; k++) {
            const int64_t i = k / out % in, o = k % out;
            pv_real *value = &rows[k / (in * out) * c->weights + at + o * in + i];
            mine[k] = *value;
            if (!compare) *value = (pv_real)values[k];
        }
        if (compare) worst = fmax(worst, relative(c, count, mine, values));
        at += in * out;
        free(values);
        free(mine);
    }
    return worst;
}

void pv_model_case_input(const pv_model_case *c, const char *folder)
{
    int64_t count = 0;
    carry_rows(c, folder, c->rows, false);
    double *values = pv_model_case_read(c, folder, "label", &count);
    for (int64_t i = 0; i < count; i++)
        c->labels[i] = (int32_t)values[i];
    free(values);
}

double pv_model_case_distance(const pv_model_case *c, const char *path, int64_t n, const pv_real *mine)
{
    int64_t count = 0;
    double *values = pv_oracle_read(c->oracle, c->name, path, &count),
           *copy = malloc(sizeof *copy * (size_t)n);
    for (int64_t k = 0; k < n; k++)
        copy[k] = (double)mine[k];
    const double error = count == n ? pv_oracle_distance(n, copy, values) : INFINITY;
    free(values);
    free(copy);
    return error;
}

double pv_model_case_gradients(const pv_model_case *c, double tolerance)
{
    double worst = 0;
    for (int i = 0; i < c->count; i++) {
        const pv_model_tensor *tensor = &c->tensors[i];
        if (!tensor->gradients) continue;
        int64_t count = 0;
        double *values = pv_model_case_read(c, "grad/", tensor->name, &count);
        const double error = relative(c, count, tensor->gradients, values);
        if (error > tolerance) printf("# %s: %g\n", tensor->name, error);
        worst = fmax(worst, error);
        free(values);
    }
    return worst;
}

double pv_model_case_row_gradients(const pv_model_case *c)
{
    return carry_rows(c, "grad/input/", c->drows, true);
}
