/* The gradient of a tensor that reaches few of its entries: those that hold the maximum of a feature, of
 * which there are at most as many as features.  All others are 0, and nobody multiplies by them. */
#ifndef PV_DWS_PICKS_H
#define PV_DWS_PICKS_H

#include "simd/pv_real.h"

#include <stdint.h>

typedef struct pv_dws_picks {
    int64_t count;  /* entries of all samples of a set */
    int64_t *entry; /* [count] which ones, ascending, counted through the samples */
    pv_real *dy;    /* [count][f] */
} pv_dws_picks;

#endif
