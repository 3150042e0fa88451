/* Opening what belongs to a store: a model that runs on its rows, and the signal that they were fitted to. */
#ifndef PV_OPEN_H
#define PV_OPEN_H

#include "run/pv_run_config.h"
#include "signal/pv_signal.h"
#include "store/pv_store.h"
#include "train/pv_model_file.h"

/* Owner: pv_open_model_close, safe on zeros. */
typedef struct pv_open_model {
    pv_model *model;
    pv_model_head head;    /* of the file; head.form is that of the rows that it takes */
    pv_run_config *config; /* that it was trained with */
} pv_open_model;

/* Makes the model of an open model's config for the INRs of a store, with head.classes outputs and batches
 * of at most `batch` rows: with a projection's embedding as its features where it was trained without labels.
 * Collective.  Errors: as pv_model_new, agreed. */
pv_status pv_open_model_make(const pv_comm *comm, const pv_store *store, int batch, pv_open_model *m);

/* Makes the model of the file at `path` and loads it.
 * Collective.  Errors: as pv_model_file_load; PV_ERR_DATA (a damaged file, a model for other INRs than the
 * store's), agreed. */
pv_status pv_open_model_file(const pv_comm *comm, const char *path, const pv_store *store, int batch,
                             pv_open_model *m);
void pv_open_model_close(pv_open_model *m);

/* The fresh network of a seed, which starts as the store's INRs do by the config that it keeps.
 * Local.  Errors: PV_ERR_DATA (a damaged config), PV_ERR_NOMEM. */
pv_status pv_open_fresh(const pv_store *store, uint64_t seed, pv_fresh *fresh);

/* Tells what the store's INRs started from, beside an accuracy that depends on it, and in which precision
 * they were fitted: "fit_init", "fit_precision", "unknown" of imported ones.
 * Local.  Errors: as pv_open_fresh. */
pv_status pv_open_tell_init(const pv_store *store, json_t *result);

/* Opens the signal that a store was made from, by the config that the store keeps.
 * Owner: pv_signal_close(*signal).  Collective.  Errors: as pv_signal_open; PV_ERR_DATA (a damaged config),
 * agreed. */
pv_status pv_open_signal(const pv_comm *comm, const pv_store *store, pv_signal **signal);

/* Opens the signal of a config that a store keeps, which may be told by --set where its data lie now.
 * Owner: pv_signal_close(*signal).  Collective.  Errors: as pv_signal_open, agreed. */
pv_status pv_open_kept(const pv_comm *comm, const pv_run_config *config, pv_signal **signal);

/* The number within the signal of an object of the store.
 * Local.  Errors: PV_ERR_DATA (the signal has no such object). */
pv_status pv_open_object(const pv_store *store, const pv_signal *signal, int64_t object, int64_t *number);

#endif
