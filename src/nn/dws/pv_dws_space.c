/* The tables of a weight space, rows of INRs turned into them and back, pooling and spreading. */
#include "pv_dws_space.h"

#include <string.h>

enum { FLOATS = 160 * 1024, WORDS = 120 * 1024 }; /* numbers: 640 KiB of floats; what was best of words */

pv_status pv_dws_space_set(pv_dws_space *space, const int *dims, int layers, int numbers)
{
    if (layers < 2 || layers > PV_DWS_MAX_LAYERS)
        return pv_fail(PV_ERR_CONFIG, "model.kind: dws needs INRs with 2 to %d weight matrices, not %d",
                       PV_DWS_MAX_LAYERS, layers);
    *space = (pv_dws_space){.layers = layers, .tensors = 2 * layers};
    memcpy(space->dims, dims, sizeof *dims * (size_t)(layers + 1));
    for (int i = 0; i < layers; i++) {
        space->rows[i] = i ? dims[i] : dims[1];
        space->cols[i] = i ? dims[i + 1] : dims[0];
        space->rows[layers + i] = i < layers - 1 ? dims[i + 1] : 1;
        space->cols[layers + i] = i < layers - 1 ? numbers : dims[layers];
    }
    for (int t = 0; t < space->tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++) {
            space->offset[t][margin] = space->total[margin];
            space->total[margin] += pv_dws_entries(space, t, (pv_dws_margin)margin);
        }
    return PV_OK;
}

/* Copies one sample of one tensor between its place in a row and in a set. */
static void carry(const pv_dws_space *space, int layer, int batch, int sample, pv_real *row, pv_real *set,
                  int entering)
{
    const int in = space->dims[layer], out = space->dims[layer + 1];
    pv_real *weight = set + pv_dws_at(space, layer, PV_MARGIN_FULL, batch, sample, 1);
    pv_real *bias = set + pv_dws_at(space, space->layers + layer, PV_MARGIN_FULL, batch, sample, 1);
    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++) {
            pv_real *there = weight + (layer ? i * out + o : o * in + i), *here = row + o * in + i;
            if (entering)
                *there = *here;
            else
                *here = *there;
        }
    pv_real *here = row + in * out;
    memcpy(entering ? bias : here, entering ? here : bias,
           sizeof *bias * (size_t)pv_dws_entries(space, space->layers + layer, PV_MARGIN_FULL));
}

static void carry_all(const pv_dws_space *space, int batch, pv_real *rows, pv_real *set, int entering)
{
    for (int sample = 0; sample < batch; sample++) {
        pv_real *row = rows + sample * space->total[PV_MARGIN_FULL];
        for (int layer = 0; layer < space->layers; layer++) {
            carry(space, layer, batch, sample, row, set, entering);
            row += pv_dws_entries(space, layer, PV_MARGIN_FULL) +
                   pv_dws_entries(space, space->layers + layer, PV_MARGIN_FULL);
        }
    }
}

void pv_dws_enter(const pv_dws_space *space, int batch, const pv_real *rows, pv_real *set)
{
    carry_all(space, batch, (pv_real *)rows, set, 1);
}

void pv_dws_leave(const pv_dws_space *space, int batch, const pv_real *set, pv_real *rows)
{
    carry_all(space, batch, rows, (pv_real *)set, 0);
}

int pv_dws_tile(const pv_dws_space *space, int f, bool words)
{
    const int64_t values = space->total[PV_MARGIN_FULL] * f;
    const int64_t most = words ? WORDS : FLOATS;
    return values < most ? (int)(most / values) : 1;
}

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
        PV_TAKE(memory, values, &margins->pooled[margin], &margins->spread[margin]);
    }
}

pv_dws_part pv_dws_part_of(const pv_dws_margins *margins, int count, int tensor)
{
    const pv_dws_space *space = margins->space;
    int64_t at[PV_MARGIN_COUNT];
    for (int margin = 0; margin < PV_MARGIN_COUNT; margin++)
        at[margin] = pv_dws_at(space, tensor, (pv_dws_margin)margin, count, 0, margins->features);
    pv_real *const *pooled = margins->pooled, *const *spread = margins->spread;
    const int row = PV_MARGIN_ROW, col = PV_MARGIN_COL, all = PV_MARGIN_ALL;
    return (pv_dws_part){.block = {count, space->rows[tensor], space->cols[tensor], margins->features,
                                   margins->reduction == PV_POOL_MAX},
                         .at = at[PV_MARGIN_FULL],
                         .pooled = {pooled[row] + at[row], pooled[col] + at[col], pooled[all] + at[all]},
                         .spread = {spread[row] + at[row], spread[col] + at[col], spread[all] + at[all]}};
}

const pv_real *pv_dws_pooled(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                             const pv_real *set)
{
    return (margin == PV_MARGIN_FULL ? set : margins->pooled[margin]) +
           pv_dws_at(margins->space, tensor, margin, count, 0, margins->features);
}

pv_real *pv_dws_spread_to(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                          pv_real *set)
{
    return (margin == PV_MARGIN_FULL ? set : margins->spread[margin]) +
           pv_dws_at(margins->space, tensor, margin, count, 0, margins->features);
}

void pv_dws_margins_clear(pv_dws_margins *margins, int count)
{
    for (int margin = PV_MARGIN_ROW; margin < PV_MARGIN_COUNT; margin++)
        memset(margins->spread[margin], 0,
               sizeof(pv_real) * (size_t)(margins->space->total[margin] * margins->features * count));
}

static void scale(pv_real *values, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++)
        values[i] *= (pv_real)factor;
}

/* Sums become means, or gradients of means those of sums. */
static void share(const pv_dws_margins *margins, const pv_dws_block *b, const pv_dws_values *values)
{
    if (margins->reduction != PV_POOL_MEAN) return;
    scale(values->row, (int64_t)b->count * b->rows * b->f, 1.0 / b->cols);
    scale(values->col, (int64_t)b->count * b->cols * b->f, 1.0 / b->rows);
    scale(values->all, (int64_t)b->count * b->f, 1.0 / b->rows / b->cols);
}

void pv_dws_margins_pool_tensor(pv_dws_margins *margins, int count, int tensor, const pv_real *x)
{
    const pv_dws_part part = pv_dws_part_of(margins, count, tensor);
    margins->kernels->pool(&part.block, x + part.at, &part.pooled);
    share(margins, &part.block, &part.pooled);
}

void pv_dws_margins_pool(pv_dws_margins *margins, int count, const pv_real *x)
{
    for (int t = 0; t < margins->space->tensors; t++)
        pv_dws_margins_pool_tensor(margins, count, t, x);
}

void pv_dws_margins_activate(pv_dws_margins *margins, int count, int tensor, const pv_dws_activation *how,
                             const pv_real *y, pv_real *x)
{
    const pv_dws_part part = pv_dws_part_of(margins, count, tensor);
    margins->kernels->activate(&part.block, how, y + part.at, x + part.at, &part.pooled);
    share(margins, &part.block, &part.pooled);
}

static void add(int n, const pv_real *x, pv_real *restrict sum)
{
    for (int i = 0; i < n; i++)
        sum[i] += x[i];
}

void pv_dws_margins_pool_picks(pv_dws_margins *margins, int count, int tensor, const pv_dws_picks *picks)
{
    const pv_dws_part part = pv_dws_part_of(margins, count, tensor);
    const int f = part.block.f, rows = part.block.rows, cols = part.block.cols;
    memset(part.pooled.row, 0, sizeof(pv_real) * (size_t)(count * rows) * (size_t)f);
    memset(part.pooled.col, 0, sizeof(pv_real) * (size_t)(count * cols) * (size_t)f);
    memset(part.pooled.all, 0, sizeof(pv_real) * (size_t)count * (size_t)f);
    for (int64_t i = 0; i < picks->count; i++) {
        const int64_t row = picks->entry[i] / cols, sample = row / rows;
        add(f, picks->dy + i * f, part.pooled.row + row * f);
        add(f, picks->dy + i * f, part.pooled.col + (sample * cols + picks->entry[i] % cols) * f);
        add(f, picks->dy + i * f, part.pooled.all + sample * f);
    }
}

void pv_dws_settle(const pv_dws_margins *margins, const pv_dws_part *part)
{
    share(margins, &part->block, &part->spread);
    margins->back->fold(&part->block, &part->pooled, &part->spread);
}
