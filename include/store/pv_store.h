/* The store: one HDF5 file that holds every neural view of a set of objects.  docs/formats.md describes it.
 *
 * /params is contiguous and allocated whole when the store is made, so that nothing but row data, checksums
 * and status bytes changes afterwards: a killed process cannot damage the file's structure.  A row is written
 * before its status, so a row marked fitted is complete (or, after a kill in the middle of a write, lacks its
 * mark). */
#ifndef PV_STORE_H
#define PV_STORE_H

#include "base/pv_comm.h"
#include "signal/pv_signal.h"
#include "siren/pv_siren.h"

#include <stdbool.h>

/* The status of a row.  REFUSED: its loss was not finite, nor after every restart; the row is zeros. */
enum { PV_VIEW_MISSING = 0, PV_VIEW_FITTED = 1, PV_VIEW_REFUSED = 2 };

typedef struct pv_store pv_store;

typedef enum pv_store_mode { PV_STORE_READ, PV_STORE_WRITE } pv_store_mode;

/* Makes an empty store for `views` views of every object of `signal`, on rank 0: under a temporary name, then
 * renamed, so that a file of this name is always a whole store; with its disk space set aside, so that the
 * disk cannot fill up later.  Fails if the path exists. Collective.  Errors: PV_ERR_IO (path named; disk
 * full: what it takes and what is free), PV_ERR_HDF5, agreed. */
pv_status pv_store_create(const pv_comm *comm, const char *path, const pv_signal *signal,
                          const char *signal_path, const pv_arch *arch, const char *variant, int64_t views,
                          const char *config_yaml);

/* Opens a store.  Owner: pv_store_close; comm is borrowed until then.
 * Collective.  Errors: PV_ERR_IO (no such file), PV_ERR_DATA (not a store, other version, wrong shapes),
 * agreed. */
pv_status pv_store_open(const pv_comm *comm, const char *path, pv_store_mode mode, pv_store **out);
/* Collective; flushes.  NULL is a no-op. */
pv_status pv_store_close(pv_store *store);

int64_t pv_store_views(const pv_store *store);
int64_t pv_store_objects(const pv_store *store);
const char *pv_store_path(const pv_store *store);
const pv_arch *pv_store_arch(const pv_store *store);
int pv_store_params(const pv_store *store);              /* P */
const char *pv_store_config(const pv_store *store);      /* YAML */
const char *pv_store_signal_json(const pv_store *store); /* JSON text */
int pv_store_classes(const pv_store *store);
/* The shape of an image object; 0 x 0 x 0 if the signal is not an image. */
void pv_store_image_shape(const pv_store *store, int *height, int *width, int *channels);

/* Reads of `count` objects from `first`, of one view where a view is given.  Independent of other ranks. */
pv_status pv_store_read_status(const pv_store *store, int64_t view, int64_t first, int64_t count,
                               uint8_t *status);
pv_status pv_store_read_rows(const pv_store *store, int64_t view, int64_t first, int64_t count, float *rows);
pv_status pv_store_read_checksums(const pv_store *store, int64_t view, int64_t first, int64_t count,
                                  uint64_t *checksums);
pv_status pv_store_read_psnr(const pv_store *store, int64_t view, int64_t first, int64_t count, float *psnr);
pv_status pv_store_read_labels(const pv_store *store, int64_t first, int64_t count, int32_t *labels);
pv_status pv_store_read_splits(const pv_store *store, int64_t first, int64_t count, uint8_t *splits);
pv_status pv_store_read_sources(const pv_store *store, int64_t first, int64_t count, uint64_t *sources);

/* Writes `count` rows of consecutive objects: rows and their checksums, then psnr and steps, then the status
 * of each, PV_VIEW_FITTED or PV_VIEW_REFUSED. Independent of other ranks.  Errors: PV_ERR_HDF5 (disk full,
 * ...): rows already marked stay good.
 */
pv_status pv_store_write_rows(pv_store *store, int64_t view, int64_t first, int64_t count, const float *rows,
                              const float *psnr, const uint32_t *steps, const uint8_t *status);

#endif
