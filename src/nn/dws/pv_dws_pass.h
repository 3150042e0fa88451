/* Passes of a DWS layer, of floats or of words.
 *
 * With words the products have operands of bfloat16, and tensors with an entrywise map are kept as words
 * (nn/core/pv_words_kernels.h) instead of floats, in the first half of the place that a set of floats has for
 * them.  Margins and the other tensors are floats; their products are of copies as words. */
#ifndef PV_DWS_PASS_H
#define PV_DWS_PASS_H

#include "pv_dws_layer.h"

/* Whether a layer of these sizes can keep words, or, with one input, give them. */
bool pv_dws_pass_can(const pv_dws_layer_opts *opts);

/* Takes what passes with words need; failures are the memory's. */
void pv_dws_pass_reserve(pv_dws_layer *layer, int max_count, int max_batch);

/* As the functions of pv_dws_layer.h, which they are where floats are kept, with sets as layer->kept says. */
void pv_dws_pass_pack(pv_dws_layer *layer);
void pv_dws_pass_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y,
                         const pv_dws_moments *moments);
void pv_dws_pass_backward_begin(pv_dws_layer *layer);
void pv_dws_pass_backward(pv_dws_layer *layer, int count, const pv_real *x, const pv_real *dy, pv_real *dx,
                          const pv_dws_exit *out);
void pv_dws_pass_backward_end(pv_dws_layer *layer);

#endif
