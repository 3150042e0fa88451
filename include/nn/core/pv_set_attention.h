/* The set layer `sab`: multi-head attention of a set with itself.
 *
 *     q, k, v = fc_q(x), fc_k(x), fc_v(x);  A = softmax(q k^T / sqrt(out)) head by head;  o = q + A v
 *     y = o + ReLU(fc_o(o))
 * Source   Lee et al. 2019 (Set Transformer), as in the published DWS layer: no layer norm, the logits
 * divided by the root of the whole width, heads are consecutive channels. */
#ifndef PV_SET_ATTENTION_H
#define PV_SET_ATTENTION_H

#include "nn/core/pv_linear.h"

enum { PV_SAB_MAPS = 4 }; /* fc_q, fc_k, fc_v, fc_o */

/* Scratch of one sample, shared by all attentions of a layer: backward computes forward anew instead of
 * keeping it, which costs less than memory that no cache holds. */
typedef struct pv_sab_work {
    int positions, in, out, heads; /* the largest of those that share it */
    pv_real *x, *dx;               /* [in][np] */
    pv_real *q, *k, *v, *o, *z;    /* [out][np], like their gradients */
    pv_real *dq, *dk, *dv, *dout, *dz;
    pv_real *p, *share;   /* exponentials [heads][positions][np], and what makes them shares, [heads][np] */
    pv_real *dp, *turned; /* of one head */
    pv_real *set;         /* [positions][out] */
    pv_real *weights[PV_SAB_MAPS];   /* transposed */
    pv_real *gradients[PV_SAB_MAPS]; /* transposed */
} pv_sab_work;

typedef struct pv_sab {
    const pv_nn_params *params;
    const pv_attention_kernels *kernels;
    const pv_matrix_kernels *matrix;
    pv_sab_work *work;
    int positions, np, in, out, heads;
    pv_linear maps[PV_SAB_MAPS];
} pv_sab;

/* Registers <prefix>.fc_q.weight, ... and notes its sizes in `work`, which is borrowed like params.  heads
 * divides out. */
pv_sab pv_sab_new(pv_nn_params *params, const char *prefix, int positions, int in, int out, int heads,
                  pv_sab_work *work);

/* Takes the memory once all sharers are known; nothing when there are none. */
void pv_sab_work_reserve(pv_sab_work *work, const pv_nn_params *params);

/* y = beta y + scale sab(x).  Shapes   x [count][positions][in], y [count][positions][out] */
void pv_sab_forward(const pv_sab *sab, int count, double scale, const pv_real *x, double beta, pv_real *y);

/* Adds to the gradients of all parameters; dx = beta dx + scale J^T dy unless dx is NULL. */
void pv_sab_backward(const pv_sab *sab, int count, double scale, const pv_real *x, const pv_real *dy,
                     double beta, pv_real *dx);

/* Multiply-adds of one sample, times two, forward. */
double pv_sab_flops(const pv_sab *sab);

#endif
