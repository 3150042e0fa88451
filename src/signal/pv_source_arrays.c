/* Arrays of numbers that somebody has at hand: the data sets of an HDF5 file, or .npy files in a directory;
 * waves, pictures or volumes, with labels, splits and targets beside them. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "pv_array.h"
#include "pv_array_labels.h"
#include "pv_array_layout.h"
#include "pv_divide.h"
#include "pv_grid.h"
#include "pv_splits.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES, LABELS, SPLIT, TARGETS, CLASS_NAMES, ARRAYS, NAME_BYTES = 256 };

typedef struct arrays_opts {
    char *names[ARRAYS], *target_names;
    unsigned layout;
    double *range;
    unsigned range_count;
    uint64_t seed;
} arrays_opts;

#define NAME(key, which) .name = key, PV_MEMBER(arrays_opts, names[which]), .initial = key

static const pv_option options[] = {
    {NAME("images", IMAGES),
     .meaning = "the array of the objects, which may be waves or volumes, too: a data set of the HDF5 file "
                "signal.path, or NAME.npy in that directory"},
    {NAME("labels", LABELS), .may_be_empty = true,
     .meaning = "the array of labels: numbers of classes, -1 for none, or names; may be missing"},
    {NAME("split", SPLIT), .may_be_empty = true,
     .meaning =
         "the array of splits, as 0, 1, 2 or train, val, test; where it is missing, objects are drawn for "
         "val and test"},
    {NAME("targets", TARGETS), .may_be_empty = true,
     .meaning = "the array of real numbers that say what an object is; may be missing"},
    {NAME("class_names", CLASS_NAMES), .may_be_empty = true,
     .meaning =
         "the array of what classes are called, by number; in HDF5 also an attribute of the labels or of the "
         "root; may be missing"},
    {PV_KEY(arrays_opts, target_names), .initial = "\"\"", .may_be_empty = true,
     .meaning = "what the targets are called: \"mass, spin\""},
    {PV_KEY(arrays_opts, layout), .initial = "auto", .choices = pv_array_layouts, .fixes = PV_FIXES_ROWS,
     .meaning = "what the axes of an object are, outermost first; auto: what their sizes speak for, see "
                "docs/data.md"},
    {PV_KEY(arrays_opts, range), .count = offsetof(arrays_opts, range_count), .most = 2, .initial = "[]",
     .may_be_empty = true, .fixes = PV_FIXES_ROWS,
     .meaning =
         "[low, high], the numbers that become 0 and 1; empty: 0 and the highest of bytes, 16-bit counts and "
         "booleans, the least and the greatest of all that others hold"},
    {PV_KEY(arrays_opts, seed), .initial = "1", .fixes = PV_FIXES_ROWS,
     .meaning = "seed of which objects are drawn for val and test"},
    {0}};

/* What every rank needs to fetch an object: its id is its row. */
typedef struct shared_words {
    char path[PATH_MAX], images[NAME_BYTES], targets[NAME_BYTES];
    int64_t channels_first, bytes; /* held as bytes of 0 to 255, else as the values themselves */
} shared_words;

typedef struct arrays_reader {
    pv_array *arrays[ARRAYS]; /* NULL: there is none */
    uint8_t *split;           /* of every row */
    int classes;
    pv_class_name *class_names; /* [classes]; NULL: each is called by its label */
    shared_words words;
} arrays_reader;

static const arrays_opts *own_of(const pv_signal_opts *opts)
{
    return opts->source.options;
}

/* Where the targets stand in an object's bytes, behind its values. */
static int64_t targets_at(const pv_source_form *form, bool bytes)
{
    const int64_t values = (int64_t)form->samples * form->channels;
    return bytes ? (values + 3) / 4 * 4 : values * (int64_t)sizeof(float);
}

static int64_t rows_of(const arrays_reader *r)
{
    return pv_array_form_of(r->arrays[IMAGES])->rows;
}

/* ---- which arrays ---- */

/* One that the config names other than usual must be there, and that of the objects anyway. */
static pv_status open_one(const pv_signal_opts *opts, int which, arrays_reader *r)
{
    const char *name = own_of(opts)->names[which], *usual = options[which].name;
    const char *labels = own_of(opts)->names[LABELS];
    char key[64];
    if (name[0] == '\0') return PV_OK;
    if (strlen(name) >= NAME_BYTES)
        return pv_fail(PV_ERR_CONFIG, "signal.%s has more than %d letters", usual, NAME_BYTES - 1);
    const pv_status st =
        pv_array_open(opts->path, name, which == CLASS_NAMES && labels[0] ? labels : NULL, &r->arrays[which]);
    if (st != PV_OK || r->arrays[which] || (which != IMAGES && strcmp(name, usual) == 0)) return st;
    snprintf(key, sizeof key, "signal.%s", usual);
    return pv_array_missing(opts->path, name, key);
}

/* An array beside that of the objects has as many rows, of `row` elements (0: any number), and is of text or
 * of numbers as it may be. */
static pv_status check_one(const arrays_reader *r, int which)
{
    const pv_array *array = r->arrays[which], *images = r->arrays[IMAGES];
    if (!array) return PV_OK;
    const pv_array_form *form = pv_array_form_of(array);
    const bool text = form->kind == PV_ARRAY_TEXT;
    if (text ? which == IMAGES || which == TARGETS : which == CLASS_NAMES)
        return pv_fail(PV_ERR_DATA, "%s holds %s, expected %s", pv_array_title(array),
                       text ? "text" : "numbers", text ? "numbers" : "text");
    if (which != IMAGES && which != TARGETS && form->row != 1)
        return pv_fail(PV_ERR_DATA, "%s has %lld elements a row, expected a list", pv_array_title(array),
                       (long long)form->row);
    if (which != CLASS_NAMES && form->rows != rows_of(r))
        return pv_fail(PV_ERR_DATA, "%s has %lld rows, but %s has %lld: expected one for each object",
                       pv_array_title(array), (long long)form->rows, pv_array_title(images),
                       (long long)rows_of(r));
    return PV_OK;
}

/* ---- range ---- */

typedef struct measure {
    const pv_array *array;
    double low, high;
} measure;

static pv_status not_finite(const pv_array *array, int64_t row, int64_t element, double number)
{
    return pv_fail(PV_ERR_DATA, "%s row %lld is %g at its element %lld: only finite numbers can be fitted",
                   pv_array_title(array), (long long)row, number, (long long)element);
}

static pv_status take_measure(void *context, int64_t first, int64_t count, const double *numbers)
{
    measure *m = context;
    const int64_t row = pv_array_form_of(m->array)->row;
    for (int64_t i = 0; i < count * row; i++) {
        if (!isfinite(numbers[i])) return not_finite(m->array, first + i / row, i % row, numbers[i]);
        m->low = numbers[i] < m->low ? numbers[i] : m->low;
        m->high = numbers[i] > m->high ? numbers[i] : m->high;
    }
    return PV_OK;
}

/* Of all rows, whatever splits take: a store that grows keeps its range. */
static pv_status measure_range(const pv_array *images, pv_source_form *form)
{
    measure m = {images, HUGE_VAL, -HUGE_VAL};
    pv_log_info("looking for the least and the greatest number of %s: signal.range saves that",
                pv_array_title(images));
    const pv_status st = pv_array_pass(images, take_measure, &m);
    if (st != PV_OK) return st;
    form->low = m.low;
    form->high = m.high;
    if (m.low < m.high && isfinite(m.high - m.low)) return PV_OK;
    return pv_fail(PV_ERR_DATA, "all numbers of %s are from %g to %g: say by signal.range what 0 and 1 are",
                   pv_array_title(images), m.low, m.high);
}

static pv_status find_range(const arrays_opts *own, const pv_array *images, pv_source_form *form)
{
    static const double highest[] = {
        [PV_ARRAY_FLAGS] = 1, [PV_ARRAY_BYTES] = UINT8_MAX, [PV_ARRAY_SHORTS] = UINT16_MAX};
    const pv_array_kind kind = pv_array_form_of(images)->kind;
    if (own->range_count > 0) {
        if (own->range_count != 2 || !(own->range[0] < own->range[1]) ||
            !isfinite(own->range[1] - own->range[0]))
            return pv_fail(
                PV_ERR_CONFIG,
                "signal.range is to be [low, high], the number that becomes 0 and a greater one that becomes "
                "1");
        form->low = own->range[0];
        form->high = own->range[1];
        return PV_OK;
    }
    if (kind > PV_ARRAY_SHORTS) return measure_range(images, form);
    form->high = highest[kind];
    return PV_OK;
}

/* ---- splits ---- */

/* Draws objects for test and val where no array says which they are; an object's id is its row. */
static pv_status divide(const pv_signal_opts *opts, int64_t rows, pv_source_form *form, uint8_t *split)
{
    uint64_t *ids;
    pv_status st;
    PV_ALLOC(ids, rows);
    for (int64_t row = 0; row < rows; row++)
        ids[row] = (uint64_t)row;
    st = pv_divide(own_of(opts)->seed, rows, ids, opts->test, opts->val, split);
    form->apart = 1 << PV_SPLIT_TEST | 1 << PV_SPLIT_VAL;
done:
    free(ids);
    return st;
}

static const int pool_of[PV_SPLITS] = {[PV_SPLIT_TRAIN] = 0, [PV_SPLIT_TEST] = 1, [PV_SPLIT_VAL] = 2};

static pv_status find_splits(const pv_signal_opts *opts, arrays_reader *r, pv_source_form *form)
{
    const int64_t rows = rows_of(r);
    const pv_array *array = r->arrays[SPLIT];
    pv_status st;
    PV_ALLOC(r->split, rows);
    PV_TRY(array ? pv_array_splits(array, r->split) : divide(opts, rows, form, r->split));
    for (int64_t row = 0; row < rows; row++)
        form->pool[pool_of[r->split[row]]]++;
done:
    return st;
}

/* ---- survey ---- */

/* How many names a text of names holds: "mass, spin" has 2. */
static int count_names(const char *names)
{
    int count = names[0] != '\0';
    for (; *names; names++)
        count += *names == ',';
    return count;
}

static pv_status find_targets(const arrays_opts *own, const arrays_reader *r, pv_source_form *form)
{
    const pv_array *targets = r->arrays[TARGETS];
    const int names = count_names(own->target_names);
    const int64_t width = targets ? pv_array_form_of(targets)->row : 0;
    if (names > 0 && names != width)
        return pv_fail(PV_ERR_CONFIG, "signal.target_names has %d names, but there are %lld targets", names,
                       (long long)width);
    form->targets = (int)(width < INT_MAX ? width : INT_MAX); /* too many are refused for all sources */
    return PV_OK;
}

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    const arrays_opts *own = own_of(opts);
    pv_array_layout layout;
    arrays_reader *r;
    pv_status st;
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: an HDF5 file or a directory");
    PV_ALLOC(r, 1);
    *reader = r;
    for (int which = 0; which < ARRAYS; which++)
        PV_TRY(open_one(opts, which, r));
    for (int which = 0; which < ARRAYS; which++)
        PV_TRY(check_one(r, which));
    const pv_array *images = r->arrays[IMAGES];
    const pv_array_form *is = pv_array_form_of(images);
    PV_TRY(pv_array_layout_of(is, pv_array_title(images), own->layout, &layout));
    PV_TRY(find_targets(own, r, form));
    PV_TRY(find_splits(opts, r, form));
    PV_TRY(find_range(own, images, form));
    form->inputs = layout.sides;
    form->channels = layout.channels;
    form->samples = layout.samples;
    form->width = layout.sides > 1 ? layout.side[layout.sides - 1] : 0;
    form->height = layout.sides > 1 ? layout.side[layout.sides - 2] : 0;
    form->depth = layout.sides > 2 ? layout.side[0] : 0;
    r->words.channels_first = layout.channels_first;
    r->words.bytes = is->kind <= PV_ARRAY_BYTES;
    snprintf(r->words.path, sizeof r->words.path, "%s", opts->path);
    snprintf(r->words.images, NAME_BYTES, "%s", own->names[IMAGES]);
    if (form->targets > 0) snprintf(r->words.targets, NAME_BYTES, "%s", own->names[TARGETS]);
    form->shared_bytes = sizeof r->words;
    form->object_bytes = targets_at(form, r->words.bytes) + form->targets * (int64_t)sizeof(float);
    pv_log_info("%s: %s of %d samples with %d channels, %g and %g become 0 and 1", pv_array_title(images),
                layout.sides == 1   ? "waves"
                : layout.sides == 2 ? "pictures"
                                    : "volumes",
                layout.samples, layout.channels, form->low, form->high);
done:
    return st;
}

/* ---- labels ---- */

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, pv_source_held *held)
{
    arrays_reader *r = reader;
    const int64_t rows = rows_of(r);
    int64_t seen[PV_POOLS] = {0};
    int32_t *labels = NULL;
    pv_status st = PV_OK;
    memcpy(held->shared, &r->words, sizeof r->words);
    PV_ALLOC(labels, rows);
    for (int64_t row = 0; row < rows; row++)
        labels[row] = -1;
    if (r->arrays[LABELS])
        PV_TRY(
            pv_array_labels(r->arrays[LABELS], r->arrays[CLASS_NAMES], labels, &r->classes, &r->class_names));
    for (int64_t row = 0; row < rows; row++) {
        const int pool = pool_of[r->split[row]];
        const int64_t object = pv_splits_find(form, splits, pv_source_place(form, pool, seen[pool]++));
        if (object < 0) continue;
        held->labels[object] = labels[row];
        held->ids[object] = (uint64_t)row;
    }
done:
    free(labels);
    return st;
}

static pv_status classes(void *reader, int *count, pv_class_name **names)
{
    arrays_reader *r = reader;
    if (r->class_names) *count = r->classes;
    *names = r->class_names;
    r->class_names = NULL;
    return PV_OK;
}

static void close_arrays(void *reader)
{
    arrays_reader *r = reader;
    for (int which = 0; which < ARRAYS; which++)
        pv_array_close(r->arrays[which]);
    free(r->split);
    free(r->class_names);
    free(r);
}

/* ---- an object ---- */

/* What a rank holds open. */
typedef struct arrays_hand {
    pv_array *images, *targets;
    double *numbers; /* of a row of the larger */
} arrays_hand;

static void leave(void *hand)
{
    arrays_hand *h = hand;
    pv_array_close(h->images);
    pv_array_close(h->targets);
    free(h->numbers);
    free(h);
}

/* An array as it was surveyed. */
static pv_status open_again(const shared_words *words, const char *name, int64_t row, pv_array **array)
{
    const pv_status st = pv_array_open(words->path, name, NULL, array);
    if (st != PV_OK ||
        (*array && pv_array_form_of(*array)->row == row && pv_array_form_of(*array)->kind != PV_ARRAY_TEXT))
        return st;
    return pv_fail(PV_ERR_DATA, "'%s': the array '%s' is not what it was a moment ago", words->path, name);
}

static pv_status reach(const pv_source_form *form, const void *shared, void **hand)
{
    const shared_words *words = shared;
    const int64_t values = (int64_t)form->samples * form->channels;
    arrays_hand *h;
    pv_status st;
    PV_ALLOC(h, 1);
    *hand = h;
    PV_ALLOC(h->numbers, values > form->targets ? values : form->targets);
    PV_TRY(open_again(words, words->images, values, &h->images));
    if (form->targets > 0) PV_TRY(open_again(words, words->targets, form->targets, &h->targets));
done:
    return st;
}

/* Reads a row, all of it finite. */
static pv_status read_row(const pv_array *array, uint64_t id, double *numbers)
{
    const int64_t row = (int64_t)id, n = pv_array_form_of(array)->row;
    if (row >= pv_array_form_of(array)->rows)
        return pv_fail(PV_ERR_DATA, "%s has no row %lld any more", pv_array_title(array), (long long)row);
    const pv_status st = pv_array_numbers(array, row, 1, numbers);
    for (int64_t i = 0; st == PV_OK && i < n; i++)
        if (!isfinite(numbers[i])) return not_finite(array, row, i, numbers[i]);
    return st;
}

static pv_status fetch(const pv_source_object *object, void *bytes)
{
    const pv_source_form *form = object->form;
    const shared_words *words = object->shared;
    const arrays_hand *h = object->hand;
    const int samples = form->samples, channels = form->channels;
    const int along = words->channels_first ? 1 : channels, across = words->channels_first ? samples : 1;
    float *values = bytes, *targets = (float *)(void *)((char *)bytes + targets_at(form, words->bytes));
    uint8_t *pixels = bytes;
    pv_status st;
    PV_TRY(read_row(h->images, object->id, h->numbers));
    for (int64_t s = 0; s < samples; s++)
        for (int64_t c = 0; c < channels; c++) {
            const double number = h->numbers[s * along + c * across];
            if (words->bytes)
                *pixels++ = (uint8_t)number; /* which it is in the file */
            else
                *values++ = (float)((number - form->low) / (form->high - form->low));
        }
    if (form->targets > 0) PV_TRY(read_row(h->targets, object->id, h->numbers));
    for (int t = 0; t < form->targets; t++)
        targets[t] = (float)h->numbers[t];
done:
    return st;
}

static pv_status samples_of(const pv_source_object *object, float *coords, float *values)
{
    const pv_source_form *form = object->form;
    const shared_words *words = object->shared;
    const int64_t n = (int64_t)form->samples * form->channels;
    const uint8_t *pixels = object->bytes;
    (void)coords; /* all share theirs */
    if (!words->bytes) memcpy(values, object->bytes, (size_t)n * sizeof *values);
    for (int64_t i = 0; words->bytes && i < n; i++)
        values[i] = (float)((pixels[i] - form->low) / (form->high - form->low));
    return PV_OK;
}

static void targets_of(const pv_source_object *object, float *targets)
{
    const pv_source_form *form = object->form;
    const shared_words *words = object->shared;
    memcpy(targets, (const char *)object->bytes + targets_at(form, words->bytes),
           sizeof *targets * (size_t)form->targets);
}

/* ---- what a store says ---- */

/* The range is kept: a store that grows must not measure another one. */
static pv_status settle(const pv_source_form *form, void *options_of_config)
{
    arrays_opts *own = options_of_config;
    double *range;
    pv_status st = PV_OK;
    if (own->range_count > 0) return st;
    PV_ALLOC(range, 2);
    range[0] = form->low;
    range[1] = form->high;
    free(own->range);
    own->range = range;
    own->range_count = 2;
done:
    return st;
}

/* "mass, spin" as a list. */
static json_t *names_of(const char *text)
{
    json_t *names = json_array();
    for (size_t length; *text; text += length + (text[length] == ',')) {
        text += strspn(text, " ");
        length = strcspn(text, ",");
        json_array_append_new(names, json_stringn(text, length));
    }
    return names;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    const arrays_opts *own = own_of(opts);
    json_t *about = json_pack("{s:s, s:s}", "path", opts->path, "coordinates", pv_grid_words(form));
    if (about && own->target_names[0]) json_object_set_new(about, "targets", names_of(own->target_names));
    return about;
}

const pv_source pv_source_arrays = {
    .plugin =
        {.name = "arrays",
         .help =
             "waves, pictures, volumes and physical fields from an HDF5 file or a directory of .npy files",
         PV_OWN(options, arrays_opts)},
    .pools = {"the train split of the arrays", "the test split of the arrays", "the val split of the arrays"},
    .usual = {PV_ALL, 0.1, 0.2},
    .survey = survey,
    .load = load,
    .fetch = fetch,
    .reach = reach,
    .leave = leave,
    .classes = classes,
    .close = close_arrays,
    .grid = pv_grid,
    .samples = samples_of,
    .targets = targets_of,
    .settle = settle,
    .describe = describe,
};
