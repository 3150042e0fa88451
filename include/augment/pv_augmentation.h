/* What an augmentation is: a const pv_augmentation called pv_augmentation_NAME, in a file of its own or
 * beside its kin, and a word in PV_AUGMENTATIONS. */
#ifndef PV_AUGMENTATION_H
#define PV_AUGMENTATION_H

#include "augment/pv_augment_opts.h"
#include "augment/pv_augment_registry.h"
#include "base/pv_rng.h"
#include "config/pv_plugin.h"
#include "symmetry/pv_frame.h"
#include "symmetry/pv_symmetry.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct pv_augmentation pv_augmentation;

typedef struct pv_augment_sample {
    const float *row; /* [P] */
    int32_t label;
    const float *frame; /* of the row; NULL where no item mixes by it */
} pv_augment_sample;

/* One item of a pipeline: its options, and the workspace of one thread. */
typedef struct pv_augment_item {
    const pv_augmentation *kind;
    const void *options; /* the kind's own */
    const pv_arch *arch;
    int params, classes;
    pv_symmetry symmetry;  /* to draw into */
    pv_symmetry spare[2];  /* to compose with */
    float *scratch, *copy; /* [P] */
    pv_matcher *matcher;   /* NULL unless the kind matches */
    struct pv_augment_item
        *uses; /* those of kind->uses, with their default options and a workspace of their own */
    int uses_count;
} pv_augment_item;

/* What an item is applied to: it draws from `rng` and changes row and target in place. */
typedef struct pv_augment_subject {
    pv_rng *rng;
    const pv_augment_sample *partner; /* of kinds that mix; NULL for the others */
    const float *frame;               /* of the sample as it was; NULL where no item mixes by it */
    pv_symmetry *moved;               /* what its units have gone through since; NULL likewise */
    float *row;                       /* [P] */
    float *target;                    /* [classes], sums to 1 */
} pv_augment_subject;

struct pv_augmentation {
    pv_plugin plugin;
    void (*apply)(pv_augment_item *item, pv_augment_subject *it);
    bool mixes;   /* mixes a sample with another one: its options begin with a pv_mixup_opts */
    size_t match; /* where its options have a pv_match_opts, by which it matches weights; 0: nowhere */
    size_t by;    /* where its options have a pv_match_by; 0: nowhere, it matches pairs */
    int (*inputs)(const void *options); /* coordinates that the INR needs at least, with its options or, for
                                           NULL, their defaults; NULL: any number will do */
    bool geometry; /* changes what the first layer makes of coordinates, which an encoding keeps it from */
    unsigned symmetries;                /* of the units, that the INR needs: PV_SYMMETRY_... */
    const pv_augmentation *const *uses; /* others that it applies; NULL ends them */
    bool uses_one; /* it chooses: those that do not suit the INR are left out, instead of being refused */
};

/* For kinds that have a strength. */
typedef struct pv_amount_opts {
    double amount;
} pv_amount_opts;

/* clang-format off */
/* The row of the strength, which the options of a kind begin with; the range ends it.  A negative amount, as
 * older files write it, is the default. */
#define PV_AMOUNT_ROW(default_value, means, ...)                                                             \
    {PV_KEY(pv_amount_opts, amount), .initial = (default_value), .negative_is_initial = true,                \
     .fixes = PV_FIXES_MODEL, .meaning = (means), __VA_ARGS__}
/* clang-format on */

/* The plug-in of a kind that has no other option. */
#define PV_AMOUNT_PLUGIN(its_name, about, default_value, means, ...)                                         \
    .plugin = {.name = (its_name),                                                                           \
               .help = (about),                                                                              \
               .options = (const pv_option[]){PV_AMOUNT_ROW(default_value, means, __VA_ARGS__), {0}},        \
               .options_size = sizeof(pv_amount_opts)}

static inline double pv_augment_amount(const pv_augment_item *item)
{
    return ((const pv_amount_opts *)item->options)->amount;
}

/* The members of a plug-in whose options are the struct `owner`. */
#define PV_AUGMENT_OPTIONS(rows, owner) .options = (rows), .options_size = sizeof(owner)

/* Applies a used item to `row`: one that touches neither partner nor target.  `moved` as in a subject. */
static inline void pv_augment_use(pv_augment_item *item, pv_rng *rng, float *row, pv_symmetry *moved)
{
    pv_augment_subject it = {.rng = rng, .row = row, .moved = moved};
    item->kind->apply(item, &it);
}

/* The options that MixUps share, and those of matching: each augmentation lists the rows among its own. */
typedef struct pv_lambda_opts {
    pv_lambda_kind lambda;
    double beta; /* a of Beta(a, a) */
} pv_lambda_opts;

/* A MixUp's options begin with these. */
typedef struct pv_mixup_opts {
    pv_partner partner; /* not NONE */
    pv_partner_views views;
    pv_lambda_opts share;
} pv_mixup_opts;

extern const char *const pv_lambda_names[], *const pv_partner_names[], *const pv_partner_views_names[];

/* clang-format off */
/* NOLINTBEGIN(bugprone-macro-parentheses): arguments are members */
/* The rows of a member `share` that is a pv_lambda_opts, */
#define PV_LAMBDA_ROWS(owner, share)                                                                         \
    {.name = "lambda", PV_MEMBER(owner, share.lambda), .choices = pv_lambda_names, .initial = "uniform",     \
     .fixes = PV_FIXES_MODEL,                                                                                \
     .meaning = "how the share of the sample is drawn, from U(0, 1) or Beta(beta, beta)"},                   \
    {.name = "beta", PV_MEMBER(owner, share.beta), .initial = "1.0", PV_ABOVE(0), .fixes = PV_FIXES_MODEL,   \
     .meaning = "parameter of the Beta distribution"}
/* of the members of a pv_mixup_opts, */
#define PV_MIXUP_ROWS(owner, partner, views, share)                                                          \
    PV_LAMBDA_ROWS(owner, share),                                                                            \
    {.name = "partner", PV_MEMBER(owner, partner), .choices = pv_partner_names, .initial = "any",            \
     .fixes = PV_FIXES_MODEL,                                                                                \
     .meaning = "any other sample, a view of another object, or another view of the same object"},           \
    {.name = "partner_views", PV_MEMBER(owner, views), .choices = pv_partner_views_names,                    \
     .initial = "train", .fixes = PV_FIXES_MODEL,                                                            \
     .meaning = "views that partners are of; train: the train.views first, which are trained on; all: "      \
                "every view in the store, as the published code draws them"}
/* and of `match` that is a pv_match_opts. */
#define PV_MATCH_ROWS(owner, match)                                                                          \
    {.name = "signs", PV_MEMBER(owner, match.signs), .initial = "false", .fixes = PV_FIXES_MODEL,            \
     .meaning = "match signs of units too, not only their order"},                                           \
    {.name = "phases", PV_MEMBER(owner, match.phases), .initial = "false", .fixes = PV_FIXES_MODEL,          \
     .meaning = "match phases of units too: of even and odd ones what is closest, with either sign if "      \
                "signs is true"},                                                                            \
    {.name = "sweeps", PV_MEMBER(owner, match.max_sweeps), .initial = "16", PV_BETWEEN(1, 1000),             \
     .fixes = PV_FIXES_MODEL, .meaning = "visits of all layers, at most"},                                   \
    {.name = "starts", PV_MEMBER(owner, match.starts), .initial = "1", PV_BETWEEN(0, 1000),                  \
     .fixes = PV_FIXES_MODEL,                                                                                \
     .meaning = "descents, of which the best is taken; 0: enough to do as well as the published algorithm"}
/* NOLINTEND(bugprone-macro-parentheses) */
/* clang-format on */

#define PV_AUGMENTATION_EXTERN(name) extern const pv_augmentation pv_augmentation_##name;
PV_AUGMENTATIONS(PV_AUGMENTATION_EXTERN)
#undef PV_AUGMENTATION_EXTERN

#endif
