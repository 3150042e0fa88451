/* A named array of a user's data, wherever it lies: a data set of an HDF5 file, or NAME.npy in a directory.
 * Knows nothing of MPI. */
#ifndef PV_ARRAY_H
#define PV_ARRAY_H

#include "base/pv_status.h"
#include "pv_array_form.h"

#include <stddef.h>

typedef struct pv_array pv_array;

/* Opens the array `name` of the HDF5 file or directory `path`; in an HDF5 file a list of texts may be an
 * attribute, of the data set `beside` (NULL: none) or of the root.  *out stays NULL where there is none.
 * Owner    pv_array_close
 * Local.   Errors: PV_ERR_IO, PV_ERR_DATA (file and array named, and what is wrong), PV_ERR_NOMEM. */
pv_status pv_array_open(const char *path, const char *name, const char *beside, pv_array **out);
/* NULL is a no-op. */
void pv_array_close(pv_array *array);

const pv_array_form *pv_array_form_of(const pv_array *array);
/* What messages call it: "'waves/labels.npy'", "'labels' of 'waves.h5'". */
const char *pv_array_title(const pv_array *array);

/* Rows [first, first + count) as numbers [count][row], in C order.
 * Local.   Errors: PV_ERR_IO, PV_ERR_HDF5, PV_ERR_DATA (the file has become shorter). */
pv_status pv_array_numbers(const pv_array *array, int64_t first, int64_t count, double *numbers);

/* Row `row` of a list of texts.  Local.   Errors: likewise; PV_ERR_DATA (longer than size - 1 bytes). */
pv_status pv_array_text(const pv_array *array, int64_t row, char *text, size_t size);

/* Calls `take` with rows in order, some at a time: [count][row] numbers.
 * Local.   Errors: those of reading and of `take`, which ends it. */
typedef pv_status pv_array_take(void *context, int64_t first, int64_t count, const double *numbers);
pv_status pv_array_pass(const pv_array *array, pv_array_take *take, void *context);

/* Fails for a missing array: PV_ERR_DATA, naming those that are there.  Local. */
pv_status pv_array_missing(const char *path, const char *name, const char *key);

#endif
