/* What models read of an INR: its row as it is, or the row as phasors, which do not know by how many turns a
 * bias was moved:
 *     a hidden W becomes w0 W,  a hidden b the pair (cos w0 b, sin w0 b);  the last layer stays.
 * A bias that moves by 2 pi / w0 leaves the pair as it was; one that moves by pi / w0 turns the pair's sign,
 * as it does that of the unit's outgoing weights.  A unit's sign turns that of its weights and of its sine.
 * (w0 b stands for pi b / pv_symmetry_period, so that any activation with an antiperiod has phasors.) */
#ifndef PV_READING_H
#define PV_READING_H

#include "inr/pv_arch.h"

typedef enum pv_reading { PV_READING_RAW, PV_READING_PHASOR } pv_reading;

/* The words of a reading, by number; NULL behind the last. */
extern const char *const pv_readings[];

/* Local.  Errors: PV_ERR_CONFIG naming model.features (the activation has no phases). */
pv_status pv_reading_check(const pv_arch *arch, pv_reading reading);

/* Numbers of a bias of layer `layer`: 1, or of a phasor 2. */
int pv_reading_bias(const pv_arch *arch, pv_reading reading, int layer);
/* Numbers of all: P, or P + the hidden units. */
int pv_reading_count(const pv_arch *arch, pv_reading reading);
/* As pv_arch_layout, of what is read: a bias is d_l x pv_reading_bias. */
int pv_reading_layout(const pv_arch *arch, pv_reading reading, pv_arch_tensor *tensors);

/* Shapes   row [P], out [pv_reading_count]; out may be row, with room for it */
void pv_reading_make(const pv_arch *arch, pv_reading reading, const float *row, float *out);

#endif
