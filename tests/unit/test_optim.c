/* Optimisers against their formulas in double precision. */
#include "base/pv_rng.h"
#include "nn/core/pv_optim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { COUNT = 37, STEPS = 12 };

static const double LR = 0.01, DECAY = 0.1;

/* torch.optim, written out for one parameter. */
typedef struct reference {
    double p, m, v, vmax;
} reference;

static void reference_adam(reference *r, const pv_optim_opts *opts, double g, int t)
{
    if (opts->kind == PV_OPTIM_ADAMW)
        r->p *= 1 - LR * opts->weight_decay;
    else
        g += opts->weight_decay * r->p;
    r->m = 0.9 * r->m + 0.1 * g;
    r->v = 0.999 * r->v + 0.001 * g * g;
    r->vmax = fmax(r->vmax, r->v);
    const double second = opts->amsgrad ? r->vmax : r->v;
    r->p -= LR / (1 - pow(0.9, t)) * r->m / (sqrt(second) / sqrt(1 - pow(0.999, t)) + 1e-8);
}

static void reference_sgd(reference *r, const pv_optim_opts *opts, double g)
{
    r->m = opts->momentum * r->m + g + opts->weight_decay * r->p;
    r->p -= LR * r->m;
}

static void check(const pv_optim_opts *opts)
{
    pv_optim *optim = NULL;
    assert_int_equal(pv_optim_new(opts, COUNT, &optim), PV_OK);
    pv_real params[COUNT], gradients[COUNT];
    reference truth[COUNT] = {{0}};
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        params[i] = (pv_real)pv_rng_normal(&rng);
        truth[i].p = (double)params[i];
    }
    for (int t = 1; t <= STEPS; t++) {
        for (int i = 0; i < COUNT; i++) {
            gradients[i] = (pv_real)(pv_rng_normal(&rng) / t); /* falling, so that AMSGrad matters */
            if (opts->kind == PV_OPTIM_SGD)
                reference_sgd(&truth[i], opts, (double)gradients[i]);
            else
                reference_adam(&truth[i], opts, (double)gradients[i], t);
        }
        pv_optim_step(optim, LR, gradients, params);
    }
    assert_int_equal(pv_optim_steps(optim), STEPS);
    for (int i = 0; i < COUNT; i++)
        assert_true(fabs((double)params[i] - truth[i].p) < 2e-6);
    pv_optim_free(optim);
}

static void sgd_follows_its_formula(void **state)
{
    (void)state;
    check(&(pv_optim_opts){.kind = PV_OPTIM_SGD});
    check(&(pv_optim_opts){.kind = PV_OPTIM_SGD, .momentum = 0.9, .weight_decay = DECAY});
}

static void adam_follows_its_formula(void **state)
{
    (void)state;
    for (int amsgrad = 0; amsgrad < 2; amsgrad++) {
        check(&(pv_optim_opts){.kind = PV_OPTIM_ADAM, .amsgrad = amsgrad});
        check(&(pv_optim_opts){.kind = PV_OPTIM_ADAM, .weight_decay = DECAY, .amsgrad = amsgrad});
        check(&(pv_optim_opts){.kind = PV_OPTIM_ADAMW, .weight_decay = DECAY, .amsgrad = amsgrad});
    }
}

static void a_copied_state_continues_bit_for_bit(void **state)
{
    (void)state;
    const pv_optim_opts opts = {.kind = PV_OPTIM_ADAMW, .weight_decay = DECAY, .amsgrad = true};
    pv_optim *first = NULL, *second = NULL;
    assert_int_equal(pv_optim_new(&opts, COUNT, &first), PV_OK);
    assert_int_equal(pv_optim_new(&opts, COUNT, &second), PV_OK);
    pv_real params[COUNT] = {1}, gradients[COUNT], copy[COUNT];
    for (int i = 0; i < COUNT; i++)
        gradients[i] = (pv_real)(i - 5);
    pv_optim_step(first, LR, gradients, params);
    assert_int_equal(pv_optim_slots(first), 3);
    assert_string_equal(pv_optim_slot_name(first, 2), "max_exp_avg_sq");
    memcpy(copy, params, sizeof copy);
    for (int slot = 0; slot < 3; slot++)
        memcpy(pv_optim_slot(second, slot), pv_optim_slot(first, slot), sizeof copy);
    pv_optim_set_steps(second, pv_optim_steps(first));
    pv_optim_step(first, LR, gradients, params);
    pv_optim_step(second, LR, gradients, copy);
    assert_memory_equal(params, copy, sizeof copy);
    pv_optim_free(first);
    pv_optim_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_its_formula),
        cmocka_unit_test(adam_follows_its_formula),
        cmocka_unit_test(a_copied_state_continues_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
