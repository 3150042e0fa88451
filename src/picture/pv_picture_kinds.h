/* The kinds of pictures. */
#ifndef PV_PICTURE_KINDS_H
#define PV_PICTURE_KINDS_H

#include "picture/pv_picture.h"

enum { PV_PICTURE_GAP = 4 }; /* pixels between panels */

/* Notes which values are drawn as black and white, or at the bottom and the top. */
static inline void pv_picture_shown(const pv_signal_about *about, double low, double high,
                                    pv_picture_note *note)
{
    note->low = about->low + low * (about->high - about->low);
    note->high = about->low + high * (about->high - about->low);
}

/* Each draws one, as pv_picture_draw does. */
pv_status pv_picture_grid(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note);
pv_status pv_picture_wave(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note);
pv_status pv_picture_shape(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note);

#endif
