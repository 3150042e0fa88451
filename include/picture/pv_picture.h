/* Pictures of INRs beside the signals that they were fitted to: grids of two coordinates as they are, of
 * three as slices, waves as curves; shapes, which are fields over space, as their surface in light. */
#ifndef PV_PICTURE_H
#define PV_PICTURE_H

#include "inr/pv_arch.h"
#include "picture/pv_canvas.h"
#include "signal/pv_signal.h"

typedef struct pv_picture_subject {
    const pv_arch *arch;
    const float *row; /* [P] */
    const pv_signal_about *about;
    const char *where;       /* the store that says so, for messages */
    const pv_signal *signal; /* NULL: only the INR is drawn */
    int64_t object;          /* its number within the signal */
    int scale;               /* pixels of the canvas to a sample of a grid; larger is finer for all kinds */
} pv_picture_subject;

/* What a picture shows besides its pixels. */
typedef struct pv_picture_note {
    const char *kind; /* "picture", "wave", "volume", "shape" */
    double low, high; /* numbers of the data that black and white, or the bottom and the top, stand for */
} pv_picture_note;

/* Owner: pv_canvas_free.  Local.
 * Errors: PV_ERR_DATA (INRs that are none of these; words of the store that its INRs or its signal
 * contradict), PV_ERR_USAGE (too large), PV_ERR_NOMEM, those of reading the object. */
pv_status pv_picture_draw(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note);

#endif
