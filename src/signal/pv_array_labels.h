/* Labels and splits that a user's arrays hold, as numbers or as names. */
#ifndef PV_ARRAY_LABELS_H
#define PV_ARRAY_LABELS_H

#include "pv_array.h"
#include "signal/pv_source.h"

/* split [rows]: PV_SPLIT_... of a list of 0, 1, 2 or "train", "val", "test".
 * Local.   Errors: PV_ERR_DATA (array and row named), those of reading. */
pv_status pv_array_splits(const pv_array *array, uint8_t *split);

/* labels [rows]: classes from 0 on, -1 for none, of a list of class numbers (-1: none) or class names (empty:
 * none).  Numbers are labels as they stand if they are 0, 1, 2, ... without a gap or `given` names them; else
 * labels count the classes that there are, ascending, and *names are what the array calls them.
 * Owner    free(*names); NULL: each class is called by its label
 * Local.   Errors: PV_ERR_DATA (array and row named), those of reading, PV_ERR_NOMEM. */
pv_status pv_array_labels(const pv_array *array, const pv_array *given, int32_t *labels, int *count,
                          pv_class_name **names);

#endif
