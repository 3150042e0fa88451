/* Which objects of a source's pools are in which split, and how they are numbered. */
#include "pv_splits.h"

#include <math.h>

static const char *const split_key[PV_SPLITS] = {"train", "val", "test"};

static pv_status check_range(const pv_source *source, const pv_source_form *form, const pv_splits *splits,
                             int split)
{
    const int64_t first = splits->first[split], count = splits->count[split];
    const int pool = pv_source_pool(form, split);
    const int64_t available = form->pool[pool];
    const char *key = split_key[split];
    if (count > available)
        return pv_fail(PV_ERR_CONFIG, "signal.%s is %lld, but %s has %lld objects", key, (long long)count,
                       source->pools[pool], (long long)available);
    if (first < 0 || first > available - count)
        return pv_fail(PV_ERR_CONFIG, "signal.%s_first is %lld, expected 0 to %lld for %lld of %lld objects",
                       key, (long long)first, (long long)(available - count), (long long)count,
                       (long long)available);
    return PV_OK;
}

static double wish_of(const pv_signal_opts *opts, int split)
{
    return split == PV_SPLIT_TRAIN ? opts->train : split == PV_SPLIT_VAL ? opts->val : opts->test;
}

/* Where the objects end that `all` of the split's pool means: train objects leave val its own. */
static int64_t end_of_all(const pv_source_form *form, const pv_splits *splits, int split)
{
    const int64_t first = splits->first[split], val = splits->first[PV_SPLIT_VAL];
    const int pool = pv_source_pool(form, split);
    const bool lends = split == PV_SPLIT_TRAIN && pv_source_pool(form, PV_SPLIT_VAL) == pool;
    return lends && splits->count[PV_SPLIT_VAL] > 0 && val >= first ? val : form->pool[pool];
}

/* How many objects of its pool a split has; `first` is known but for val's -1. */
static pv_status count_split(const pv_source *source, const pv_signal_opts *opts, const pv_source_form *form,
                             pv_splits *splits, int split)
{
    const double wish = wish_of(opts, split), amount = wish == PV_USUAL ? source->usual[split] : wish;
    const int pool = pv_source_pool(form, split);
    const bool share = amount > 0 && amount < 1;
    const bool all =
        amount == PV_ALL || (share && (form->apart >> split & 1)) || (share && wish == PV_USUAL && pool > 0);
    const int64_t first = splits->first[split] > 0 ? splits->first[split] : 0;
    int64_t count;
    if (!(all || share || (amount >= 0 && amount <= 0x1p53 && amount == floor(amount))))
        return pv_fail(PV_ERR_CONFIG, "signal.%s is %g, expected a whole number, a share below 1, or all",
                       split_key[split], amount);
    if (all && split == PV_SPLIT_VAL && pool == 0)
        return pv_fail(PV_ERR_CONFIG, "signal.val is all, but it is taken from %s: say how many",
                       source->pools[0]);
    if (all)
        count = end_of_all(form, splits, split) - first;
    else
        count = (int64_t)(share ? round(amount * (double)form->pool[pool]) : amount);
    if (count < 0) count = 0; /* of all; check_range says that the first is too far */
    splits->count[split] = opts->most > 0 && count > opts->most ? opts->most : count;
    return PV_OK;
}

/* Nothing to train on is no mistake only where the config says so. */
static pv_status check_train(const pv_signal_opts *opts, const pv_source_form *form, const pv_splits *splits)
{
    const int64_t *count = splits->count;
    if (opts->train == 0 || count[PV_SPLIT_TRAIN] > 0) return PV_OK;
    return pv_fail(
        PV_ERR_CONFIG,
        "the train split has no object: signal.val takes %lld and signal.test %lld of the %lld that "
        "there are; lower them or raise signal.train, or say signal.train: 0 if none is wanted",
        (long long)count[PV_SPLIT_VAL], (long long)count[PV_SPLIT_TEST],
        (long long)(form->pool[0] + form->pool[1] + form->pool[2]));
}

pv_status pv_splits_plan(const pv_source *source, const pv_signal_opts *opts, const pv_source_form *form,
                         pv_splits *splits)
{
    static const int order[PV_SPLITS] = {PV_SPLIT_TEST, PV_SPLIT_VAL, PV_SPLIT_TRAIN};
    int64_t *first = splits->first, *count = splits->count;
    pv_status st;
    *splits = (pv_splits){{opts->train_first, opts->val_first, opts->test_first}, {0}};
    for (int i = 0; i < PV_SPLITS; i++) {
        const int split = order[i], pool = pv_source_pool(form, split);
        PV_TRY(count_split(source, opts, form, splits, split));
        if (split == PV_SPLIT_VAL && first[split] == -1)
            first[split] = pool == 0 && form->pool[0] > count[split] ? form->pool[0] - count[split] : 0;
        PV_TRY(check_range(source, form, splits, split));
    }
    const int64_t train_end = first[PV_SPLIT_TRAIN] + count[PV_SPLIT_TRAIN];
    const int64_t val_end = first[PV_SPLIT_VAL] + count[PV_SPLIT_VAL];
    if (pv_source_pool(form, PV_SPLIT_VAL) == 0 && count[PV_SPLIT_TRAIN] > 0 && count[PV_SPLIT_VAL] > 0 &&
        first[PV_SPLIT_TRAIN] < val_end && first[PV_SPLIT_VAL] < train_end)
        return pv_fail(PV_ERR_CONFIG,
                       "signal.train and signal.val overlap: objects %lld to %lld and %lld to %lld of %s",
                       (long long)first[PV_SPLIT_TRAIN], (long long)train_end - 1,
                       (long long)first[PV_SPLIT_VAL], (long long)val_end - 1, source->pools[0]);
    PV_TRY(check_train(opts, form, splits));
    if (pv_splits_objects(splits) == 0)
        return pv_fail(PV_ERR_CONFIG, "signal.train, signal.val and signal.test are all 0");
done:
    return st;
}

pv_signal_opts pv_splits_wishes(const pv_source *source, const pv_signal_opts *opts)
{
    pv_signal_opts wishes = *opts;
    double *const amounts[PV_SPLITS] = {&wishes.train, &wishes.val, &wishes.test};
    for (int split = 0; split < PV_SPLITS; split++)
        if (*amounts[split] == PV_USUAL) *amounts[split] = source->usual[split];
    return wishes;
}

int64_t pv_splits_objects(const pv_splits *splits)
{
    int64_t objects = 0;
    for (int split = 0; split < PV_SPLITS; split++)
        objects += splits->count[split];
    return objects;
}

int pv_splits_of(const pv_splits *splits, int64_t object)
{
    const int64_t train = splits->count[PV_SPLIT_TRAIN], val = splits->count[PV_SPLIT_VAL];
    return object < train ? PV_SPLIT_TRAIN : object < train + val ? PV_SPLIT_VAL : PV_SPLIT_TEST;
}

int64_t pv_splits_place(const pv_source_form *form, const pv_splits *splits, int64_t object)
{
    const int split = pv_splits_of(splits, object);
    for (int before = 0; before < split; before++)
        object -= splits->count[before];
    return pv_source_place(form, pv_source_pool(form, split), splits->first[split] + object);
}

int64_t pv_splits_find(const pv_source_form *form, const pv_splits *splits, int64_t place)
{
    int64_t objects = 0;
    for (int split = 0; split < PV_SPLITS; split++) {
        const int64_t first = pv_source_place(form, pv_source_pool(form, split), splits->first[split]);
        if (place >= first && place - first < splits->count[split]) return objects + place - first;
        objects += splits->count[split];
    }
    return -1;
}
