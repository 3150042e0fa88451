/* Pooling tables into their margins and spreading margins over tables, tensor by tensor. */
#include "pv_dws_margins.h"

#include <string.h>

void pv_dws_margins_new(pv_dws_margins *margins, const pv_dws_space *space, int features,
                        pv_pooling reduction, int max_count, pv_memory *memory)
{
    *margins = (pv_dws_margins){.space = space,
                                .kernels = PV_ISA_CHOOSE(pv_dws_kernels),
                                .back = PV_ISA_CHOOSE(pv_dws_back_kernels),
                                .features = features,
                                .reduction = reduction};
    for (int margin = PV_MARGIN_ROW; margin < PV_MARGIN_COUNT; margin++) {
        const int64_t values = space->total[margin] * features * max_count;
        margins->pooled[margin] = pv_take(memory, values, sizeof(pv_real));
        margins->spread[margin] = pv_take(memory, values, sizeof(pv_real));
    }
}

static int64_t at(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin)
{
    return pv_dws_at(margins->space, tensor, margin, count, 0, margins->features);
}

pv_dws_block pv_dws_margins_block(const pv_dws_margins *margins, int count, int tensor)
{
    return (pv_dws_block){.count = count,
                          .rows = margins->space->rows[tensor],
                          .cols = margins->space->cols[tensor],
                          .f = margins->features,
                          .max = margins->reduction == PV_POOL_MAX};
}

static pv_dws_values find(const pv_dws_margins *margins, pv_real *const *values, int count, int tensor)
{
    return (pv_dws_values){.row = values[PV_MARGIN_ROW] + at(margins, count, tensor, PV_MARGIN_ROW),
                           .col = values[PV_MARGIN_COL] + at(margins, count, tensor, PV_MARGIN_COL),
                           .all = values[PV_MARGIN_ALL] + at(margins, count, tensor, PV_MARGIN_ALL)};
}

pv_dws_values pv_dws_margins_pooled(const pv_dws_margins *margins, int count, int tensor)
{
    return find(margins, margins->pooled, count, tensor);
}

pv_dws_values pv_dws_margins_spread(const pv_dws_margins *margins, int count, int tensor)
{
    return find(margins, margins->spread, count, tensor);
}

const pv_real *pv_dws_pooled(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                             const pv_real *set)
{
    return (margin == PV_MARGIN_FULL ? set : margins->pooled[margin]) + at(margins, count, tensor, margin);
}

pv_real *pv_dws_spread_to(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                          pv_real *set)
{
    return (margin == PV_MARGIN_FULL ? set : margins->spread[margin]) + at(margins, count, tensor, margin);
}

static void scale(pv_real *values, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++)
        values[i] *= (pv_real)factor;
}

/* Sums become means, or gradients of means those of sums. */
static void share(const pv_dws_margins *margins, int count, int tensor, const pv_dws_values *values)
{
    if (margins->reduction != PV_POOL_MEAN) return;
    const pv_dws_block b = pv_dws_margins_block(margins, count, tensor);
    scale(values->row, (int64_t)b.count * b.rows * b.f, 1.0 / b.cols);
    scale(values->col, (int64_t)b.count * b.cols * b.f, 1.0 / b.rows);
    scale(values->all, (int64_t)b.count * b.f, 1.0 / b.rows / b.cols);
}

void pv_dws_margins_pool_tensor(pv_dws_margins *margins, int count, int tensor, const pv_real *x)
{
    const pv_dws_block block = pv_dws_margins_block(margins, count, tensor);
    const pv_dws_values pooled = pv_dws_margins_pooled(margins, count, tensor);
    margins->kernels->pool(&block, x + at(margins, count, tensor, PV_MARGIN_FULL), &pooled);
    share(margins, count, tensor, &pooled);
}

void pv_dws_margins_pool(pv_dws_margins *margins, int count, const pv_real *x)
{
    for (int t = 0; t < margins->space->tensors; t++)
        pv_dws_margins_pool_tensor(margins, count, t, x);
}

static void add(int n, const pv_real *x, pv_real *restrict sum)
{
    for (int i = 0; i < n; i++)
        sum[i] += x[i];
}

void pv_dws_margins_pool_picks(pv_dws_margins *margins, int count, int tensor, const pv_dws_picks *picks)
{
    const int f = margins->features, rows = margins->space->rows[tensor], cols = margins->space->cols[tensor];
    const pv_dws_values pooled = pv_dws_margins_pooled(margins, count, tensor);
    memset(pooled.row, 0, sizeof(pv_real) * (size_t)(count * rows) * (size_t)f);
    memset(pooled.col, 0, sizeof(pv_real) * (size_t)(count * cols) * (size_t)f);
    memset(pooled.all, 0, sizeof(pv_real) * (size_t)count * (size_t)f);
    for (int64_t i = 0; i < picks->count; i++) {
        const int64_t row = picks->entry[i] / cols, sample = row / rows;
        const pv_real *dy = picks->dy + i * f;
        add(f, dy, pooled.row + row * f);
        add(f, dy, pooled.col + (sample * cols + picks->entry[i] % cols) * f);
        add(f, dy, pooled.all + sample * f);
    }
}

void pv_dws_margins_activate(pv_dws_margins *margins, int count, int tensor, const pv_dws_activation *how,
                             const pv_real *y, pv_real *x)
{
    const pv_dws_block block = pv_dws_margins_block(margins, count, tensor);
    const pv_dws_values pooled = pv_dws_margins_pooled(margins, count, tensor);
    const int64_t here = at(margins, count, tensor, PV_MARGIN_FULL);
    margins->kernels->activate(&block, how, y + here, x + here, &pooled);
    share(margins, count, tensor, &pooled);
}

void pv_dws_margins_normalise(pv_dws_margins *margins, int count, int tensor, const pv_dws_norm_back *how,
                              const pv_real *y, const pv_real *dz, pv_real *dy)
{
    const pv_dws_block block = pv_dws_margins_block(margins, count, tensor);
    const pv_dws_values pooled = pv_dws_margins_pooled(margins, count, tensor);
    const int64_t here = at(margins, count, tensor, PV_MARGIN_FULL);
    margins->back->normalise_back(&block, how, y + here, dz + here, dy + here, &pooled);
}

void pv_dws_margins_settle(pv_dws_margins *margins, int count, int tensor)
{
    const pv_dws_block block = pv_dws_margins_block(margins, count, tensor);
    const pv_dws_values best = pv_dws_margins_pooled(margins, count, tensor),
                        spread = pv_dws_margins_spread(margins, count, tensor);
    share(margins, count, tensor, &spread);
    margins->back->fold(&block, &best, &spread);
}
