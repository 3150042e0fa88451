/* The sweeps backward: through batch norm, through ReLU and pooling. */
#include "pv_dws_panels.h"

/* mean, a, b and c of a panel. */
typedef pv_vector slopes[4][PV_TILE_VECTORS];

PV_INLINE void back_rows(int rows, int vectors, int lanes, const pv_dws_block *b, bool fresh, slopes of,
                         const pv_real *y, const pv_real *dz, pv_real *dy, pv_real *row, pv_real *col)
{
    const int64_t line = (int64_t)b->cols * b->f;
    pv_tile of_row;
    pv_tile_fill(rows, vectors, (pv_vector){0}, of_row);
    for (int c = 0; c < b->cols; c++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int n = pv_tile_lanes(v, vectors, lanes);
            pv_real *of_col = col + (int64_t)c * b->f + v * PV_LANES;
            pv_vector sum = {0};
            if (!fresh) sum = pv_vector_load_first(n, of_col);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const int64_t at = r * line + (int64_t)c * b->f + v * PV_LANES;
                fetch(v, y + at + rows * line);
                fetch(v, dz + at + rows * line);
                const pv_vector value = of[1][v] * pv_vector_load_first(n, dz + at) +
                                        (of[2][v] * (pv_vector_load_first(n, y + at) - of[0][v]) + of[3][v]);
                pv_vector_store_first(n, dy + at, value);
                of_row[r][v] += value;
                sum += value;
            }
            pv_vector_store_first(n, of_col, sum);
        }
    pv_tile_store(rows, vectors, lanes, of_row, row, b->f);
}

PV_INLINE void back_panel(int vectors, int lanes, const pv_dws_block *b, const pv_dws_norm_back *how, int k,
                          const pv_real *y, const pv_real *dz, pv_real *dy, pv_dws_values pooled)
{
    const pv_real *const vectors_of[4] = {how->mean + k, how->a + k, how->b + k, how->c + k};
    slopes of;
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            of[i][v] = pv_vector_load_first(pv_tile_lanes(v, vectors, lanes), vectors_of[i] + v * PV_LANES);
    const int64_t line = (int64_t)b->cols * b->f;
    for (int s = 0; s < b->count; s++, pooled.col += line, pooled.all += b->f) {
        int r = 0;
#define ROWS_OF(height)                                                                                      \
    for (; r + (height) <= b->rows; r += (height)) {                                                         \
        back_rows(height, vectors, lanes, b, r == 0, of, y, dz, dy, pooled.row, pooled.col);                 \
        y += (height)*line;                                                                                  \
        dz += (height)*line;                                                                                 \
        dy += (height)*line;                                                                                 \
        pooled.row += (height)*b->f;                                                                         \
    }
        ROWS_OF(ROWS)
        ROWS_OF(1)
#undef ROWS_OF
        join_columns(vectors, lanes, false, b, pooled.col, pooled.all);
    }
}

static void normalise_back(const pv_dws_block *b, const pv_dws_norm_back *how, const pv_real *y,
                           const pv_real *dz, pv_real *dy, const pv_dws_values *pooled)
{
#define PANEL(at, vectors, lanes)                                                                            \
    back_panel(vectors, lanes, b, how, at, y + (at), dz + (at), dy + (at), from(pooled, at))
    FOR_PANELS(b->f);
#undef PANEL
}

PV_INLINE void settle_back(int n, pv_vector *sum, pv_vector *dot, double *all_sum, double *all_dot)
{
    for (int i = 0; i < n; i++) {
        all_sum[i] += (double)(*sum)[i];
        all_dot[i] += (double)(*dot)[i];
    }
    *sum = *dot = (pv_vector){0};
}

/* One stripe of n features at feature k. */
PV_INLINE void gate_stripe(int n, bool max, bool relu, bool collect, const pv_dws_block *b, int k,
                           const pv_dws_gate *gate, pv_dws_values spread, pv_real *dx)
{
    const pv_real *x = gate->x + k, *y = collect ? gate->y + k : NULL;
    const pv_dws_values best = max ? from(&gate->best, k) : (pv_dws_values){0};
    const pv_vector zero = {0}, keep = zero + gate->keep,
                    mean = collect ? pv_vector_load_first(n, gate->mean + k) : zero;
    pv_vector sum = zero, dot = zero;
    int64_t row_at = 0, col_at = 0, at = 0;
    int pending = 0;
    for (int s = 0; s < b->count; s++, col_at += (int64_t)b->cols * b->f) {
        for (int r = 0; r < b->rows; r++, row_at += b->f) {
            pv_vector of_row = pv_vector_load_first(n, spread.row + row_at);
            const pv_vector most = max ? pv_vector_load_first(n, best.row + row_at) : zero;
            for (int c = 0; c < b->cols; c++, at += b->f) {
                const int64_t column = col_at + (int64_t)c * b->f;
                const pv_vector v = pv_vector_load_first(n, x + at),
                                of_col = pv_vector_load_first(n, spread.col + column);
                pv_vector g = pv_vector_load_first(n, dx + at);
                if (max) {
                    const pv_mask in_row = pv_vector_equal(v, most),
                                  in_col = pv_vector_equal(v, pv_vector_load_first(n, best.col + column));
                    g += pv_vector_keep(in_row, of_row) + pv_vector_keep(in_col, of_col);
                    of_row = pv_vector_choose(in_row, zero, of_row);
                    pv_vector_store_first(n, spread.col + column, pv_vector_choose(in_col, zero, of_col));
                } else {
                    g += of_row + of_col;
                }
                if (relu) g = pv_vector_keep(pv_vector_greater(v, zero), g * keep);
                pv_vector_store_first(n, dx + at, g);
                if (collect) {
                    fetch(0, y + at + (int64_t)b->cols * b->f);
                    sum += g;
                    dot += g * (pv_vector_load_first(n, y + at) - mean);
                }
            }
            pending += b->cols;
            if (collect && pending >= GROUP) {
                settle_back(n, &sum, &dot, gate->sum + k, gate->dot + k);
                pending = 0;
            }
        }
        if (collect && pending) settle_back(n, &sum, &dot, gate->sum + k, gate->dot + k);
        pending = 0;
    }
}

PV_INLINE void gate_stripe_as(int n, const pv_dws_block *b, int k, const pv_dws_gate *gate,
                              const pv_dws_values *spread, pv_real *dx)
{
    const pv_dws_values of = from(spread, k);
    if (gate->sum && b->max)
        gate_stripe(n, true, true, true, b, k, gate, of, dx + k);
    else if (gate->sum)
        gate_stripe(n, false, true, true, b, k, gate, of, dx + k);
    else if (b->max && gate->relu)
        gate_stripe(n, true, true, false, b, k, gate, of, dx + k);
    else if (b->max)
        gate_stripe(n, true, false, false, b, k, gate, of, dx + k);
    else if (gate->relu)
        gate_stripe(n, false, true, false, b, k, gate, of, dx + k);
    else
        gate_stripe(n, false, false, false, b, k, gate, of, dx + k);
}

static void deactivate(const pv_dws_block *b, const pv_dws_gate *gate, const pv_dws_values *spread,
                       pv_real *dx)
{
    for (int k = 0; k < b->f; k += PV_LANES) {
        if (b->f - k >= PV_LANES)
            gate_stripe_as(PV_LANES, b, k, gate, spread, dx);
        else
            gate_stripe_as(b->f - k, b, k, gate, spread, dx);
    }
}

PV_INLINE void fold_stripe(int n, const pv_dws_block *b, int k, const pv_dws_values *best,
                           const pv_dws_values *spread)
{
    const pv_vector zero = {0};
    for (int s = 0; s < b->count; s++) {
        const int64_t at = (int64_t)s * b->f + k, column = (int64_t)s * b->cols * b->f + k;
        pv_vector rest = pv_vector_load_first(n, spread->all + at);
        const pv_vector most = b->max ? pv_vector_load_first(n, best->all + at) : zero;
        for (int c = 0; c < b->cols; c++) {
            pv_real *col = spread->col + column + (int64_t)c * b->f;
            if (b->max) {
                const pv_mask here =
                    pv_vector_equal(pv_vector_load_first(n, best->col + column + (int64_t)c * b->f), most);
                pv_vector_store_first(n, col, pv_vector_load_first(n, col) + pv_vector_keep(here, rest));
                rest = pv_vector_choose(here, zero, rest);
            } else {
                pv_vector_store_first(n, col, pv_vector_load_first(n, col) + rest);
            }
        }
    }
}

static void fold(const pv_dws_block *b, const pv_dws_values *best, const pv_dws_values *spread)
{
    for (int k = 0; k < b->f; k += PV_LANES) {
        if (b->f - k >= PV_LANES)
            fold_stripe(PV_LANES, b, k, best, spread);
        else
            fold_stripe(b->f - k, b, k, best, spread);
    }
}

const pv_dws_back_kernels PV_ISA_TABLE(pv_dws_back_kernels) = {
    .normalise_back = normalise_back,
    .deactivate = deactivate,
    .fold = fold,
};
