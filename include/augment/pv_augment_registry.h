/* The augmentations of the program: a word for each, in the order in which they are listed. */
#ifndef PV_AUGMENT_REGISTRY_H
#define PV_AUGMENT_REGISTRY_H

#include "config/pv_plugin.h"

#define PV_AUGMENTATIONS(X)                                                                                  \
    X(translate)                                                                                             \
    X(translate_deep)                                                                                        \
    X(rotate)                                                                                                \
    X(scale)                                                                                                 \
    X(noise)                                                                                                 \
    X(dropout)                                                                                               \
    X(quantile_dropout)                                                                                      \
    X(negation)                                                                                              \
    X(phase)                                                                                                 \
    X(rescale)                                                                                               \
    X(label_smoothing)                                                                                       \
    X(permute)                                                                                               \
    X(mixup)                                                                                                 \
    X(mixup_perm)                                                                                            \
    X(mixup_aligned)                                                                                         \
    X(self_aligned)                                                                                          \
    X(combine)                                                                                               \
    X(weights_only)

extern const pv_registry pv_augmentations;

#endif
