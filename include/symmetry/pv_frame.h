/* The frame of a row: the symmetry that brings it closest to a reference which many rows share, in a few
 * words that are kept with the row.  Two rows are brought together through the reference, without matching
 * them.
 *
 * The words lie behind the row among floats, and are the bits of integers: nothing is to be computed with
 * them. */
#ifndef PV_FRAME_H
#define PV_FRAME_H

#include "symmetry/pv_match.h"

/* What rows are matched to, and how. */
typedef struct pv_frames {
    pv_match_opts match;
    const float *reference; /* [P] */
} pv_frames;

/* Words of a frame. */
int pv_frame_words(const pv_arch *arch);

/* Shapes: words [pv_frame_words]; symmetries made by pv_symmetry_make. */
void pv_frame_pack(const pv_arch *arch, const pv_symmetry *symmetry, float *words);
void pv_frame_unpack(const pv_arch *arch, const float *words, pv_symmetry *symmetry);

#endif
