/* The scale-equivariant graph network against the published one, in double precision: names, logits, loss,
 * gradients of parameters and rows, with messages one way and both ways. */
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/pv_model_kinds.h"
#include "nn/scalegmn/pv_scalegmn_opts.h"
#include "pv_oracle.h"
#include "pv_test_arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIMS = 17, TEXT = 16384 };

/* relative, and what counts as the length of a gradient that is shorter */
static const double TOLERANCE = 1e-9, FLOOR = 1e-6;

static int checks, failures;

typedef struct subject {
    const pv_oracle *oracle;
    const char *name;
    int dims[DIMS], layers, batch, classes;
    pv_scalegmn_opts own;
    pv_model *model;
} subject;

static void check(const subject *s, bool holds, const char *statement, double error)
{
    checks++;
    failures += !holds;
    printf("%s %d - %s: %s (%.1e)\n", holds ? "ok" : "not ok", checks, s->name, statement, error);
}

static int integer(const subject *s, const char *key)
{
    return (int)pv_oracle_int(s->oracle, s->name, key);
}

static void open(subject *s)
{
    s->layers = pv_oracle_ints(s->oracle, s->name, "dims", s->dims, DIMS) - 1;
    s->batch = integer(s, "batch");
    s->classes = integer(s, "classes");
    s->own.direction = integer(s, "both") ? PV_DIRECTION_BOTH : PV_DIRECTION_FORWARD;
    const pv_model_opts opts = {.kind = {&pv_model_scalegmn.plugin, &s->own},
                                .hidden = integer(s, "hidden"),
                                .layers = integer(s, "layers")};
    if (pv_model_new(&opts, pv_test_arch(s->dims, s->layers), s->classes, s->batch, &s->model) != PV_OK)
        exit(1);
}

/* The published tensors one after the other, from or into ours of the same names. */
static void carry(const subject *s, const char *key, bool compare)
{
    char names[TEXT];
    int64_t count = 0, at = 0, seen = 0;
    double *const published = pv_oracle_read(s->oracle, s->name, key, &count), worst = 0;
    const pv_model_tensor *tensors;
    const int own = pv_model_tensors(s->model, &tensors);
    pv_oracle_text(s->oracle, s->name, "names", names, TEXT);
    for (char *name = strtok(names, "\n"); name; name = strtok(NULL, "\n")) {
        int i = 0;
        while (i < own && strcmp(tensors[i].name, name) != 0)
            i++;
        if (i == own) {
            check(s, false, name, 1);
            break;
        }
        if (compare)
            worst = fmax(
                worst, pv_oracle_relative_l2(tensors[i].count, tensors[i].gradients, published + at, FLOOR));
        else
            memcpy(tensors[i].values, published + at, sizeof *published * (size_t)tensors[i].count);
        at += tensors[i].count;
        seen++;
    }
    if (compare)
        check(s, worst < TOLERANCE, "the gradients of all parameters agree", worst);
    else
        check(s, seen == own && at == count, "tensors have the published names and sizes",
              (double)(count - at));
    free(published);
}

static void agrees(const subject *s, const char *key, int64_t n, const double *mine, const char *statement)
{
    int64_t count = 0;
    double *const published = pv_oracle_read(s->oracle, s->name, key, &count);
    const double error = count == n ? pv_oracle_relative_l2(n, mine, published, FLOOR) : INFINITY;
    check(s, error < TOLERANCE, statement, error);
    free(published);
}

static void check_case(const pv_oracle *oracle, const char *name)
{
    subject s = {.oracle = oracle, .name = name};
    open(&s);
    int64_t count = 0, labelled = 0;
    double *const rows = pv_oracle_read(oracle, name, "rows", &count);
    double *const labels = pv_oracle_read(oracle, name, "labels", &labelled);
    const int values = s.batch * s.classes;
    double *const drows = calloc((size_t)count, sizeof *drows);
    double *const logits = calloc((size_t)(2 * values), sizeof *logits), *const dlogits = logits + values;
    int32_t *const classes = calloc((size_t)s.batch, sizeof *classes);
    for (int64_t i = 0; i < labelled; i++)
        classes[i] = (int32_t)labels[i];
    const pv_pass pass = {.training = true, .global_batch = s.batch};
    carry(&s, "param", false);
    pv_model_forward(s.model, &pass, rows, s.batch, logits);
    const double loss =
        pv_cross_entropy(s.batch, s.classes, logits, classes, 1.0 / s.batch, dlogits) / s.batch;
    pv_model_backward(s.model, &pass, dlogits, drows);
    agrees(&s, "logits", values, logits, "the logits agree");
    agrees(&s, "loss", 1, &loss, "the loss agrees");
    carry(&s, "grad", true);
    agrees(&s, "drows", count, drows, "the gradients of the rows agree");
    pv_model_free(s.model);
    free(rows);
    free(labels);
    free(drows);
    free(logits);
    free(classes);
}

int main(void)
{
    pv_oracle *const oracle = pv_oracle_open_own("scalegmn.h5");
    for (int i = 0; i < pv_oracle_cases(oracle); i++)
        check_case(oracle, pv_oracle_case(oracle, i));
    pv_oracle_close(oracle);
    printf("1..%d\n", checks);
    return failures > 0;
}
