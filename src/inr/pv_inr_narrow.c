/* Where operands of 16 bits lie in memory, and who multiplies them. */
#include "pv_inr_narrow.h"

#include "base/pv_mem.h"

#include <stdlib.h>

enum { LINE = PV_ALIGN / (int)sizeof(float) };

/* Points every buffer into narrow->memory; returns how many floats they take. */
static int64_t carve(const pv_inr_net *net, pv_inr_narrow *narrow)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    int64_t used = 0, widest = 0;
    for (int l = 1; l < last; l++) {
        narrow->forward[l] = pv_part(narrow->memory, &used, (int64_t)((d[l] + 1) / 2) * d[l + 1]);
        narrow->back[l] = pv_part(narrow->memory, &used, (int64_t)((d[l + 1] + 1) / 2) * d[l]);
        narrow->step[l] = (d[l] + LINE - 1) / LINE * LINE;
        narrow->value[l] = pv_part(narrow->memory, &used, (int64_t)narrow->step[l] * narrow->half);
        widest = d[l] > widest ? d[l] : widest;
        widest = d[l + 1] > widest ? d[l + 1] : widest;
    }
    narrow->delta = pv_part(narrow->memory, &used, widest * narrow->half);
    narrow->turning = pv_part(narrow->memory, &used, (widest + LINE) * (PV_INR_NARROW_BLOCK / 2));
    narrow->units = pv_part(narrow->memory, &used, (widest + 1) / 2 * PV_INR_NARROW_BLOCK);
    return used;
}

pv_status pv_inr_narrow_open(const pv_inr_net *net, pv_precision precision, pv_inr_narrow *narrow)
{
    pv_status st = PV_OK;
    if (precision == PV_PRECISION_BFLOAT16_AMX) return pv_inr_squares_open(net, &narrow->squares);
    *narrow = (pv_inr_narrow){.half = ((net->stride / 2 + LINE - 1) / LINE | 1) * LINE};
    PV_ALLOC(narrow->memory, carve(net, narrow) + LINE);
    carve(net, narrow);
done:
    return st;
}

const pv_inr_narrow_loops *pv_inr_narrow_choose(pv_precision precision)
{
    const pv_inr_narrow_kernels *kernels = PV_ISA_CHOOSE(pv_inr_narrow_kernels);
    if (precision == PV_PRECISION_BFLOAT16)
        return pv_cpu_multiplies_bfloat16() && kernels->bfloat16_is_plain() ? &kernels->bfloat16_own
                                                                            : &kernels->bfloat16;
    if (precision == PV_PRECISION_BFLOAT16_AMX) {
        const pv_inr_squares_kernels *squares = PV_ISA_CHOOSE(pv_inr_squares_kernels);
        return pv_cpu_multiplies_squares() ? &squares->own : &squares->plain;
    }
    if (precision == PV_PRECISION_INT16)
        return pv_cpu_multiplies_int16() ? &kernels->int16_own : &kernels->int16;
    return NULL;
}

void pv_inr_narrow_close(pv_inr_narrow *narrow)
{
    free(narrow->memory);
    pv_inr_squares_close(&narrow->squares);
    *narrow = (pv_inr_narrow){0};
}
