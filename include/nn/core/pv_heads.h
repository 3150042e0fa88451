/* How the heads of an attention lie interleaved for pv_transformer_kernels.h. */
#ifndef PV_HEADS_H
#define PV_HEADS_H

#include "nn/core/pv_packed.h"

typedef struct pv_heads {
    int heads, head_width; /* as published: channels of a head */
    pv_attention_row row;  /* padded; without the pointers of a node */
} pv_heads;

/* Attention of `nodes` to each other with `total` channels, all heads together.  Local.
 * Errors: PV_ERR_CONFIG (`key`, which gives the channels, is no multiple of the heads). */
pv_status pv_heads_set(pv_heads *heads, const pv_packed_set *set, int nodes, const char *key, int total,
                       int count);

/* Where the channels of `count` maps, `part`[i] each of a tensor's, come from.  Strides: from a head to the
 * next, from a part to the next.
 * Owner: the caller, who frees it; NULL when there is no memory.  Local. */
int *pv_heads_map(const pv_heads *heads, const pv_packed_set *set, int head_stride, int part_stride,
                  int count, const int *part);

/* The row of `node`, which points into qkv.  Shapes   qkv [nodes][query, key, value][channels].  Local. */
pv_attention_row pv_heads_row(const pv_heads *heads, const pv_real *qkv, int node);

#endif
