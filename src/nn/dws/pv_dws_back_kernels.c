/* The sweeps backward: through batch norm, through ReLU and pooling. */
#include "pv_dws_panels.h"

/* mean, a, b and c of a panel. */
typedef pv_vector slopes[4][PV_TILE_VECTORS];

PV_INLINE void back_rows(int rows, int vectors, int lanes, int cols, int64_t f, bool fresh, slopes of,
                         const pv_real *restrict y, const pv_real *restrict dz, pv_real *restrict dy,
                         pv_real *restrict row, pv_real *restrict col)
{
    const int64_t line = cols * f;
    pv_tile of_row;
    pv_tile_fill(rows, vectors, (pv_vector){0}, of_row);
    for (const pv_real *end = y + line; y < end; y += f, dz += f, dy += f, col += f)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int n = pv_tile_lanes(v, vectors, lanes);
            pv_vector sum = {0};
            if (!fresh) sum = pv_vector_load_first(n, col + v * PV_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const int64_t at = r * line + v * PV_LANES;
                fetch(v, y + at + rows * line);
                fetch(v, dz + at + rows * line);
                const pv_vector value = of[1][v] * pv_vector_load_first(n, dz + at) +
                                        (of[2][v] * (pv_vector_load_first(n, y + at) - of[0][v]) + of[3][v]);
                pv_vector_store_first(n, dy + at, value);
                of_row[r][v] += value;
                sum += value;
            }
            pv_vector_store_first(n, col + v * PV_LANES, sum);
        }
    pv_tile_store(rows, vectors, lanes, of_row, row, f);
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
        back_rows(height, vectors, lanes, b->cols, b->f, r == 0, of, y, dz, dy, pooled.row, pooled.col);     \
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

/* What the gate knows of a row of a panel, and the sums that it takes over some rows. */
typedef struct passage {
    pv_vector row[PV_TILE_VECTORS], most[PV_TILE_VECTORS], mean[PV_TILE_VECTORS], keep;
    pv_vector sum[PV_TILE_VECTORS], dot[PV_TILE_VECTORS];
} passage;

static void settle_back(int vectors, int lanes, passage *p, double *sum, double *dot)
{
    for (int v = 0; v < vectors; v++) {
        for (int i = 0; i < pv_tile_lanes(v, vectors, lanes); i++) {
            sum[v * PV_LANES + i] += (double)p->sum[v][i];
            dot[v * PV_LANES + i] += (double)p->dot[v][i];
        }
        p->sum[v] = p->dot[v] = (pv_vector){0};
    }
}

/* One row of a panel.  All that moves is a pointer, so that a narrow instruction set has its registers for
 * the numbers. */
PV_INLINE void gate_row(int vectors, int lanes, bool max, bool relu, bool collect, int cols, int64_t f,
                        const pv_real *restrict x, const pv_real *restrict y, const pv_real *restrict best,
                        pv_real *restrict col, pv_real *restrict dx, passage *p)
{
    const pv_vector zero = {0};
    passage q = *p;
    for (const pv_real *end = x + cols * f; x < end; x += f, dx += f, col += f) {
#pragma GCC unroll 2
        for (int i = 0; i < vectors; i++) {
            const int n = pv_tile_lanes(i, vectors, lanes), at = i * PV_LANES;
            const pv_vector v = pv_vector_load_first(n, x + at);
            pv_vector g = pv_vector_load_first(n, dx + at), of_col = pv_vector_load_first(n, col + at);
            if (max) {
                const pv_mask in_row = pv_vector_equal(v, q.most[i]),
                              in_col = pv_vector_equal(v, pv_vector_load_first(n, best + at));
                g += pv_vector_keep(in_row, q.row[i]) + pv_vector_keep(in_col, of_col);
                q.row[i] = pv_vector_choose(in_row, zero, q.row[i]);
                pv_vector_store_first(n, col + at, pv_vector_choose(in_col, zero, of_col));
            } else {
                g += q.row[i] + of_col;
            }
            if (relu) g = pv_vector_keep(pv_vector_greater(v, zero), g * q.keep);
            pv_vector_store_first(n, dx + at, g);
            if (!collect) continue;
            fetch(i, y + cols * f + at);
            q.sum[i] += g;
            q.dot[i] += g * (pv_vector_load_first(n, y + at) - q.mean[i]);
        }
        if (max) best += f;
        if (collect) y += f;
    }
    *p = q;
}

/* One panel of features, the first of them k. */
PV_INLINE void gate_panel(int vectors, int lanes, bool max, bool relu, bool collect, const pv_dws_block *b,
                          int k, const pv_dws_gate *gate, pv_dws_values spread, pv_real *dx)
{
    const int64_t f = b->f, line = b->cols * f;
    const pv_real *x = gate->x + k, *y = collect ? gate->y + k : NULL;
    pv_dws_values best = max ? from(&gate->best, k) : (pv_dws_values){0};
    passage p = {.keep = pv_vector_splat(gate->keep)};
    for (int v = 0; collect && v < vectors; v++)
        p.mean[v] = pv_vector_load_first(pv_tile_lanes(v, vectors, lanes), gate->mean + k + v * PV_LANES);
    for (int s = 0; s < b->count; s++) {
        int pending = 0;
        for (int r = 0; r < b->rows; r++, x += line, dx += line, spread.row += f) {
            for (int v = 0; v < vectors; v++) {
                const int n = pv_tile_lanes(v, vectors, lanes);
                p.row[v] = pv_vector_load_first(n, spread.row + v * PV_LANES);
                if (max) p.most[v] = pv_vector_load_first(n, best.row + v * PV_LANES);
            }
            gate_row(vectors, lanes, max, relu, collect, b->cols, f, x, y, best.col, spread.col, dx, &p);
            pending += b->cols;
            if (collect && (pending >= GROUP || r == b->rows - 1)) {
                settle_back(vectors, lanes, &p, gate->sum + k, gate->dot + k);
                pending = 0;
            }
            if (max) best.row += f;
            if (collect) y += line;
        }
        spread.col += line;
        if (max) best.col += line;
    }
}

PV_INLINE void gate_panel_as(int vectors, int lanes, const pv_dws_block *b, int k, const pv_dws_gate *gate,
                             const pv_dws_values *spread, pv_real *dx)
{
    const pv_dws_values of = from(spread, k);
    if (gate->sum && b->max)
        gate_panel(vectors, lanes, true, true, true, b, k, gate, of, dx);
    else if (gate->sum)
        gate_panel(vectors, lanes, false, true, true, b, k, gate, of, dx);
    else if (b->max && gate->relu)
        gate_panel(vectors, lanes, true, true, false, b, k, gate, of, dx);
    else if (b->max)
        gate_panel(vectors, lanes, true, false, false, b, k, gate, of, dx);
    else if (gate->relu)
        gate_panel(vectors, lanes, false, true, false, b, k, gate, of, dx);
    else
        gate_panel(vectors, lanes, false, false, false, b, k, gate, of, dx);
}

static void deactivate(const pv_dws_block *b, const pv_dws_gate *gate, const pv_dws_values *spread,
                       pv_real *dx)
{
#define PANEL(at, vectors, lanes) gate_panel_as(vectors, lanes, b, at, gate, spread, dx + (at))
    FOR_PANELS(b->f);
#undef PANEL
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
