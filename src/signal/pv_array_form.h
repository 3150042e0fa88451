/* What an array of a user's data is: rows, one an object, of so many elements of one kind. */
#ifndef PV_ARRAY_FORM_H
#define PV_ARRAY_FORM_H

#include <stdint.h>

enum { PV_ARRAY_MOST_DIMS = 6 };

typedef enum pv_array_kind {
    PV_ARRAY_FLAGS,  /* false, true */
    PV_ARRAY_BYTES,  /* 0 to 255 */
    PV_ARRAY_SHORTS, /* 0 to 65535 */
    PV_ARRAY_WHOLE,  /* other whole numbers */
    PV_ARRAY_REAL,
    PV_ARRAY_TEXT
} pv_array_kind;

typedef struct pv_array_form {
    pv_array_kind kind;
    int dims; /* 1 or more */
    int64_t size[PV_ARRAY_MOST_DIMS];
    int64_t rows, row; /* size[0], and the elements of each: the product of the
                        other sizes, 1 if none */
} pv_array_form;

#endif
