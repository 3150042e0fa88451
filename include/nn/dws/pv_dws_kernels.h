/* The fused sweeps of a DWS layer over the entries of a tensor, one table an instruction set (base/pv_cpu.h).
 *
 * A block is x[count][rows][cols][f], samples of one tensor; its margins row[count][rows][f],
 * col[count][cols][f] and all[count][f] are pooled from it or spread over it.  Nothing here mixes samples,
 * but for the sums of batch norm. */
#ifndef PV_DWS_KERNELS_H
#define PV_DWS_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdbool.h>
#include <stdint.h>

/* A tensor of several samples, and what is pooled from it or spread over it: its margins. */
typedef struct pv_dws_block {
    int count, rows, cols, f;
    bool max; /* margins are maxima, else sums */
} pv_dws_block;

typedef struct pv_dws_values {
    pv_real *row, *col, *all;
} pv_dws_values;

/* x = ReLU(y scale[f] + shift[f]), then kept or dropped. */
typedef struct pv_dws_activation {
    const pv_real *scale, *shift; /* NULL: the ReLU alone */
    const uint16_t *bits;         /* pv_dws_words(f) words an entry: which values are kept; NULL: all */
    pv_real keep;                 /* their factor */
} pv_dws_activation;

/* Gradients through batch norm: dy = a[f] dz + b[f] (y - mean[f]) + c[f]. */
typedef struct pv_dws_norm_back {
    const pv_real *mean, *a, *b, *c;
} pv_dws_norm_back;

/* What deactivation needs of the forward pass. */
typedef struct pv_dws_gate {
    const pv_real *x;   /* the activated block */
    pv_dws_values best; /* its maxima, if block.max */
    bool relu;          /* pass where x > 0 */
    pv_real keep;       /* factor of what passes */
    const pv_real *y, *mean;
    double *sum, *dot; /* add sums of dz and of dz (y - mean[f]); NULL: not wanted */
} pv_dws_gate;

typedef struct pv_dws_kernels {
    /* How many values share a word of pv_dws_activation.bits. */
    int lanes;
    /* Makes x from y and pools it into all three margins. */
    void (*activate)(const pv_dws_block *block, const pv_dws_activation *how, const pv_real *y, pv_real *x,
                     const pv_dws_values *pooled);
    /* Pools x as it is. */
    void (*pool)(const pv_dws_block *block, const pv_real *x, const pv_dws_values *pooled);
    /* y = [y +] x w + row + col, w [terms][f]; adds the sums of y and y^2 to sum[f] and square[f] unless
     * NULL. terms may be 0. */
    void (*combine)(const pv_dws_block *block, int terms, const pv_real *x, const pv_real *w,
                    const pv_dws_values *spread, bool add, pv_real *y, double *sum, double *square);
    /* holder[count][f]: the first entry of a sample's x that holds the positive maximum best[count][f] of a
     * feature; -1 where none is positive.  Consumes best. */
    void (*find)(const pv_dws_block *block, const pv_real *x, pv_real *best, int32_t *holder);
    /* Packs draws[entries][f] < keep into bits. */
    void (*pack_bits)(int64_t entries, int f, const uint16_t *draws, uint32_t keep, uint16_t *bits);
} pv_dws_kernels;

PV_ISA_DECLARE(pv_dws_kernels);

/* The gradient of a tensor that reaches few of its entries: those that hold the maximum of a feature, at
 * most as many as features.  All others are 0, and nobody multiplies by them. */
typedef struct pv_dws_picks {
    int32_t *holder; /* [batch][f] of the whole batch, as pv_dws_kernels.find leaves it */
    int64_t count;   /* entries of all samples of a set */
    int64_t *entry;  /* [count] which ones, ascending, counted through the samples */
    pv_real *dy;     /* [count][f] */
} pv_dws_picks;

typedef struct pv_dws_back_kernels {
    /* dy from dz, and its sums over the margins. */
    void (*normalise_back)(const pv_dws_block *block, const pv_dws_norm_back *how, const pv_real *y,
                           const pv_real *dz, pv_real *dy, const pv_dws_values *pooled);
    /* dx += the margins' gradients `spread` (row and col), to the maxima or to all; then the gate.  Consumes
     * spread->col: when a maximum has got its gradient, later entries that equal it get none. */
    void (*deactivate)(const pv_dws_block *block, const pv_dws_gate *gate, const pv_dws_values *spread,
                       pv_real *dx);
    /* Adds spread->all to spread->col: to all columns, or to the first that holds the maximum. */
    void (*fold)(const pv_dws_block *block, const pv_dws_values *best, const pv_dws_values *spread);
} pv_dws_back_kernels;

PV_ISA_DECLARE(pv_dws_back_kernels);

/* Words an entry takes in pv_dws_activation.bits. */
static inline int pv_dws_words(const pv_dws_kernels *kernels, int f)
{
    return (f + kernels->lanes - 1) / kernels->lanes;
}

#endif
