#include "nn/pv_dws_views.h"

#include <string.h>

void pv_dws_views_open(pv_dws_views *views, const pv_dws_space *space, const pv_nn_kernels *kernels,
                       int features, pv_reduction reduction)
{
    *views = (pv_dws_views){.space = space, .kernels = kernels, .features = features, .reduction = reduction};
}

void pv_dws_views_reserve(pv_dws_views *views, pv_nn_memory *memory, int max_batch)
{
    for (int view = PV_VIEW_ROW; view < PV_VIEW_COUNT; view++) {
        const int64_t values = views->space->total[view] * views->features * max_batch;
        views->pooled[view] = pv_nn_take(memory, values, sizeof(pv_real));
        views->spread[view] = pv_nn_take(memory, values, sizeof(pv_real));
        if (views->reduction == PV_REDUCE_MAX)
            views->arg[view] = pv_nn_take(memory, values, sizeof *views->arg[view]);
    }
}

static int64_t at(const pv_dws_views *views, int batch, int tensor, pv_dws_view view, int sample)
{
    return pv_dws_at(views->space, tensor, view, batch, sample, views->features);
}

const pv_real *pv_dws_pooled(const pv_dws_views *views, int batch, int tensor, pv_dws_view view,
                             const pv_real *set)
{
    return (view == PV_VIEW_FULL ? set : views->pooled[view]) + at(views, batch, tensor, view, 0);
}

pv_real *pv_dws_spread_to(const pv_dws_views *views, int batch, int tensor, pv_dws_view view, pv_real *set)
{
    return (view == PV_VIEW_FULL ? set : views->spread[view]) + at(views, batch, tensor, view, 0);
}

static void scale(pv_real *values, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++)
        values[i] = (pv_real)(values[i] * factor);
}

/* The views of one sample of one tensor. */
typedef struct place {
    int rows, cols, f;
    pv_real *row, *col, *all;
    int32_t *row_arg, *col_arg, *all_arg;
} place;

static place find(const pv_dws_views *views, pv_real *const *values, int batch, int tensor, int sample)
{
    const int64_t row = at(views, batch, tensor, PV_VIEW_ROW, sample),
                  col = at(views, batch, tensor, PV_VIEW_COL, sample),
                  all = at(views, batch, tensor, PV_VIEW_ALL, sample);
    place p = {.rows = views->space->rows[tensor], .cols = views->space->cols[tensor], .f = views->features};
    p.row = values[PV_VIEW_ROW] + row;
    p.col = values[PV_VIEW_COL] + col;
    p.all = values[PV_VIEW_ALL] + all;
    if (views->reduction == PV_REDUCE_MAX) {
        p.row_arg = views->arg[PV_VIEW_ROW] + row;
        p.col_arg = views->arg[PV_VIEW_COL] + col;
        p.all_arg = views->arg[PV_VIEW_ALL] + all;
    }
    return p;
}

/* The maximum of everything is the maximum of the columns' maxima. */
static void pool_max(const pv_dws_views *views, const bool *need, const place *p, const pv_real *x)
{
    const bool cols = need[PV_VIEW_COL] || need[PV_VIEW_ALL];
    views->kernels->pool_max(p->rows, p->cols, p->f, x, need[PV_VIEW_ROW] ? p->row : NULL, p->row_arg,
                             cols ? p->col : NULL, p->col_arg);
    if (!need[PV_VIEW_ALL]) return;
    views->kernels->pool_max(p->cols, 1, p->f, p->col, NULL, NULL, p->all, p->all_arg);
    for (int k = 0; k < p->f; k++) {
        const int col = p->all_arg[k];
        p->all_arg[k] = p->col_arg[(int64_t)col * p->f + k] * p->cols + col;
    }
}

static void pool_sum(const pv_dws_views *views, const bool *need, const place *p, const pv_real *x)
{
    const bool cols = need[PV_VIEW_COL] || need[PV_VIEW_ALL];
    views->kernels->pool_sum(p->rows, p->cols, p->f, x, need[PV_VIEW_ROW] ? p->row : NULL,
                             cols ? p->col : NULL);
    if (need[PV_VIEW_ALL]) views->kernels->pool_sum(p->cols, 1, p->f, p->col, NULL, p->all);
    if (views->reduction != PV_REDUCE_MEAN) return;
    if (need[PV_VIEW_ROW]) scale(p->row, (int64_t)p->rows * p->f, 1.0 / p->cols);
    if (need[PV_VIEW_COL]) scale(p->col, (int64_t)p->cols * p->f, 1.0 / p->rows);
    if (need[PV_VIEW_ALL]) scale(p->all, p->f, 1.0 / p->rows / p->cols);
}

void pv_dws_pool(pv_dws_views *views, int batch, int tensor, int first, int count, const pv_real *set)
{
    const bool *need = views->need[tensor];
    if (!need[PV_VIEW_ROW] && !need[PV_VIEW_COL] && !need[PV_VIEW_ALL]) return;
    for (int sample = first; sample < first + count; sample++) {
        const place p = find(views, views->pooled, batch, tensor, sample);
        const pv_real *x = set + at(views, batch, tensor, PV_VIEW_FULL, sample);
        (views->reduction == PV_REDUCE_MAX ? pool_max : pool_sum)(views, need, &p, x);
    }
}

void pv_dws_spread_clear(pv_dws_views *views, int batch)
{
    for (int view = PV_VIEW_ROW; view < PV_VIEW_COUNT; view++)
        memset(views->spread[view], 0,
               sizeof(pv_real) * (size_t)(views->space->total[view] * views->features * batch));
}

static void spread_max(const bool *need, const place *p, pv_real *y)
{
    const int f = p->f;
    for (int64_t i = 0; need[PV_VIEW_ROW] && i < (int64_t)p->rows * f; i++)
        y[(i / f * p->cols + p->row_arg[i]) * f + i % f] += p->row[i];
    for (int64_t i = 0; need[PV_VIEW_COL] && i < (int64_t)p->cols * f; i++)
        y[((int64_t)p->col_arg[i] * p->cols + i / f) * f + i % f] += p->col[i];
    for (int k = 0; need[PV_VIEW_ALL] && k < f; k++)
        y[(int64_t)p->all_arg[k] * f + k] += p->all[k];
}

/* What all entries get is first added to what a column gets, so that one pass over y does everything. */
static void spread_sum(const pv_dws_views *views, const bool *need, const place *p, pv_real *y)
{
    if (views->reduction == PV_REDUCE_MEAN) {
        if (need[PV_VIEW_ROW]) scale(p->row, (int64_t)p->rows * p->f, 1.0 / p->cols);
        if (need[PV_VIEW_COL]) scale(p->col, (int64_t)p->cols * p->f, 1.0 / p->rows);
        if (need[PV_VIEW_ALL]) scale(p->all, p->f, 1.0 / p->rows / p->cols);
    }
    if (need[PV_VIEW_ALL]) views->kernels->add_row(p->cols, p->f, 1, p->all, p->col);
    views->kernels->spread(p->rows, p->cols, p->f, need[PV_VIEW_ROW] ? p->row : NULL, p->col, y);
}

void pv_dws_spread(pv_dws_views *views, int batch, int tensor, int first, int count, pv_real *set)
{
    const bool *need = views->need[tensor];
    if (!need[PV_VIEW_ROW] && !need[PV_VIEW_COL] && !need[PV_VIEW_ALL]) return;
    for (int sample = first; sample < first + count; sample++) {
        const place p = find(views, views->spread, batch, tensor, sample);
        pv_real *y = set + at(views, batch, tensor, PV_VIEW_FULL, sample);
        if (views->reduction == PV_REDUCE_MAX)
            spread_max(need, &p, y);
        else
            spread_sum(views, need, &p, y);
    }
}
