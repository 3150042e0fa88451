#include "pv_dws_views.h"

#include <string.h>

void pv_dws_views_new(pv_dws_views *views, const pv_dws_space *space, int features, pv_reduction reduction,
                      int max_count, pv_nn_memory *memory)
{
    *views = (pv_dws_views){.space = space,
                            .kernels = PV_ISA_CHOOSE(pv_dws_kernels),
                            .features = features,
                            .reduction = reduction};
    for (int view = PV_VIEW_ROW; view < PV_VIEW_COUNT; view++) {
        const int64_t values = space->total[view] * features * max_count;
        views->pooled[view] = pv_nn_take(memory, values, sizeof(pv_real));
        views->spread[view] = pv_nn_take(memory, values, sizeof(pv_real));
    }
}

static int64_t at(const pv_dws_views *views, int count, int tensor, pv_dws_view view)
{
    return pv_dws_at(views->space, tensor, view, count, 0, views->features);
}

pv_dws_block pv_dws_views_block(const pv_dws_views *views, int count, int tensor)
{
    return (pv_dws_block){.count = count,
                          .rows = views->space->rows[tensor],
                          .cols = views->space->cols[tensor],
                          .f = views->features,
                          .max = views->reduction == PV_REDUCE_MAX};
}

static pv_dws_values find(const pv_dws_views *views, pv_real *const *values, int count, int tensor)
{
    return (pv_dws_values){.row = values[PV_VIEW_ROW] + at(views, count, tensor, PV_VIEW_ROW),
                           .col = values[PV_VIEW_COL] + at(views, count, tensor, PV_VIEW_COL),
                           .all = values[PV_VIEW_ALL] + at(views, count, tensor, PV_VIEW_ALL)};
}

pv_dws_values pv_dws_views_pooled(const pv_dws_views *views, int count, int tensor)
{
    return find(views, views->pooled, count, tensor);
}

pv_dws_values pv_dws_views_spread(const pv_dws_views *views, int count, int tensor)
{
    return find(views, views->spread, count, tensor);
}

const pv_real *pv_dws_pooled(const pv_dws_views *views, int count, int tensor, pv_dws_view view,
                             const pv_real *set)
{
    return (view == PV_VIEW_FULL ? set : views->pooled[view]) + at(views, count, tensor, view);
}

pv_real *pv_dws_spread_to(const pv_dws_views *views, int count, int tensor, pv_dws_view view, pv_real *set)
{
    return (view == PV_VIEW_FULL ? set : views->spread[view]) + at(views, count, tensor, view);
}

static void scale(pv_real *values, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++)
        values[i] *= (pv_real)factor;
}

/* Sums become means, or gradients of means those of sums. */
static void share(const pv_dws_views *views, int count, int tensor, const pv_dws_values *values)
{
    if (views->reduction != PV_REDUCE_MEAN) return;
    const pv_dws_block b = pv_dws_views_block(views, count, tensor);
    scale(values->row, (int64_t)b.count * b.rows * b.f, 1.0 / b.cols);
    scale(values->col, (int64_t)b.count * b.cols * b.f, 1.0 / b.rows);
    scale(values->all, (int64_t)b.count * b.f, 1.0 / b.rows / b.cols);
}

void pv_dws_views_pool_tensor(pv_dws_views *views, int count, int tensor, const pv_real *x)
{
    const pv_dws_block block = pv_dws_views_block(views, count, tensor);
    const pv_dws_values pooled = pv_dws_views_pooled(views, count, tensor);
    views->kernels->pool(&block, x + at(views, count, tensor, PV_VIEW_FULL), &pooled);
    share(views, count, tensor, &pooled);
}

void pv_dws_views_pool(pv_dws_views *views, int count, const pv_real *x)
{
    for (int t = 0; t < views->space->tensors; t++)
        pv_dws_views_pool_tensor(views, count, t, x);
}

static void add(int n, const pv_real *x, pv_real *restrict sum)
{
    for (int i = 0; i < n; i++)
        sum[i] += x[i];
}

void pv_dws_views_pool_picks(pv_dws_views *views, int count, int tensor, const pv_dws_picks *picks)
{
    const int f = views->features, rows = views->space->rows[tensor], cols = views->space->cols[tensor];
    const pv_dws_values pooled = pv_dws_views_pooled(views, count, tensor);
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

void pv_dws_views_activate(pv_dws_views *views, int count, int tensor, const pv_dws_activation *how,
                           const pv_real *y, pv_real *x)
{
    const pv_dws_block block = pv_dws_views_block(views, count, tensor);
    const pv_dws_values pooled = pv_dws_views_pooled(views, count, tensor);
    const int64_t here = at(views, count, tensor, PV_VIEW_FULL);
    views->kernels->activate(&block, how, y + here, x + here, &pooled);
    share(views, count, tensor, &pooled);
}

void pv_dws_views_normalise(pv_dws_views *views, int count, int tensor, const pv_dws_norm_back *how,
                            const pv_real *y, const pv_real *dz, pv_real *dy)
{
    const pv_dws_block block = pv_dws_views_block(views, count, tensor);
    const pv_dws_values pooled = pv_dws_views_pooled(views, count, tensor);
    const int64_t here = at(views, count, tensor, PV_VIEW_FULL);
    views->kernels->normalise_back(&block, how, y + here, dz + here, dy + here, &pooled);
}

void pv_dws_views_settle(pv_dws_views *views, int count, int tensor)
{
    const pv_dws_block block = pv_dws_views_block(views, count, tensor);
    const pv_dws_values best = pv_dws_views_pooled(views, count, tensor),
                        spread = pv_dws_views_spread(views, count, tensor);
    share(views, count, tensor, &spread);
    views->kernels->fold(&block, &best, &spread);
}
