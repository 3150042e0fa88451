/* Where what products of squares need lies in memory. */
#include "pv_inr_squares.h"

#include "base/pv_mem.h"

#include <stdlib.h>

enum { LANES = 16 }; /* the most that a vector has */

/* What a step adds up. */
static int64_t carve_sums(const pv_inr_net *net, pv_inr_squares *squares)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    int64_t used = 0;
    for (int l = 0; l <= last; l++) {
        const bool hidden = l > 0 && l < last;
        const int64_t units = pv_inr_squares_units(d[l + 1]);
        squares->matrix[l] = pv_part(squares->memory, &used, hidden ? units * pv_inr_squares_units(d[l]) : 0);
        squares->sums[l] =
            pv_part(squares->memory, &used, (int64_t)d[l + 1] * (hidden ? 1 : 1 + d[l]) * LANES);
    }
    return used;
}

/* Points every buffer into squares->memory; returns how many floats they take. */
static int64_t carve(const pv_inr_net *net, pv_inr_squares *squares)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    int64_t used = squares->step_sums = carve_sums(net, squares);
    int widest = 0;
    for (int l = 1; l < last; l++) {
        const int64_t in = pv_inr_squares_units(d[l]), out = pv_inr_squares_units(d[l + 1]);
        squares->forward[l] = pv_part(squares->memory, &used, out * pv_inr_squares_pairs(d[l]));
        squares->back[l] = pv_part(squares->memory, &used, in * pv_inr_squares_pairs(d[l + 1]));
        squares->bias[l] = pv_part(squares->memory, &used, out * LANES);
        squares->value[l] = pv_part(squares->memory, &used, in * PV_INR_SQUARES_WORDS);
    }
    for (int l = 1; l <= last; l++)
        widest = d[l] > widest ? d[l] : widest;
    squares->coords = pv_part(squares->memory, &used, (int64_t)d[0] * squares->net.stride);
    squares->values = pv_part(squares->memory, &used, (int64_t)d[last + 1] * squares->net.stride);
    const int64_t most = 2 * pv_inr_squares_pairs(widest);
    squares->work = pv_part(squares->memory, &used, most * PV_INR_SQUARES_BLOCK);
    squares->of_samples = pv_part(squares->memory, &used, most * PV_INR_SQUARES_WORDS);
    squares->units = pv_part(squares->memory, &used, most / 2 * PV_INR_SQUARES_BLOCK);
    return used;
}

pv_status pv_inr_squares_open(const pv_inr_net *net, pv_inr_squares *squares)
{
    pv_status st = PV_OK;
    *squares = (pv_inr_squares){0};
    PV_TRY(pv_inr_net_open(&net->arch, PV_INR_SQUARES_BLOCK, 0, &squares->net));
    PV_ALLOC(squares->memory, carve(net, squares));
    carve(net, squares);
    squares->net.stride = PV_INR_SQUARES_BLOCK;
    for (int l = 1; l < net->arch.layers; l++)
        squares->net.value[l] = squares->work;
done:
    return st;
}

void pv_inr_squares_close(pv_inr_squares *squares)
{
    pv_inr_net_close(&squares->net);
    free(squares->memory);
    *squares = (pv_inr_squares){0};
}
