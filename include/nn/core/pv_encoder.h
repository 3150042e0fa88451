/* A net that works on one INR after the other with packed parameters: it makes vectors of each, which are
 * read out as its features, and a head stands behind.  Stage 0 of a pass is the encoder, stage 1 the head. */
#ifndef PV_ENCODER_H
#define PV_ENCODER_H

#include "nn/core/pv_model_kind.h"
#include "nn/core/pv_packed.h"

/* How vectors [count][padded] become features: their mean, or one beside the other. */
typedef struct pv_readout {
    int count, width, padded;
    bool mean;
} pv_readout;

/* The first member of a net.  Its maker fills in all but inputs, batch and rows. */
typedef struct pv_encoder {
    pv_packed_set packed;
    pv_readout readout;
    pv_head head;
    int inputs, batch;   /* numbers of a row; rows of the last forward */
    const pv_real *rows; /* of the last forward, borrowed */
    /* Returns the vectors of a sample. */
    const pv_real *(*forward)(void *net, const pv_pass *pass, int sample, const pv_real *row);
    /* The gradient of the vectors that forward gave is in `dvectors`; sets drow unless it is NULL. */
    void (*backward)(void *net, const pv_pass *pass, int sample, const pv_real *row, pv_real *drow);
    pv_real *dvectors; /* [readout.count][readout.padded], the net's */
} pv_encoder;

/* Sets `inputs`, and the head from a stack that is registered.  The encoder's memory is its net's.  Local. */
void pv_encoder_close(pv_encoder *encoder, const pv_model_request *request, pv_stack head);

/* How many features a sample has.  Local. */
int pv_readout_features(const pv_readout *readout);

/* What a pv_model_kind (pv_model_kind.h) asks of a net that begins with an encoder.
 * Shapes   rows, drows [batch][inputs]; logits, dlogits [batch][outputs of the head]; features
 * [batch][*width], borrowed until the next forward
 * Local, no errors: all memory was taken when the net was made. */
pv_batch_sums pv_encoder_forward(void *net, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                                 pv_real *logits);
pv_batch_sums pv_encoder_backward(void *net, const pv_pass *pass, int stage, const pv_real *dlogits,
                                  pv_real *drows);
const pv_real *pv_encoder_features(const void *net, int *width);

#endif
