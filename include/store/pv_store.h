/* The store: every neural view of a set of objects, in one HDF5 file, or in several shard files that one
 * master file ties together with virtual datasets.  docs/formats.md describes it.
 *
 * /params is contiguous and allocated whole when a file is made, so that nothing but row data, checksums and
 * status bytes changes afterwards: a killed process cannot damage a file's structure.  A row is on disk
 * before its status, so a row marked fitted is complete (or, after a kill in the middle of a write, lacks its
 * mark).  A store grows by new shard files and a new master file that takes the old one's name: fitted rows
 * are never written again. */
#ifndef PV_STORE_H
#define PV_STORE_H

#include "parallel/pv_comm.h"
#include "signal/pv_signal.h"
#include "inr/pv_arch.h"
#include "store/pv_storage_opts.h"

#include <stdbool.h>

/* The status of a row.  REFUSED: its loss was not finite, nor after every restart; the row is zeros. */
enum { PV_ROW_MISSING = 0, PV_ROW_FITTED = 1, PV_ROW_REFUSED = 2, PV_ROW_STATUSES };

typedef struct pv_store pv_store;

typedef enum pv_store_mode { PV_STORE_READ, PV_STORE_WRITE } pv_store_mode;

/* The texts of a store, attributes of its root.  The last two, of the program that made it and of the rows it
 * fitted, are "" where a store does not say. */
typedef enum pv_store_texts {
    PV_STORE_ARCH,   /* JSON */
    PV_STORE_SIGNAL, /* JSON */
    PV_STORE_CONFIG, /* YAML */
    PV_STORE_CODE_VERSION,
    PV_STORE_INSTRUCTION_SET,
    PV_STORE_TEXTS
} pv_store_texts;

/* What a new store is for: `views` views of every object of `signal`. */
typedef struct pv_store_spec {
    const pv_signal *signal;
    const pv_arch *arch;
    const char *variant; /* as the config says it */
    int64_t views;
    const char *config; /* YAML, every key */
} pv_store_spec;

/* Makes an empty store: every file under a temporary name, then renamed, the master last, so that a file of
 * this name is always a whole store; with its disk space set aside unless storage->reserve is false, so that
 * the disk cannot fill up later.  Rank 0 lays files out, all ranks write what is known of the objects; how
 * far it is is told.  What a killed run left of its making is taken away.  Fails if the path exists.
 * Collective.  Errors: PV_ERR_IO (path named; disk full: what it takes and what is free), PV_ERR_CONFIG
 * (storage.hints, storage.shard_gib), PV_ERR_HDF5, PV_STOPPED, agreed; nothing is left behind. */
pv_status pv_store_create(const pv_comm *comm, const char *path, const pv_store_spec *spec,
                          const pv_storage_opts *storage);

/* What a store is to become: more views, more objects, or both. */
typedef struct pv_store_growth {
    int64_t views, objects;  /* in all; no fewer than there are */
    const pv_signal *signal; /* holds the new objects */
    int64_t first_new;       /* the signal's number of the store's first new object; the others follow */
    const char *config;      /* YAML that the grown store keeps */
} pv_store_growth;

/* Grows `store`, which is open for reading and is not changed itself: open it anew to see the new rows, which
 * are missing.  A store in one file becomes the first shard of the grown one (a second name of the same file,
 * no copy). Attributes, groups and datasets that others have added to it are kept.  Killed at any instant,
 * the store is the old one or the new one.
 * Collective.  Errors: as pv_store_create; the store is then as it was. */
pv_status pv_store_extend(const pv_comm *comm, const pv_store *store, const pv_store_growth *growth,
                          const pv_storage_opts *storage);

/* Opens a store; `storage` gives hints and sync for writing, NULL for none.  Owner: pv_store_close; comm is
 * borrowed until then.
 * Collective.  Errors: PV_ERR_IO (no such file, a shard is missing), PV_ERR_DATA (not a store, other version,
 * wrong shapes, a shard of another store opened for writing), agreed. */
pv_status pv_store_open(const pv_comm *comm, const char *path, pv_store_mode mode,
                        const pv_storage_opts *storage, pv_store **out);
/* Collective; flushes.  NULL is a no-op. */
pv_status pv_store_close(pv_store *store);

int64_t pv_store_views(const pv_store *store);
int64_t pv_store_objects(const pv_store *store);
int pv_store_shards(const pv_store *store); /* 0: the store is one file */
const char *pv_store_path(const pv_store *store);
const pv_arch *pv_store_arch(const pv_store *store);
int pv_store_params(const pv_store *store); /* P */
const char *pv_store_text(const pv_store *store, pv_store_texts which);
/* What it says of its signal: the shape of an image object, and the number of classes. */
const pv_signal_about *pv_store_signal(const pv_store *store);
/* The names of the classes, by label; NULL: each is called by its label. */
const pv_class_name *pv_store_class_names(const pv_store *store);
int pv_store_targets(const pv_store *store); /* real targets of an object, 0 or up to PV_SIGNAL_MAX_TARGETS */
bool pv_store_is_judged(const pv_store *store); /* by held-out samples of the signal */
/* For the room's own use: the files of the rows, and any column of objects that there is. */
struct shards;
const struct shards *pv_store_shard_set(const pv_store *store);
pv_status pv_store_read_objects(const pv_store *store, int column, int64_t first, int64_t count, void *data);

/* Bytes of all its files: their lengths, and what they take on disk.  Local.  Errors: PV_ERR_IO. */
pv_status pv_store_bytes(const pv_store *store, int64_t *length, int64_t *on_disk);

/* Reads of `count` objects from `first`, of one view where a view is given.  Independent of other ranks. */
pv_status pv_store_read_status(const pv_store *store, int64_t view, int64_t first, int64_t count,
                               uint8_t *status);
pv_status pv_store_read_rows(const pv_store *store, int64_t view, int64_t first, int64_t count, float *rows);
pv_status pv_store_read_checksums(const pv_store *store, int64_t view, int64_t first, int64_t count,
                                  uint64_t *checksums);
pv_status pv_store_read_psnr(const pv_store *store, int64_t view, int64_t first, int64_t count, float *psnr);
/* Of a store that is judged. */
pv_status pv_store_read_judgements(const pv_store *store, int64_t view, int64_t first, int64_t count,
                                   float *iou, float *surface_error);
pv_status pv_store_read_labels(const pv_store *store, int64_t first, int64_t count, int32_t *labels);
/* Of a store that has some.  Shapes   targets [count][pv_store_targets]. */
pv_status pv_store_read_targets(const pv_store *store, int64_t first, int64_t count, float *targets);
pv_status pv_store_read_splits(const pv_store *store, int64_t first, int64_t count, uint8_t *splits);
pv_status pv_store_read_sources(const pv_store *store, int64_t first, int64_t count, uint64_t *sources);

/* What each object was fitted from, in one number; 0: it has no fitted view, or only ones that an early
 * version fitted.  A store that such a version made keeps none: zeros are read, and nothing is written. */
bool pv_store_has_digests(const pv_store *store);
pv_status pv_store_read_digests(const pv_store *store, int64_t first, int64_t count, uint64_t *digests);
/* Before the objects' first rows.  Independent of other ranks.  Errors: as pv_store_write_rows. */
pv_status pv_store_write_digests(pv_store *store, int64_t first, int64_t count, const uint64_t *digests);

/* Of a store whose signal has held-out samples, of consecutive objects before their rows: where an object
 * lies, [count][PV_SOURCE_FRAME]; how good its rows are (pv_heldout.h).  Independent of other ranks.  Errors:
 * as pv_store_write_rows. */
pv_status pv_store_write_frames(pv_store *store, int64_t first, int64_t count, const float *frames);
pv_status pv_store_write_judgements(pv_store *store, int64_t view, int64_t first, int64_t count,
                                    const float *iou, const float *surface_error);

/* Writes `count` rows of consecutive objects: rows, checksums, psnr and steps; brings them to disk if the
 * store was opened with sync; then the status of each, PV_ROW_FITTED or PV_ROW_REFUSED.
 * Independent of other ranks.  Errors: PV_ERR_HDF5 (disk full, ...), PV_ERR_IO (cannot be brought to disk,
 * another program has written to the file): rows already marked stay good; files stay open then (pv_h5.h). */
pv_status pv_store_write_rows(pv_store *store, int64_t view, int64_t first, int64_t count, const float *rows,
                              const float *psnr, const uint32_t *steps, const uint8_t *status);

/* Marks one row missing, so that it is fitted again.  Independent of other ranks.  Errors: PV_ERR_HDF5. */
pv_status pv_store_discard(pv_store *store, int64_t view, int64_t object);

#endif
