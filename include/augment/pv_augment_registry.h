/* The registry of augmentations.  A new one is a line here and a function augment_<name> (src/augment/pv_augment_kinds.h says
 * of what type) in a file of its own: the names of configs, the checks and the table of functions are made from the lines.
 *
 * X(ID, name, usual, low, high, inputs, what): the name in configs; the published amount and the range of amounts, NONE for
 * one that takes none; the coordinates that the INR needs at least; what it takes part in. */
#ifndef PV_AUGMENT_REGISTRY_H
#define PV_AUGMENT_REGISTRY_H

/* What an augmentation does besides changing a row. */
enum {
    PV_AUGMENT_ALONE = 0,
    PV_AUGMENT_MIXES = 1,  /* mixes a sample with another one: needs a partner */
    PV_AUGMENT_MATCHES = 2 /* matches weights: needs a matcher */
};

#define PV_AUGMENT_NO_AMOUNT (-1.0)

/* clang-format off */
#define PV_AUGMENTS(X) \
    X(TRANSLATE,        translate,        0.25, 0, 1000, 1, PV_AUGMENT_ALONE) /* x -> x + t, exact */ \
    X(TRANSLATE_DEEP,   translate_deep,   0.25, 0, 1000, 1, PV_AUGMENT_ALONE) /* the reference's: a random layer's bias */ \
    X(ROTATE,           rotate,           30,   0, 360,  2, PV_AUGMENT_ALONE) /* in the plane of the first two coordinates */ \
    X(SCALE,            scale,            0.2,  0, 0.99, 1, PV_AUGMENT_ALONE) /* x -> s x */ \
    X(NOISE,            noise,            0.32, 0, 1000, 1, PV_AUGMENT_ALONE) /* Gaussian, in each tensor's deviations */ \
    X(DROPOUT,          dropout,          0.1,  0, 0.99, 1, PV_AUGMENT_ALONE) /* kept weights are divided by 1 - rate */ \
    X(QUANTILE_DROPOUT, quantile_dropout, 0.1,  0, 1,    1, PV_AUGMENT_ALONE) /* the smallest weights become 0 */ \
    X(NEGATION,         negation,         0.5,  0, 1,    1, PV_AUGMENT_ALONE) /* SIREN signs */ \
    X(PHASE,            phase,            4,    1, 1000, 1, PV_AUGMENT_ALONE) /* SIREN phases */ \
    X(LABEL_SMOOTHING,  label_smoothing,  0.1,  0, 1,    1, PV_AUGMENT_ALONE) \
    X(PERMUTE,          permute,          PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_ALONE) \
    X(MIXUP,            mixup,            PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_MIXES) \
    X(MIXUP_PERM,       mixup_perm,       PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_MIXES) /* the sample permuted first */ \
    X(MIXUP_ALIGNED,    mixup_aligned,    PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_MIXES | PV_AUGMENT_MATCHES) \
    X(SELF_ALIGNED,     self_aligned,     PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_MATCHES) /* with its augmented copy */ \
    X(COMBINE,          combine,          PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_MIXES | PV_AUGMENT_MATCHES) \
    X(WEIGHTS_ONLY,     weights_only,     PV_AUGMENT_NO_AMOUNT, 0, 0, 1, PV_AUGMENT_MIXES) /* label of the larger share */
/* clang-format on */

#endif
