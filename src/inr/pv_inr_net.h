/* The working form of one INR: its weights as the kernels read them, and room for its activations over one
 * tile of samples.  Private to the room and its tests.
 *
 * The matrices of the hidden layers are stored times `scale`, so that a layer's product is what its
 * activation takes.  The sine takes phases in half turns, t = w0/pi (W h + b), so that sin(pi t) needs no
 * multiple of pi taken away; the slope kept for the way back is d sin(pi t)/dt = pi cos(pi t).  Matrices
 * count from 0: matrix l maps dims[l] units to dims[l + 1]. */
#ifndef PV_INR_NET_H
#define PV_INR_NET_H

#include "base/pv_status.h"
#include "inr/pv_arch.h"

#include <stdbool.h>

typedef struct pv_inr_net {
    pv_arch arch;
    float scale;                                                      /* w0/pi of the sine, else w0 or 1 */
    pv_activation_loop loop;                                          /* of the activation */
    void (*apply)(int n, const float *z, float *value, float *slope); /* of PV_LOOP_OWN */
    float reach; /* the largest |coordinate|, which bounds the phases of the first layer */
    int tile;    /* samples that are worked on together */
    int stride;  /* floats from one unit's samples to the next unit's: an odd number of cache lines >= tile */
    int run;     /* samples that differ in their first coordinate alone, every tile whole runs; 0: no grid */
    float *run_sine, *run_cosine;         /* [run][d_1], of what that coordinate adds to the phases */
    float *weight[PV_INR_MAX_LAYERS];     /* [d_{l+1}][d_l], scaled */
    float *transposed[PV_INR_MAX_LAYERS]; /* [d_l][d_{l+1}], scaled */
    float *bias[PV_INR_MAX_LAYERS];       /* [d_{l+1}], scaled; the last with the output's offset */
    bool apart
        [PV_INR_MAX_LAYERS]; /* no loop here has its activation, or phases are too large for the quick sine */
    float *value[PV_INR_MAX_LAYERS]; /* [d_l][stride], 1 <= l < M: the activations h_l */
    float *slope[PV_INR_MAX_LAYERS]; /* [d_l][stride], 1 <= l < M: dh/dt, later dloss/dt */
    float *output;                   /* [d_M][stride]: the output, later the residual */
    float *memory;                   /* what all of the above points into */
} pv_inr_net;

/* The length of the runs that n samples [n][inputs] of a grid are made of: along one only the first
 * coordinate moves, and in all of them alike.  0: they lie otherwise. */
int pv_inr_net_run(int n, int inputs, const float *samples);
/* Plans tiles and takes memory for `samples` samples in runs of `run` (0: not in runs).  Owner:
 * pv_inr_net_close.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_inr_net_open(const pv_arch *arch, int samples, int run, pv_inr_net *net);
/* Safe on a zeroed net. */
void pv_inr_net_close(pv_inr_net *net);

/* Lays samples [n][channels] out as the kernels read them: tiles of [channels][stride], zero where a tile has
 * no sample. */
void pv_inr_net_lay_out(const pv_inr_net *net, int n, int channels, const float *samples, float *tiles);
/* The largest |x| of n numbers, for `reach`. */
float pv_inr_net_reach(int64_t n, const float *x);

/* The number of tiles that n samples take. */
int pv_inr_net_tiles(const pv_inr_net *net, int n);

#endif
