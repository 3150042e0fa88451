/* Reads rows of a split from a store, run by run of neighbours: checks them, brings them into a form, and
 * adds up what identifies them. */
#ifndef PV_ROW_LOADER_H
#define PV_ROW_LOADER_H

#include "pv_row_shaper.h"
#include "store/pv_store.h"

typedef struct pv_row_loader {
    const pv_store *store;
    int64_t objects;           /* of the split */
    const int64_t *ids;        /* [objects] numbers in the store */
    const int32_t *labels;     /* [objects] */
    int64_t first_view, views; /* that are read */
    bool verify;               /* compare every row with its checksum */
    pv_row_shaper *shaper;     /* NULL: rows stay as they are stored */
    uint64_t identity;         /* of what was read: adds up (modulo 2^64) over shares of the samples */
} pv_row_loader;

/* Reads objects [first, first + count) of view v (counted from 0).
 * Shapes   rows [count][P]
 * Local.  Errors: PV_ERR_DATA (a row that is missing, refused or fails its checksum: view and object named,
 * refused ones of all views counted). */
pv_status pv_row_loader_read(pv_row_loader *loader, int64_t v, int64_t first, int64_t count, float *rows);

#endif
