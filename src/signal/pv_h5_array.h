/* Arrays in an HDF5 file of a user's: data sets of numbers of any type that HDF5 converts, or of texts of
 * fixed or variable length, contiguous or in chunks and compressed; attributes that are lists of texts. */
#ifndef PV_H5_ARRAY_H
#define PV_H5_ARRAY_H

#include "base/pv_status.h"
#include "pv_array_form.h"

#include <stddef.h>

typedef struct pv_h5_array pv_h5_array;

/* Opens the data set of that name, or else the attribute of that name of the data set `beside` (NULL: none)
 * or of the root; *out stays NULL where the file has neither.  No link and no data set leads out of the file.
 * Owner    pv_h5_array_close
 * Local.   Errors: PV_ERR_IO (no such file, not a regular file), PV_ERR_DATA (not HDF5, no data set, links in
 * a circle, neither numbers nor text, no elements, data in other files), PV_ERR_NOMEM; path and name are
 * told. */
pv_status pv_h5_array_open(const char *path, const char *name, const char *beside, pv_h5_array **out,
                           pv_array_form *form);
/* NULL is a no-op. */
void pv_h5_array_close(pv_h5_array *array);

/* Rows [first, first + count) as numbers [count][row].  Local.   Errors: PV_ERR_HDF5. */
pv_status pv_h5_array_numbers(const pv_h5_array *array, int64_t first, int64_t count, double *numbers);

/* Row `row` of a list of texts.  Local.   Errors: PV_ERR_HDF5, PV_ERR_NOMEM; PV_ERR_DATA (longer than size -
 * 1 bytes). */
pv_status pv_h5_array_text(const pv_h5_array *array, int64_t row, char *text, size_t size);

/* The names of what stands in the root of the file, as "images, labels, more/"; those that do not fit are
 * left off.  Local. */
void pv_h5_array_names(const char *path, char *text, size_t size);

#endif
