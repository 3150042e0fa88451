/* How good a fit of a shape is, by samples of it that the fit did not see. */
#ifndef PV_HELDOUT_H
#define PV_HELDOUT_H

#include "inr/pv_arch.h"
#include "signal/pv_signal.h"

/* The samples of the objects that are fitted side by side; of a signal without such samples, none.
 * One owner, freed by pv_heldout_free. */
typedef struct pv_heldout {
    int count;     /* samples of an object */
    float *coords; /* [slots][count][inputs] */
    float *values; /* [slots][count][channels], of which the first says what is inside */
    float *fitted; /* [count][channels] */
    int inputs, channels;
} pv_heldout;

typedef struct pv_judgement {
    float iou; /* of the insides, over points uniform in a box around the shape; NaN if there is no inside */
    float surface_error; /* mean |error| near the surface: of a distance, in units of the unit ball */
} pv_judgement;

/* Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_heldout_make(const pv_signal *signal, int slots, pv_heldout *heldout);
void pv_heldout_free(pv_heldout *heldout);

/* Takes the samples of an object into a slot.  Local.  Errors: as pv_signal_heldout. */
pv_status pv_heldout_take(const pv_signal *signal, int64_t object, int slot, pv_heldout *heldout);

/* Judges the INR of a slot's object.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_heldout_judge(const pv_heldout *heldout, int slot, const pv_arch *arch, const float *row,
                           pv_judgement *judgement);

#endif
