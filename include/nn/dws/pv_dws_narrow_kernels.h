/* The fused sweeps of a DWS layer (pv_dws_kernels.h) over tensors that are kept as words of bfloat16
 * (nn/core/pv_words_kernels.h), one table an instruction set.
 *
 * Blocks are [count][rows][cols][f / 2] words, f a multiple of a group; margins are floats, and maxima.  What
 * is computed is float32 between one word and the next. */
#ifndef PV_DWS_NARROW_KERNELS_H
#define PV_DWS_NARROW_KERNELS_H

#include "nn/dws/pv_dws_kernels.h"

/* x w, the product that a sweep begins with: x [entries][terms / 2] words and w [terms / 2][f] as pairs,
 * multiplied by the processor's own squares or plainly; or, if there is no w, `few` terms x [entries][few] of
 * floats and their weights [few][f]. */
typedef struct pv_dws_narrow_product {
    bool own;
    int terms, few;
    const pv_real *x, *w, *few_x, *few_w;
} pv_dws_narrow_product;

/* As those of pv_dws_kernels, by the maximum. */
typedef struct pv_dws_narrow_kernels {
    void (*activate)(const pv_dws_block *block, const pv_dws_activation *how, const pv_real *y, pv_real *x,
                     const pv_dws_values *pooled);
    void (*combine)(const pv_dws_block *block, const pv_dws_narrow_product *product,
                    const pv_dws_values *spread, pv_real *y, double *sum, double *square);
    void (*find)(const pv_dws_block *block, const pv_real *x, pv_real *best, int32_t *holder);
} pv_dws_narrow_kernels;

PV_ISA_DECLARE(pv_dws_narrow_kernels);

/* As those of pv_dws_back_kernels. */
typedef struct pv_dws_narrow_back_kernels {
    /* dy as words, or, if it is `wide`, floats. */
    void (*normalise_back)(const pv_dws_block *block, const pv_dws_norm_back *how, const pv_real *y,
                           const pv_real *dz, bool wide, pv_real *dy, const pv_dws_values *pooled);
    /* dx = the product, or, if there are picks, their dy, with the margins' gradients; then the gate, of the
     * ReLU, whose maxima of rows and columns are words, too. */
    void (*deactivate)(const pv_dws_block *block, const pv_dws_narrow_product *product,
                       const pv_dws_picks *picks, const pv_dws_gate *gate, const pv_dws_values *spread,
                       pv_real *dx);
} pv_dws_narrow_back_kernels;

PV_ISA_DECLARE(pv_dws_narrow_back_kernels);

#endif
