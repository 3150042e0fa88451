/* The working form of one INR: its weights as the kernels read them, and room for its activations over one
 * tile of samples.  Private to the room and its tests.
 *
 * Phases are counted in half turns, t = w0/pi (W h + b), so that sin(pi t) needs no multiple of pi taken
 * away: the matrices of the sine layers are stored times w0/pi, and the slope kept for the way back is d
 * sin(pi t)/dt = pi cos(pi t).  Matrices count from 0: matrix l maps dims[l] units to dims[l + 1]. */
#ifndef PV_INR_NET_H
#define PV_INR_NET_H

#include "base/pv_status.h"
#include "inr/pv_arch.h"

#include <stdbool.h>

typedef struct pv_inr_net {
    pv_arch arch;
    float reach; /* the largest |coordinate|, which bounds the phases of the first layer */
    int tile;    /* samples that are worked on together */
    int stride;  /* floats from one unit's samples to the next unit's: an odd number of cache lines >= tile */
    float *weight[PV_INR_MAX_LAYERS];     /* [d_{l+1}][d_l], scaled */
    float *transposed[PV_INR_MAX_LAYERS]; /* [d_l][d_{l+1}], scaled */
    float *bias[PV_INR_MAX_LAYERS];       /* [d_{l+1}], scaled; the last with the output's offset */
    bool huge[PV_INR_MAX_LAYERS];         /* phases may be too large for the quick range reduction */
    float *sine[PV_INR_MAX_LAYERS];       /* [d_l][stride], 1 <= l < M: the activations h_l */
    float *slope[PV_INR_MAX_LAYERS];      /* [d_l][stride], 1 <= l < M: pi cos(pi t), later dloss/dt */
    float *output;                          /* [d_M][stride]: the output, later the residual */
    float *memory;                          /* what all of the above points into */
} pv_inr_net;

/* Plans tiles and takes memory for `samples` samples.  Owner: pv_inr_net_close.  Local.
 * Errors: PV_ERR_NOMEM. */
pv_status pv_inr_net_open(const pv_arch *arch, int samples, pv_inr_net *net);
/* Safe on a zeroed net. */
void pv_inr_net_close(pv_inr_net *net);

/* Lays samples [n][channels] out as the kernels read them: tiles of [channels][stride], zero where a tile has
 * no sample. */
void pv_inr_net_lay_out(const pv_inr_net *net, int n, int channels, const float *samples, float *tiles);
/* The number of tiles that n samples take. */
int pv_inr_net_tiles(const pv_inr_net *net, int n);

#endif
