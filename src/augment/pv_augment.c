#include "augment/pv_augment.h"
#include "base/pv_mem.h"
#include "pv_augment_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct augment_kind {
    const char *name;
    double usual, low, high; /* amount */
    int inputs, what;
    augment_apply apply;
} augment_kind;

#define AUGMENT_KIND(id, name, usual, low, high, inputs, what)                                               \
    [PV_AUGMENT_##id] = {#name, usual, low, high, inputs, what, augment_##name},
static const augment_kind kinds[PV_AUGMENT_KINDS] = {PV_AUGMENTS(AUGMENT_KIND)};

struct pv_augmenter {
    pv_arch arch;
    int classes, params, count;
    augment_item *items;
};

const char *pv_augment_name(pv_augment_kind kind)
{
    return kinds[kind].name;
}

bool pv_augment_mixes(pv_augment_kind kind)
{
    return (kinds[kind].what & PV_AUGMENT_MIXES) != 0;
}

void augment_apply_usual(augment_item *item, pv_augment_kind kind, pv_rng *rng, float *row)
{
    const double amount = item->amount;
    augment_subject it = {.rng = rng, .row = row};
    item->amount = kinds[kind].usual;
    kinds[kind].apply(item, &it);
    item->amount = amount;
}

static pv_status check_amount(const augment_kind *kind, unsigned i, double amount)
{
    if (amount < 0) return PV_OK;
    if (kind->usual == PV_AUGMENT_NO_AMOUNT)
        return pv_fail(PV_ERR_CONFIG, "augment[%u]: %s takes no amount", i, kind->name);
    if (amount < kind->low || amount > kind->high)
        return pv_fail(PV_ERR_CONFIG, "augment[%u]: the amount of %s is %g to %g, not %g", i, kind->name,
                       kind->low, kind->high, amount);
    if (kind == &kinds[PV_AUGMENT_PHASE] && amount != floor(amount))
        return pv_fail(PV_ERR_CONFIG, "augment[%u]: the amount of phase is a whole number, not %g", i,
                       amount);
    return PV_OK;
}

static pv_status check_list(const pv_augment_list *list, const pv_arch *arch)
{
    const char *mixup = NULL;
    for (unsigned i = 0; i < list->count; i++) {
        const pv_augment_opts *opts = &list->items[i];
        const augment_kind *kind = &kinds[opts->kind];
        const pv_status st = check_amount(kind, i, opts->amount);
        if (st != PV_OK) return st;
        if (pv_augment_mixes(opts->kind) && mixup)
            return pv_fail(PV_ERR_CONFIG, "augment[%u]: %s is a second MixUp, after %s: a list takes one", i,
                           kind->name, mixup);
        if (pv_augment_mixes(opts->kind)) mixup = kind->name;
        if (arch->dims[0] < kind->inputs)
            return pv_fail(PV_ERR_CONFIG, "augment[%u]: %s needs INRs of %d coordinates, these have %d", i,
                           kind->name, kind->inputs, arch->dims[0]);
    }
    return PV_OK;
}

static pv_status make_item(pv_augmenter *a, const pv_augment_opts *opts, augment_item *item)
{
    const augment_kind *kind = &kinds[opts->kind];
    const pv_match_opts match = {opts->signs, opts->sweeps, opts->starts};
    pv_status st;
    *item = (augment_item){.arch = &a->arch,
                           .params = a->params,
                           .classes = a->classes,
                           .opts = *opts,
                           .amount = opts->amount < 0 ? kind->usual : opts->amount};
    PV_ALLOC(item->scratch, a->params);
    PV_ALLOC(item->copy, a->params);
    PV_TRY(pv_symmetry_make(&a->arch, &item->symmetry));
    if (kind->what & PV_AUGMENT_MATCHES) PV_TRY(pv_matcher_new(&a->arch, &match, &item->matcher));
done:
    return st;
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
    PV_TRY(check_list(list, arch));
    PV_ALLOC(a->items, list->count);
    for (a->count = 0; a->count < (int)list->count; a->count++) {
        st = make_item(a, &list->items[a->count], &a->items[a->count]);
        if (st == PV_OK) continue;
        a->count++;
        goto done;
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
    for (int i = 0; i < a->count; i++) {
        pv_symmetry_free(&a->items[i].symmetry);
        pv_matcher_free(a->items[i].matcher);
        free(a->items[i].scratch);
        free(a->items[i].copy);
    }
    free(a->items);
    free(a);
}

/* The stream of an item at a place; its first draw says whether the item is applied. */
static bool is_applied(const pv_augmenter *a, pv_augment_key key, int item, pv_rng *rng)
{
    enum { EPOCH_BITS = 32 };
    *rng = pv_rng_open(key.seed, PV_RNG_AUGMENT, (uint64_t)key.place,
                       (uint64_t)key.epoch + ((uint64_t)item << EPOCH_BITS));
    return pv_rng_uniform(rng) < a->items[item].opts.p;
}

pv_partner pv_augmenter_partner(const pv_augmenter *a, pv_augment_key key)
{
    pv_rng rng;
    for (int i = 0; i < a->count; i++)
        if (pv_augment_mixes(a->items[i].opts.kind))
            return is_applied(a, key, i, &rng) ? a->items[i].opts.partner : PV_PARTNER_NONE;
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
    for (int c = 0; c < a->classes; c++)
        target[c] = c == sample.label ? 1.0F : 0.0F;
    for (int i = 0; i < a->count; i++) {
        augment_item *const item = &a->items[i];
        const augment_kind *kind = &kinds[item->opts.kind];
        pv_rng rng;
        augment_subject it = {&rng, partner, row, target};
        if (!is_applied(a, key, i, &rng)) continue;
        kind->apply(item, &it);
        if (!is_finite(row, a->params))
            return pv_fail(PV_ERR_NUMERIC,
                           "augment[%d] (%s) gave weights that are not finite: lower its amount", i,
                           kind->name);
    }
    return PV_OK;
}
