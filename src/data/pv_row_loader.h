/* Reads rows of a split from a store, run by run of neighbours: checks them, brings them into a form up to
 * its normalisation (canonical, then matched to the reference if there is one), finds their frames, and adds
 * up what identifies them. */
#ifndef PV_ROW_LOADER_H
#define PV_ROW_LOADER_H

#include "data/pv_row_form.h"
#include "store/pv_store.h"
#include "symmetry/pv_frame.h"

#include <stdbool.h>

typedef struct pv_row_loader {
    const pv_store *store;
    int64_t objects;           /* of the split */
    const int64_t *ids;        /* [objects] numbers in the store */
    const int32_t *labels;     /* [objects] */
    int64_t first_view, views; /* that are read */
    bool verify;               /* compare every row with its checksum */
    const pv_row_form *form;   /* NULL: rows stay as they are stored */
    const pv_frames *frames;   /* NULL: rows get no frames */
    uint64_t identity;         /* of what was read: adds up (modulo 2^64) over shares of the samples */
    int64_t wild, first_wild;  /* rows that no model can take, and view * objects + object of the first */
    /* its own workspace */
    float *before; /* [P] */
    pv_symmetry symmetry;
    pv_matcher *matcher; /* NULL where the form does not match */
    pv_matcher *framer;  /* NULL where rows get no frames */
} pv_row_loader;

/* Makes the workspace that form and frames need.  Owner: pv_row_loader_close, also after a failure.
 * Local.  Errors: PV_ERR_CONFIG (a form that the activation does not allow), PV_ERR_NOMEM. */
pv_status pv_row_loader_open(pv_row_loader *loader);
void pv_row_loader_close(pv_row_loader *loader);

/* Adds to *sum what the store says of objects [first, first + count) in all views, without their rows: their
 * numbers, labels and checksums.  Local. */
pv_status pv_row_loader_sum(const pv_row_loader *loader, int64_t first, int64_t count, uint64_t *sum);

/* Reads objects [first, first + count) of view v (counted from 0).
 * Shapes   rows [count][P], with frames behind each row where there are frames
 * Random   PV_RNG_MATCH, seed 0, (object, view), anew for form and frame
 * Local.  Errors: PV_ERR_DATA (a row that is missing, refused or fails its checksum: view and object named,
 * refused ones of all views counted).  Rows with weights that are not finite or far
 * too large are counted as `wild` and left as they are. */
pv_status pv_row_loader_read(pv_row_loader *loader, int64_t v, int64_t first, int64_t count, float *rows);

#endif
