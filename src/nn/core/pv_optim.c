/* AdamW, Adam and SGD on flat vectors. */
#include "nn/core/pv_optim.h"
#include "base/pv_mem.h"
#include "nn/core/pv_nn_kernels.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_SLOTS = 3 };

struct pv_optim {
    pv_optim_opts opts;
    const pv_nn_kernels *kernels;
    int64_t count, steps;
    pv_real *slots[MAX_SLOTS];
};

static const double BETA1 = 0.9, BETA2 = 0.999, EPS = 1e-8;

static const char *const adam_slots[MAX_SLOTS] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};

int pv_optim_slots(const pv_optim *optim)
{
    if (optim->opts.kind == PV_OPTIM_SGD) return 1;
    return optim->opts.amsgrad ? 3 : 2;
}

const char *pv_optim_slot_name(const pv_optim *optim, int slot)
{
    return optim->opts.kind == PV_OPTIM_SGD ? "momentum_buffer" : adam_slots[slot];
}

pv_real *pv_optim_slot(pv_optim *optim, int slot)
{
    return optim->slots[slot];
}

int64_t pv_optim_steps(const pv_optim *optim)
{
    return optim->steps;
}

void pv_optim_set_steps(pv_optim *optim, int64_t steps)
{
    optim->steps = steps;
}

pv_status pv_optim_new(const pv_optim_opts *opts, int64_t count, pv_optim **out)
{
    pv_optim *optim = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(optim, 1);
    optim->opts = *opts;
    optim->kernels = PV_ISA_CHOOSE(pv_nn_kernels);
    optim->count = count;
    for (int slot = 0; slot < pv_optim_slots(optim); slot++)
        PV_ALLOC(optim->slots[slot], count);
    *out = optim;
    optim = NULL;
done:
    pv_optim_free(optim);
    return st;
}

void pv_optim_free(pv_optim *optim)
{
    if (!optim) return;
    for (int slot = 0; slot < MAX_SLOTS; slot++)
        free(optim->slots[slot]);
    free(optim);
}

void pv_optim_step(pv_optim *optim, double lr, const pv_real *gradients, pv_real *params)
{
    const pv_optim_opts *opts = &optim->opts;
    optim->steps++;
    if (opts->kind == PV_OPTIM_SGD) {
        optim->kernels->sgd(optim->count, (pv_real)lr, (pv_real)opts->momentum, (pv_real)opts->weight_decay,
                            gradients, params, optim->slots[0]);
        return;
    }
    const bool decoupled = opts->kind == PV_OPTIM_ADAMW;
    const double t = (double)optim->steps;
    const pv_adam_step step = {
        .decay = (pv_real)(decoupled ? 1 - lr * opts->weight_decay : 1),
        .l2 = (pv_real)(decoupled ? 0 : opts->weight_decay),
        .beta1 = (pv_real)BETA1,
        .beta2 = (pv_real)BETA2,
        .rest1 = (pv_real)(1 - BETA1),
        .rest2 = (pv_real)(1 - BETA2),
        .rate = (pv_real)(lr / (1 - pow(BETA1, t))),
        .scale = (pv_real)(1 / sqrt(1 - pow(BETA2, t))),
        .eps = (pv_real)EPS,
    };
    optim->kernels->adam(optim->count, &step, gradients, params, optim->slots[0], optim->slots[1],
                         opts->amsgrad ? optim->slots[2] : NULL);
}
