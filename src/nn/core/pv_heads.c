/* The padding of heads to vectors, and maps of channels to where they are in tensors. */
#include "nn/core/pv_heads.h"

pv_status pv_heads_set(pv_heads *heads, const pv_packed_set *set, int nodes, const char *key, int total,
                       int count)
{
    if (total % count != 0)
        return pv_fail(PV_ERR_CONFIG, "model.heads: must divide %s, %d, and %d does not", key, total, count);
    int padded = 1;
    while (padded < count)
        padded *= 2;
    const int lanes = set->params->kernels->lanes, width = padded > lanes ? padded : lanes;
    const int channels = (total / count * padded + width - 1) / width * width;
    *heads = (pv_heads){.heads = count,
                        .head_width = total / count,
                        .row = {.nodes = nodes,
                                .channels = channels,
                                .heads = padded,
                                .width = width,
                                .node_stride = 3 * channels}};
    return PV_OK;
}

int *pv_heads_map(const pv_heads *heads, const pv_packed_set *set, int head_stride, int part_stride,
                  int count, const int *part)
{
    const int channels = heads->row.channels;
    int *map = pv_take(set->memory, (int64_t)count * channels, sizeof *map);
    for (int i = 0; map && i < count * channels; i++) {
        const int head = i % channels % heads->row.heads, k = i % channels / heads->row.heads;
        const bool real = head < heads->heads && k < heads->head_width;
        map[i] = real ? part[i / channels] * part_stride + head * head_stride + k : -1;
    }
    return map;
}

pv_attention_row pv_heads_row(const pv_heads *heads, const pv_real *qkv, int node)
{
    pv_attention_row row = heads->row;
    row.query = qkv + (int64_t)node * row.node_stride;
    row.keys = qkv + row.channels;
    row.values = qkv + 2 * (int64_t)row.channels;
    return row;
}
