/* What products of squares of bfloat16 (simd/pv_amx.h) need beside the net: operands, and gradients that
 * are added up over a step.  Private to the room and its tests.
 *
 * A tile is worked on in blocks of PV_INR_SQUARES_BLOCK samples, forward, back and into the gradients: what
 * that takes stays in the first cache, or nearly, and is shared where it can be, since products that are
 * stored to the second one take several times as long.  Every number of units is padded with zeros to whole
 * squares.  Of 32 units, unit i lies in one word with unit i + 16; samples likewise, at a distance of one
 * vector. */
#ifndef PV_INR_SQUARES_H
#define PV_INR_SQUARES_H

#include "pv_inr_net.h"

enum { PV_INR_SQUARES_BLOCK = 64, PV_INR_SQUARES_WORDS = PV_INR_SQUARES_BLOCK / 2 };

typedef struct pv_inr_squares {
    pv_inr_net net;                    /* of a block, with the weights of the fitter's */
    float *coords, *values;            /* of a block, in the net's rows */
    float *forward[PV_INR_MAX_LAYERS]; /* [units of l + 1][pairs of units of l], of the weights */
    float *back[PV_INR_MAX_LAYERS];    /* [units of l][pairs of units of l + 1] */
    float *bias[PV_INR_MAX_LAYERS];    /* [units of l + 1][16], 16 times the same */
    float *matrix[PV_INR_MAX_LAYERS];  /* [units of l + 1][units of l], the sums that make the gradient */
    float *value[PV_INR_MAX_LAYERS];   /* [pairs of samples][units of l], of activations */
    /* In lanes: the sums of the biases' gradients [d_{l+1}], and behind them those of matrices that are not
     * hidden [d_{l+1}][d_l]. */
    float *sums[PV_INR_MAX_LAYERS];
    float *work; /* [units][samples]: the net's activations, of one layer at a time; on the way back sums */
    float *of_samples; /* [units][pairs of samples], of activations, then of slopes */
    float *units;      /* [pairs of units][samples] */
    int64_t step_sums; /* floats of `matrix` and `sums`, which lie together from matrix[0] on */
    float *memory;
} pv_inr_squares;

/* n units, and pairs of them, in whole squares. */
static inline int pv_inr_squares_units(int n)
{
    return (n + 15) / 16 * 16;
}

static inline int pv_inr_squares_pairs(int n)
{
    return (n + 31) / 32 * 16;
}

/* Takes memory.  Owner: pv_inr_squares_close.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_inr_squares_open(const pv_inr_net *net, pv_inr_squares *squares);
/* Safe on a zeroed one. */
void pv_inr_squares_close(pv_inr_squares *squares);

#endif
