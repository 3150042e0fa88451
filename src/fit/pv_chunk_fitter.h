/* One rank's fitting of chunks: runs of rows of a store, claimed, fitted and written together. */
#ifndef PV_CHUNK_FITTER_H
#define PV_CHUNK_FITTER_H

#include "fit/pv_fill_opts.h"
#include "inr/pv_fitter.h"
#include "parallel/pv_queue.h"
#include "signal/pv_signal.h"
#include "store/pv_store.h"

/* Rows of a chunk, at most: large enough to make writes and claims cheap. */
enum { CHUNK_ROWS = 16 };

/* Consecutive objects of one view: what they are, and what becomes of their rows. */
typedef struct chunk {
    int64_t view, first;
    int count;
    uint64_t sources[CHUNK_ROWS]; /* ids, as the store has them */
    int64_t objects[CHUNK_ROWS];  /* the signal's numbers of them */
    uint8_t status[CHUNK_ROWS];   /* as stored, then as fitted */
    bool fresh[CHUNK_ROWS];       /* fitted, to be written */
    float psnr[CHUNK_ROWS];
    uint32_t steps[CHUNK_ROWS];
} chunk;

/* One owner, freed by chunk_fitter_free. */
typedef struct chunk_fitter {
    const pv_signal *signal;
    pv_store *store;
    const pv_fill_opts *opts;
    pv_queue *queue; /* of the chunks; told of a stop */
    pv_fitter *fitter;
    int params;
    float *values;                         /* [n][channels] */
    float *coords;                         /* [n][inputs] of an object; NULL: all share theirs */
    float *rows;                           /* [CHUNK_ROWS][P], of the chunk */
    double stop_seen;                      /* when a stop was first seen, 0: it was not */
    int64_t fitted, restarted, adam_steps; /* by this rank */
} chunk_fitter;

/* Takes memory; signal, store, opts and queue are set.  Local.  Errors: PV_ERR_NOMEM. */
pv_status chunk_fitter_make(chunk_fitter *f);
void chunk_fitter_free(chunk_fitter *f);

/* Fits and writes what is missing of `count` objects of a view from `first`, at most CHUNK_ROWS.  Local.
 * Errors: PV_STOPPED (what had ended is written), PV_ERR_DATA (an object that the signal does not have),
 * PV_ERR_IO (the lock was lost), PV_ERR_HDF5. */
pv_status chunk_fitter_run(chunk_fitter *f, int64_t view, int64_t first, int count);

#endif
