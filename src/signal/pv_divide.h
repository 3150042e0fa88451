/* Dividing the objects of one tree of files into train, val and test where the files do not say. */
#ifndef PV_DIVIDE_H
#define PV_DIVIDE_H

#include "signal/pv_source.h"

/* Puts objects apart for test and val by a draw of each that depends on its id (a hash of its name) alone: of
 * two shares of a set, or of two sets, the smaller is a part of the larger, and files that are added move no
 * other file to another split where test and val are shares.  Numbers take the objects of the lowest draws;
 * what a share took once is what that number takes.
 * Shapes   ids, split [n]: PV_SPLIT_...; test, val as in pv_signal_opts, or 0 where files say that split
 * Random   PV_RNG_SIGNAL, (id, 1)
 * Local.   Errors: PV_ERR_CONFIG (more than there are, PV_ALL; the keys are named), PV_ERR_NOMEM. */
pv_status pv_divide(uint64_t seed, int64_t n, const uint64_t *ids, double test, double val, uint8_t *split);

#endif
