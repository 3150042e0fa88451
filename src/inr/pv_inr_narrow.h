/* The working form of an INR whose hidden matrices are multiplied with operands of 16 bits, two in a lane,
 * and the kernels that do so.  Private to the room and its tests.
 *
 * Hidden matrices are those between hidden layers, 1 .. M-2.  Their products forward, back and for their
 * gradients take rounded operands; sums, everything else, and what is stored are float32.  Numbers of int16
 * are whole: activations, which are sines, times 2^13; weights of a matrix, and slopes of a tile, times
 * what lets no sum leave 32 bits. */
#ifndef PV_INR_NARROW_H
#define PV_INR_NARROW_H

#include "base/pv_cpu.h"
#include "pv_inr_net.h"
#include "pv_inr_squares.h"

enum { PV_INR_NARROW_BLOCK = 64 }; /* samples whose operands are worked on together, at most */

typedef struct pv_inr_narrow {
    float *forward[PV_INR_MAX_LAYERS]; /* [ceil(d_l / 2)][d_{l+1}] pairs of weights */
    float *back[PV_INR_MAX_LAYERS];    /* [ceil(d_{l+1} / 2)][d_l] */
    float scale[PV_INR_MAX_LAYERS];    /* of these weights as whole numbers */
    float *value[PV_INR_MAX_LAYERS];   /* [half][step] pairs of samples of h_l */
    int step[PV_INR_MAX_LAYERS];       /* d_l and what makes whole cache lines */
    float *delta;                      /* [d_l][half] of the slopes of one layer */
    float *turning;                    /* [step][PV_INR_NARROW_BLOCK / 2] pairs of samples of a block */
    float *units;                      /* [ceil(d_l / 2)][PV_INR_NARROW_BLOCK] pairs of units of a block */
    int half;                          /* pairs from one unit's samples to the next unit's */
    float *memory;                     /* what all of the above points into */
    pv_inr_squares squares;            /* instead of all of the above, of PV_PRECISION_BFLOAT16_AMX */
} pv_inr_narrow;

/* Takes memory for fits of a precision but float32.  Owner: pv_inr_narrow_close.  Local.  Errors:
 * PV_ERR_NOMEM. */
pv_status pv_inr_narrow_open(const pv_inr_net *net, pv_precision precision, pv_inr_narrow *narrow);
/* Safe on a zeroed one. */
void pv_inr_narrow_close(pv_inr_narrow *narrow);

/* One precision, on one path. */
typedef struct pv_inr_narrow_loops {
    /* Begins a step: fills the weights from those of `net`, which are loaded. */
    void (*pack)(const pv_inr_net *net, pv_inr_narrow *narrow);
    /* As pv_inr_kernels.gradient. */
    double (*gradient)(const pv_inr_net *net, const pv_inr_narrow *narrow, const float *coords,
                       const float *values, int count, float scale, float *gradient);
    /* Ends a step: adds to the gradient what `gradient` has kept of all tiles; NULL: nothing. */
    void (*end)(const pv_inr_net *net, const pv_inr_narrow *narrow, float scale, float *gradient);
} pv_inr_narrow_loops;

/* Those with the processor's own instruction are NULL where the instruction set has none, and their results
 * are those of the others to the bit, bfloat16's where bfloat16_is_plain() says so. */
typedef struct pv_inr_narrow_kernels {
    pv_inr_narrow_loops bfloat16, bfloat16_own, int16, int16_own;
    bool (*bfloat16_is_plain)(void);
} pv_inr_narrow_kernels;

PV_ISA_DECLARE(pv_inr_narrow_kernels);

/* Those of PV_PRECISION_BFLOAT16_AMX: plain arithmetic, and the same by the processor's instruction. */
typedef struct pv_inr_squares_kernels {
    pv_inr_narrow_loops plain, own;
} pv_inr_squares_kernels;

PV_ISA_DECLARE(pv_inr_squares_kernels);

/* Those of a precision that are the quickest here; NULL of float32.  Local. */
const pv_inr_narrow_loops *pv_inr_narrow_choose(pv_precision precision);

#endif
