/* A small model in double precision on random rows, its loss, and its gradients held against slopes.  All in
 * this header, for the library of the tests is built in single precision. */
#ifndef PV_MODEL_SUBJECT_H
#define PV_MODEL_SUBJECT_H

#include "base/pv_rng.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "pv_slopes.h"
#include "pv_test_arch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { SUBJECT_CLASSES = 3, SUBJECT_BATCH = 5, SUBJECT_WEIGHTS = 64 }; /* the most numbers of an INR */

static const double SUBJECT_TOLERANCE = 1e-6;
static const int32_t subject_labels[SUBJECT_BATCH] = {0, 2, 1, 2, 1};

typedef struct subject {
    pv_model *model;
    pv_pass pass;
    int batch, weights;
    pv_real rows[SUBJECT_BATCH * SUBJECT_WEIGHTS], drows[SUBJECT_BATCH * SUBJECT_WEIGHTS];
    pv_real logits[SUBJECT_BATCH * SUBJECT_CLASSES], dlogits[SUBJECT_BATCH * SUBJECT_CLASSES];
} subject;

/* `noise` moves all parameters: biases and the weights of norms start as 0 and 1, where errors hide. */
static void subject_open(subject *s, const pv_model_opts *opts, const int *dims, int layers, int batch,
                         double noise)
{
    *s = (subject){.pass = {.training = true, .global_batch = batch, .seed = 1, .step = 2}, .batch = batch};
    s->weights = pv_reading_count(pv_test_arch(dims, layers), opts->features);
    assert_true(s->weights <= SUBJECT_WEIGHTS && batch <= SUBJECT_BATCH);
    assert_int_equal(pv_model_new(opts, pv_test_arch(dims, layers), SUBJECT_CLASSES, batch, &s->model),
                     PV_OK);
    pv_model_init(s->model, 4);
    pv_rng rng = pv_rng_open(2, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < batch * s->weights; i++)
        s->rows[i] = (pv_real)pv_rng_normal(&rng);
    for (int64_t i = 0; i < pv_model_count(s->model); i++)
        pv_model_params(s->model)[i] += (pv_real)(noise * pv_rng_normal(&rng));
}

static double subject_loss(void *context)
{
    subject *const s = context;
    pv_model_forward(s->model, &s->pass, s->rows, s->batch, s->logits);
    return pv_cross_entropy(s->batch, SUBJECT_CLASSES, s->logits, subject_labels, 1, s->dlogits);
}

/* All gradients of rows and about one of `thinned` of parameters are slopes of the loss.  Frees the model. */
static void subject_check_slopes(subject *s, int thinned)
{
    subject_loss(s);
    pv_model_backward(s->model, &s->pass, s->dlogits, s->drows);
    const pv_test_loss loss = {subject_loss, s};
    const int64_t count = pv_model_count(s->model), rows = (int64_t)s->batch * s->weights;
    assert_true(pv_slopes_of(loss, s->rows, s->drows, rows, rows) < SUBJECT_TOLERANCE);
    assert_true(pv_slopes_of(loss, pv_model_params(s->model), pv_model_gradients(s->model), count,
                             count / thinned) < SUBJECT_TOLERANCE);
    pv_model_free(s->model);
}

#endif
