/* A tree of pictures, PNG and JPEG, in the directories of their classes. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "pv_grid.h"
#include "pv_image_convert.h"
#include "pv_image_read.h"
#include "pv_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct images_opts {
    int *size; /* height and width; none: those of the files */
    unsigned size_count;
    int channels; /* 0: what the files have */
    double background;
    bool skip_bad;
    uint64_t seed;
} images_opts;

static const pv_option options[] = {
    {PV_KEY(images_opts, size), .count = offsetof(images_opts, size_count), .most = 2, .initial = "[]",
     .may_be_empty = true, PV_BETWEEN(1, PV_IMAGE_MAX_SIDE), .fixes = PV_FIXES_ROWS,
     .meaning = "height and width that pictures are brought to, by the average over the area of each pixel; "
                "[]: all files have one size"},
    {PV_KEY(images_opts, channels), .initial = "0", PV_BETWEEN(0, 4), .fixes = PV_FIXES_ROWS,
     .meaning = "1: grey, 3: RGB, 4: RGB and alpha; 0: 1 if all files are in grey, else 3"},
    {PV_KEY(images_opts, background), .initial = "1.0", PV_BETWEEN(0, 1), .fixes = PV_FIXES_ROWS,
     .meaning = "grey behind what is transparent, 0 black to 1 white; not with 4 channels"},
    {PV_KEY(images_opts, skip_bad), .initial = "false", .fixes = PV_FIXES_ROWS,
     .meaning = "files that cannot be read or have another size than most are left out, not refused; every "
                "file is decoded beforehand"},
    {PV_KEY(images_opts, seed), .initial = "1", .fixes = PV_FIXES_ROWS,
     .meaning = "seed of which pictures are put apart for test and val where directories do not say"},
    {0}};

static const char *const endings[] = {".png", ".jpg", ".jpeg", NULL};

/* In the node's memory, before the table of paths. */
typedef struct shared {
    pv_image_wish wish;
    bool any_size, any_depth; /* pictures may be of another size, of 16 bits */
} shared;

enum { SHARED_BYTES = (sizeof(shared) + 7) / 8 * 8 };

typedef struct reader {
    pv_tree tree;
    shared shared;
} reader;

/* ---- which files ---- */

/* Files that are no good, the first of them in words. */
typedef struct bad_files {
    int64_t count, named;
    char words[1200];
} bad_files;

static void note(bad_files *bad, pv_tree_file *file, const char *words)
{
    const size_t length = strlen(bad->words), room = sizeof bad->words - length;
    file->pool = -1;
    bad->count++;
    if (strlen(words) + 3 > room || bad->named < bad->count - 1) return;
    snprintf(bad->words + length, room, "%s%s", bad->named > 0 ? "; " : "", words);
    bad->named++;
}

/* Looks at all files, or decodes them. */
static pv_status look_at_files(pv_tree *tree, bool decode, pv_image_head *heads, bad_files *bad)
{
    char path[PV_TREE_PATH], words[512];
    for (int64_t i = 0; i < tree->count; i++) {
        pv_image image = {0};
        pv_tree_path(tree, i, path);
        pv_status st = decode ? pv_image_read(path, &image) : pv_image_look(path, &heads[i]);
        if (decode) heads[i] = image.head;
        pv_image_free(&image);
        if (st == PV_ERR_NOMEM) return st;
        if (st == PV_OK) continue;
        snprintf(words, sizeof words, "%s", pv_fail_message());
        note(bad, &tree->files[i], words);
    }
    return PV_OK;
}

/* The size of more than half of the good files (Boyer and Moore's vote); the others are no good. */
static pv_status agree_on_size(pv_tree *tree, const pv_image_head *heads, pv_image_wish *wish, bad_files *bad)
{
    char path[PV_TREE_PATH], words[PV_TREE_PATH + 96];
    int64_t lead = 0, same_size = 0, before = bad->count;
    for (int64_t i = 0; i < tree->count; i++) {
        const bool same = heads[i].height == wish->height && heads[i].width == wish->width;
        if (tree->files[i].pool < 0) continue;
        if (lead == 0) {
            wish->height = heads[i].height;
            wish->width = heads[i].width;
        }
        lead += lead == 0 || same ? 1 : -1;
    }
    for (int64_t i = 0; i < tree->count; i++) {
        const bool same = heads[i].height == wish->height && heads[i].width == wish->width;
        if (tree->files[i].pool >= 0) same_size += same;
        if (tree->files[i].pool < 0 || same) continue;
        pv_tree_path(tree, i, path);
        snprintf(words, sizeof words, "'%s' has %d x %d pixels, not %d x %d", path, heads[i].height,
                 heads[i].width, wish->height, wish->width);
        note(bad, &tree->files[i], words);
    }
    if (same_size > bad->count - before || bad->count == before) return PV_OK;
    return pv_fail(PV_ERR_DATA,
                   "the pictures in '%s' have many sizes: say by signal.size: [h, w] which all get",
                   tree->text);
}

/* One message for all files that are no good. */
static pv_status judge(const pv_tree *tree, const bad_files *bad, bool skip)
{
    char more[48] = "";
    if (bad->count == 0) return PV_OK;
    if (bad->count > bad->named)
        snprintf(more, sizeof more, "; and %lld more", (long long)(bad->count - bad->named));
    if (!skip)
        return pv_fail(PV_ERR_DATA,
                       "%lld of %lld files in '%s' are no good: %s%s. Mend them or take them away; "
                       "signal.skip_bad: true leaves them out; signal.size: [h, w] brings all to one size",
                       (long long)bad->count, (long long)tree->count, tree->text, bad->words, more);
    pv_log_warn("%lld of %lld files in '%s' are no good and left out: %s%s", (long long)bad->count,
                (long long)tree->count, tree->text, bad->words, more);
    return PV_OK;
}

/* What the good files and the options make of a picture. */
static void shape(const pv_tree *tree, const pv_image_head *heads, const images_opts *own, shared *made)
{
    pv_image_wish *wish = &made->wish;
    bool colour = false;
    made->any_size = own->size_count > 0;
    for (int64_t i = 0; i < tree->count; i++) {
        if (tree->files[i].pool < 0) continue;
        colour = colour || heads[i].colour;
        made->any_depth = made->any_depth || heads[i].white > 255;
    }
    wish->channels = own->channels > 0 ? own->channels : colour ? 3 : 1;
    wish->background = own->background;
    wish->floats = made->any_size || made->any_depth;
}

static pv_status check_options(const pv_signal_opts *opts, const images_opts *own)
{
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: the directory of the pictures");
    if (own->channels == 2) return pv_fail(PV_ERR_CONFIG, "signal.channels is 2, expected 0, 1, 3 or 4");
    if (own->size_count == 1)
        return pv_fail(PV_ERR_CONFIG, "signal.size has one number, expected a height and a width, or none");
    if (own->size_count == 2 && (int64_t)own->size[0] * own->size[1] > PV_IMAGE_MAX_PIXELS)
        return pv_fail(PV_ERR_CONFIG, "signal.size is [%d, %d], which are more than %d pixels", own->size[0],
                       own->size[1], PV_IMAGE_MAX_PIXELS);
    return PV_OK;
}

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **out)
{
    const images_opts *own = opts->source.options;
    pv_image_head *heads = NULL;
    bad_files bad = {0};
    reader *r;
    pv_status st;
    PV_TRY(check_options(opts, own));
    PV_ALLOC(r, 1);
    *out = r;
    PV_TRY(pv_tree_list(opts->path, endings, &r->tree));
    PV_ALLOC(heads, r->tree.count);
    PV_TRY(look_at_files(&r->tree, own->skip_bad, heads, &bad));
    pv_image_wish *wish = &r->shared.wish;
    if (own->size_count == 0) PV_TRY(agree_on_size(&r->tree, heads, wish, &bad));
    if (own->size_count == 2) {
        wish->height = own->size[0];
        wish->width = own->size[1];
    }
    PV_TRY(judge(&r->tree, &bad, own->skip_bad));
    shape(&r->tree, heads, own, &r->shared);
    PV_TRY(pv_tree_divide(&r->tree, own->seed, opts, form));
    form->inputs = 2;
    form->channels = wish->channels;
    form->height = wish->height;
    form->width = wish->width;
    form->samples = wish->height * wish->width;
    form->object_bytes =
        (int64_t)form->samples * form->channels * (wish->floats ? (int64_t)sizeof(float) : 1);
    form->shared_bytes = SHARED_BYTES + pv_tree_table_bytes(&r->tree);
done:
    free(heads);
    return st;
}

static pv_status load(void *context, const pv_source_form *form, const pv_splits *splits,
                      pv_source_held *held)
{
    const reader *r = context;
    (void)form;
    memcpy(held->shared, &r->shared, sizeof r->shared);
    pv_tree_table(&r->tree, (uint8_t *)held->shared + SHARED_BYTES);
    pv_tree_hand_over(&r->tree, splits, held);
    return PV_OK;
}

static pv_status classes(void *context, int *count, pv_class_name **names)
{
    const reader *r = context;
    pv_status st = PV_OK;
    *names = NULL;
    if (r->tree.classes == 0) return PV_OK;
    *count = r->tree.classes;
    PV_ALLOC(*names, r->tree.classes);
    memcpy(*names, r->tree.names, (size_t)r->tree.classes * sizeof **names);
done:
    return st;
}

static void close_tree(void *context)
{
    reader *r = context;
    pv_tree_free(&r->tree);
    free(r);
}

/* ---- an object ---- */

static pv_status fetch(const pv_source_object *object, void *bytes)
{
    const shared *s = object->shared;
    char path[PV_TREE_PATH], words[512];
    pv_image image = {0};
    pv_tree_table_path((const uint8_t *)object->shared + SHARED_BYTES, object->place, path);
    pv_status st = pv_image_read(path, &image);
    if (st == PV_ERR_DATA) {
        snprintf(words, sizeof words, "%s", pv_fail_message());
        st = pv_fail(st, "%s. Mend it or take it away; signal.skip_bad: true leaves such files out", words);
    } else if (st == PV_OK && ((!s->any_size &&
                                (image.head.height != s->wish.height || image.head.width != s->wish.width)) ||
                               (!s->any_depth && image.head.white > 255))) {
        st = pv_fail(PV_ERR_DATA, "'%s' is another picture than when it was first looked at: start anew",
                     path);
    }
    if (st == PV_OK) st = pv_image_convert(&image, &s->wish, bytes);
    pv_image_free(&image);
    return st;
}

static pv_status samples(const pv_source_object *object, float *coords, float *values)
{
    const shared *s = object->shared;
    const int64_t n = (int64_t)object->form->samples * object->form->channels;
    const uint8_t *pixels = object->bytes;
    (void)coords;
    if (s->wish.floats)
        memcpy(values, object->bytes, (size_t)n * sizeof *values);
    else
        for (int64_t i = 0; i < n; i++)
            values[i] = (float)pixels[i] / 255;
    return PV_OK;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    return json_pack("{s:s, s:s}", "path", opts->path, "coordinates", pv_grid_words(form));
}

const pv_source pv_source_images = {
    .plugin = {.name = "images",
               .help = "PNG and JPEG files below signal.path, in directories called like their classes, and "
                       "those in train, val and test, or divided; usual: all, of which 0.1 are val and 0.2 "
                       "test where directories do not say",
               PV_OWN(options, images_opts)},
    .pools = {"the tree's train part", "the tree's test part", "the tree's val part"},
    .usual = {PV_ALL, 0.1, 0.2},
    .survey = survey,
    .load = load,
    .fetch = fetch,
    .classes = classes,
    .close = close_tree,
    .grid = pv_grid,
    .samples = samples,
    .describe = describe,
};
