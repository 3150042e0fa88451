/* .npy files, as numpy.save writes them: versions 1 to 3 of the header; booleans, integers of 1 to 8 bytes,
 * floats of 2 to 8, text; of either byte order; in C or Fortran order.  No pickles.  Knows nothing of MPI. */
#ifndef PV_NPY_H
#define PV_NPY_H

#include "base/pv_status.h"
#include "pv_array_form.h"

#include <stddef.h>

typedef struct pv_npy pv_npy;

/* Opens a file and checks its header, and that the file is as long as it says: what has rows and elements has
 * them in the file.
 * Owner    pv_npy_close
 * Local.   Errors: PV_ERR_IO (no such file, not a regular file, unreadable), PV_ERR_DATA (what was found and
 * expected), PV_ERR_NOMEM; every message names the file. */
pv_status pv_npy_open(const char *path, pv_npy **out, pv_array_form *form);
/* NULL is a no-op. */
void pv_npy_close(pv_npy *npy);

/* Rows [first, first + count) as numbers [count][row], in C order.  An array in Fortran order is read element
 * by element of a row, `count` at a time.
 * Local.   Errors: PV_ERR_IO, PV_ERR_DATA (the file has become shorter). */
pv_status pv_npy_numbers(const pv_npy *npy, int64_t first, int64_t count, double *numbers);

/* Row `row` of a list of texts as UTF-8.  Local.   Errors: likewise; PV_ERR_DATA (longer than size - 1 bytes,
 * no such letter). */
pv_status pv_npy_text(const pv_npy *npy, int64_t row, char *text, size_t size);

#endif
