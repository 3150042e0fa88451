/* The registry of augmentations, and their pipeline: made of a list, checked against the INRs, applied item
 * by item. */
#include "augment/pv_augment.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(name) &pv_augmentation_##name.plugin,
const pv_registry pv_augmentations = {"augmentation",
                                      (const pv_plugin *const[]){PV_AUGMENTATIONS(ENTRY) NULL}};

const char *const pv_lambda_names[] = {[PV_LAMBDA_UNIFORM] = "uniform", [PV_LAMBDA_BETA] = "beta", NULL};
const char *const pv_partner_names[] = {
    [PV_PARTNER_ANY] = "any", [PV_PARTNER_OBJECT] = "object", [PV_PARTNER_VIEW] = "view", NULL};
const char *const pv_partner_views_names[] = {
    [PV_PARTNER_VIEWS_TRAIN] = "train", [PV_PARTNER_VIEWS_ALL] = "all", NULL};

const pv_option pv_augment_options[] = {
    {PV_KEY(pv_augment_opts, kind), .registry = &pv_augmentations, .required = true, .fixes = PV_FIXES_MODEL,
     .meaning = "which augmentation"},
    {PV_KEY(pv_augment_opts, p), .initial = "1.0", PV_BETWEEN(0, 1), .fixes = PV_FIXES_MODEL,
     .meaning = "probability that it is applied to a sample"},
    {0}};

pv_partner pv_augment_partner(const pv_augment_opts *item)
{
    const pv_augmentation *kind = (const pv_augmentation *)item->kind.plugin;
    const pv_mixup_opts *mixup = item->kind.options;
    return kind->mixes ? mixup->partner : PV_PARTNER_NONE;
}

pv_partner_views pv_augment_partner_views(const pv_augment_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        const pv_mixup_opts *mixup = list->items[i].kind.options;
        if (pv_augment_partner(&list->items[i]) != PV_PARTNER_NONE) return mixup->views;
    }
    return PV_PARTNER_VIEWS_TRAIN;
}

/* A member of an item's options; NULL: its kind has none there. */
static const void *member_at(const pv_augment_opts *item, size_t at)
{
    return at ? (const char *)item->kind.options + at : NULL;
}

const pv_match_opts *pv_augment_frames(const pv_augment_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        const pv_augmentation *kind = (const pv_augmentation *)list->items[i].kind.plugin;
        const pv_match_by *by = member_at(&list->items[i], kind->by);
        if (by && *by == PV_MATCH_REFERENCE) return member_at(&list->items[i], kind->match);
    }
    return NULL;
}

struct pv_augmenter {
    pv_arch arch;
    int classes, params, count;
    bool follows; /* what happens to a sample's units, for frames */
    pv_symmetry moved;
    const pv_augment_opts *opts;
    pv_augment_item *items; /* one for each of opts */
};

static void free_item(pv_augment_item *item)
{
    for (int i = 0; i < item->uses_count; i++) {
        pv_options_free(item->uses[i].kind->plugin.options, (void *)item->uses[i].options);
        free((void *)item->uses[i].options);
        free_item(&item->uses[i]);
    }
    free(item->uses);
    pv_symmetry_free(&item->symmetry);
    pv_symmetry_free(&item->spare[0]);
    pv_symmetry_free(&item->spare[1]);
    pv_matcher_free(item->matcher);
    free(item->scratch);
    free(item->copy);
    *item = (pv_augment_item){0};
}

/* What the INRs lack that a kind needs; NULL: it suits them. */
static const char *lacking(const pv_augmentation *kind, const void *options, const pv_arch *arch)
{
    const pv_match_opts *match =
        kind->match && options ? (const void *)((const char *)options + kind->match) : NULL;
    const unsigned needs = kind->symmetries | (match && match->signs ? PV_SYMMETRY_SIGNS : 0) |
                           (match && match->phases ? PV_SYMMETRY_PHASES : 0);
    const unsigned lacks = needs & ~pv_symmetry_kinds(arch);
    if (kind->inputs && pv_arch_inputs(arch) < kind->inputs(options)) return "INRs of more coordinates";
    if (kind->geometry && arch->fourier.count > 0) return "INRs of coordinates, without an inr.encoding";
    if (lacks & PV_SYMMETRY_SIGNS) return "an odd or even activation, whose units may change their sign";
    if (lacks & PV_SYMMETRY_SCALES) return "an activation with scales, as relu has";
    return lacks ? "a periodic activation, whose units have phases" : NULL;
}

static pv_status make_item(const pv_arch *arch, int classes, const pv_augmentation *kind, const void *options,
                           pv_augment_item *item);

/* The items that an item applies itself, with their defaults. */
static pv_status make_used(pv_augment_item *item)
{
    const pv_augmentation *const *kinds = item->kind->uses;
    int count = 0;
    pv_status st = PV_OK;
    while (kinds && kinds[count])
        count++;
    PV_ALLOC(item->uses, count);
    for (int i = 0; i < count; i++) {
        const pv_plugin *plugin = &kinds[i]->plugin;
        if (item->kind->uses_one && lacking(kinds[i], NULL, item->arch)) continue;
        void *options = plugin->options_size ? pv_alloc(1, plugin->options_size) : NULL;
        if (plugin->options_size && !options) return PV_ERR_NOMEM;
        pv_augment_item *const used = &item->uses[item->uses_count++];
        used->kind = kinds[i];
        used->options = options;
        PV_TRY(pv_options_defaults(plugin->options, options));
        PV_TRY(make_item(item->arch, item->classes, kinds[i], options, used));
    }
done:
    return st;
}

static pv_status make_item(const pv_arch *arch, int classes, const pv_augmentation *kind, const void *options,
                           pv_augment_item *item)
{
    const char *lack = lacking(kind, options, arch);
    pv_status st;
    *item = (pv_augment_item){
        .kind = kind, .options = options, .arch = arch, .params = pv_arch_params(arch), .classes = classes};
    if (lack) return pv_fail(PV_ERR_CONFIG, "augment: %s needs %s", kind->plugin.name, lack);
    PV_ALLOC(item->scratch, item->params);
    PV_ALLOC(item->copy, item->params);
    PV_TRY(pv_symmetry_make(arch, &item->symmetry));
    PV_TRY(pv_symmetry_make(arch, &item->spare[0]));
    PV_TRY(pv_symmetry_make(arch, &item->spare[1]));
    if (kind->match)
        PV_TRY(pv_matcher_new(arch, (const void *)((const char *)options + kind->match), &item->matcher));
    PV_TRY(make_used(item));
done:
    return st;
}

static pv_status check_mixups(const pv_augment_list *list)
{
    const char *mixup = NULL;
    for (unsigned i = 0; i < list->count; i++) {
        const char *name = list->items[i].kind.plugin->name;
        if (pv_augment_partner(&list->items[i]) == PV_PARTNER_NONE) continue;
        if (mixup)
            return pv_fail(PV_ERR_CONFIG, "augment[%u]: %s is a second MixUp, after %s: a list takes one", i,
                           name, mixup);
        mixup = name;
    }
    return PV_OK;
}

pv_status pv_augmenter_new(const pv_augment_list *list, const pv_arch *arch, int classes, pv_augmenter **out)
{
    pv_status st;
    *out = NULL;
    pv_augmenter *a = pv_alloc(1, sizeof *a);
    if (!a) return PV_ERR_NOMEM;
    a->arch = *arch;
    a->classes = classes;
    a->params = pv_arch_params(arch);
    a->opts = list->items;
    a->follows = pv_augment_frames(list) != NULL;
    PV_TRY(check_mixups(list));
    PV_TRY(pv_symmetry_make(arch, &a->moved));
    PV_ALLOC(a->items, list->count);
    while (a->count < (int)list->count) {
        const pv_pick *kind = &list->items[a->count].kind;
        PV_TRY(make_item(&a->arch, classes, (const pv_augmentation *)kind->plugin, kind->options,
                         &a->items[a->count++]));
    }
    *out = a;
    return PV_OK;
done:
    pv_augmenter_free(a);
    return st;
}

void pv_augmenter_free(pv_augmenter *a)
{
    if (!a) return;
    for (int i = 0; i < a->count; i++)
        free_item(&a->items[i]);
    pv_symmetry_free(&a->moved);
    free(a->items);
    free(a);
}

/* The stream of an item at a place; its first draw says whether the item is applied. */
static bool is_applied(const pv_augmenter *a, pv_augment_key key, int item, pv_rng *rng)
{
    enum { EPOCH_BITS = 32 };
    *rng = pv_rng_open(key.seed, PV_RNG_AUGMENT, (uint64_t)key.place,
                       (uint64_t)key.epoch + ((uint64_t)item << EPOCH_BITS));
    return pv_rng_uniform(rng) < a->opts[item].p;
}

pv_partner pv_augmenter_partner(const pv_augmenter *a, pv_augment_key key)
{
    pv_rng rng;
    for (int i = 0; i < a->count; i++)
        if (a->items[i].kind->mixes)
            return is_applied(a, key, i, &rng) ? pv_augment_partner(&a->opts[i]) : PV_PARTNER_NONE;
    return PV_PARTNER_NONE;
}

static bool is_finite(const float *row, int params)
{
    for (int p = 0; p < params; p++)
        if (!isfinite(row[p])) return false;
    return true;
}

pv_status pv_augmenter_apply(pv_augmenter *a, pv_augment_key key, pv_augment_sample sample,
                             const pv_augment_sample *partner, float *row, float *target)
{
    memcpy(row, sample.row, sizeof *row * (size_t)a->params);
    if (a->follows) pv_symmetry_identity(&a->arch, &a->moved);
    for (int c = 0; c < a->classes; c++)
        target[c] = c == sample.label ? 1.0F : 0.0F;
    for (int i = 0; i < a->count; i++) {
        pv_augment_item *const item = &a->items[i];
        pv_rng rng;
        pv_augment_subject it = {&rng, partner, sample.frame, a->follows ? &a->moved : NULL, row, target};
        if (!is_applied(a, key, i, &rng)) continue;
        item->kind->apply(item, &it);
        if (!is_finite(row, a->params))
            return pv_fail(PV_ERR_NUMERIC,
                           "augment[%d] (%s) gave weights that are not finite: lower its amount", i,
                           item->kind->plugin.name);
    }
    return PV_OK;
}
