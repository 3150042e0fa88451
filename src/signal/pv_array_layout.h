/* Which axis of an array is what: sides of a wave, a picture or a volume, and channels. */
#ifndef PV_ARRAY_LAYOUT_H
#define PV_ARRAY_LAYOUT_H

#include "base/pv_status.h"
#include "pv_array_form.h"

#include <stdbool.h>

/* The axes behind that of objects, outermost first: L of a wave, D, H and W, C of channels. */
extern const char *const pv_array_layouts[]; /* the first is "auto"; NULL ends them */

typedef struct pv_array_layout {
    const char *name;
    int sides;   /* 1 to 3 */
    int side[3]; /* outermost first: width is the last */
    int channels, samples;
    bool channels_first;
} pv_array_layout;

/* Reads a form by the layout of that number.  "auto": a row of one axis is a wave; an axis of channels is the
 * last one, of at most 4 where all others are longer; without one the axes are the sides of a picture or a
 * volume, none longer than 4 times another.  All else can be taken in two ways, and is refused.
 * Local.   Errors: PV_ERR_CONFIG, PV_ERR_DATA; `title` is what messages call the array. */
pv_status pv_array_layout_of(const pv_array_form *form, const char *title, unsigned which,
                             pv_array_layout *layout);

#endif
