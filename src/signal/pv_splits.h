/* Which objects of a source's pools are in which split, and how they are numbered. */
#ifndef PV_SPLITS_H
#define PV_SPLITS_H

#include "signal/pv_source.h"

/* The options' numbers, shares and words, settled.
 * Local.  Errors: PV_ERR_CONFIG (a range that does not fit; no object to train on, unless opts->train is 0;
 * the keys are named). */
pv_status pv_splits_plan(const pv_source *source, const pv_signal_opts *opts, const pv_source_form *form,
                         pv_splits *splits);

/* The options with what `usual` says. */
pv_signal_opts pv_splits_wishes(const pv_source *source, const pv_signal_opts *opts);

int64_t pv_splits_objects(const pv_splits *splits);
int pv_splits_of(const pv_splits *splits, int64_t object);
/* The place of an object in the pools, and the object at a place: -1 if it is in no split. */
int64_t pv_splits_place(const pv_source_form *form, const pv_splits *splits, int64_t object);
int64_t pv_splits_find(const pv_source_form *form, const pv_splits *splits, int64_t place);

#endif
