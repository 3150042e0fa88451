/* A tensor of several samples, and what is pooled from it or spread over it: its margins. */
#ifndef PV_DWS_BLOCK_H
#define PV_DWS_BLOCK_H

#include "simd/pv_real.h"

#include <stdbool.h>

typedef struct pv_dws_block {
    int count, rows, cols, f;
    bool max; /* margins are maxima, else sums */
} pv_dws_block;

typedef struct pv_dws_values {
    pv_real *row, *col, *all;
} pv_dws_values;

#endif
