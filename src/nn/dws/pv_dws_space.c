/* The tables of a weight space, and rows of INRs turned into them and back. */
#include "pv_dws_space.h"

#include <string.h>

enum { TILE_VALUES = 160 * 1024 }; /* 640 KiB of floats */

pv_status pv_dws_space_set(pv_dws_space *space, const int *dims, int layers)
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
        space->cols[layers + i] = i < layers - 1 ? 1 : dims[layers];
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
    memcpy(entering ? bias : here, entering ? here : bias, sizeof *bias * (size_t)out);
}

static void carry_all(const pv_dws_space *space, int batch, pv_real *rows, pv_real *set, int entering)
{
    for (int sample = 0; sample < batch; sample++) {
        pv_real *row = rows + sample * space->total[PV_MARGIN_FULL];
        for (int layer = 0; layer < space->layers; layer++) {
            carry(space, layer, batch, sample, row, set, entering);
            row += (space->dims[layer] + 1) * space->dims[layer + 1];
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

int pv_dws_tile(const pv_dws_space *space, int f)
{
    const int64_t values = space->total[PV_MARGIN_FULL] * f;
    return values < TILE_VALUES ? (int)(TILE_VALUES / values) : 1;
}
