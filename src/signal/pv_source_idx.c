/* The files of the MNIST family: pictures in grey with labels.
 *
 * Plain or gzip: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz], t10k-images-idx3-ubyte[.gz],
 * t10k-labels-idx1-ubyte[.gz].  The plain file is taken where both exist. */
#include "base/pv_mem.h"
#include "pv_idx.h"
#include "signal/pv_signal_opts.h"
#include "signal/pv_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES, WHITE = 255 };

static const struct {
    const char *name;
    pv_idx_kind kind;
} file_of[FILES] = {
    [TRAIN_IMAGES] = {"train-images-idx3-ubyte", PV_IDX_IMAGES},
    [TRAIN_LABELS] = {"train-labels-idx1-ubyte", PV_IDX_LABELS},
    [TEST_IMAGES] = {"t10k-images-idx3-ubyte", PV_IDX_IMAGES},
    [TEST_LABELS] = {"t10k-labels-idx1-ubyte", PV_IDX_LABELS},
};

/* The four files, open. */
typedef struct file_set {
    pv_idx *idx[FILES];
    pv_idx_dims dims[FILES];
} file_set;

/* The name of one of the files in `directory`, plain before gzip; the caller frees *out. */
static pv_status find_file(const char *directory, const char *name, char **out)
{
    pv_status st = PV_OK;
    char *path;
    const size_t bytes = strlen(directory) + strlen(name) + sizeof "/.gz";
    *out = NULL;
    PV_ALLOC(path, bytes);
    snprintf(path, bytes, "%s/%s", directory, name);
    if (access(path, F_OK) != 0) snprintf(path, bytes, "%s/%s.gz", directory, name);
    if (access(path, F_OK) != 0) {
        free(path);
        return pv_fail(PV_ERR_IO, "'%s' holds neither %s nor %s.gz (config key signal.path)", directory, name,
                       name);
    }
    *out = path;
done:
    return st;
}

static pv_status open_files(const char *directory, file_set *files)
{
    for (int f = 0; f < FILES; f++) {
        char *path;
        pv_status st = find_file(directory, file_of[f].name, &path);
        if (st == PV_OK) st = pv_idx_open(path, file_of[f].kind, &files->idx[f], &files->dims[f]);
        free(path);
        if (st != PV_OK) return st;
    }
    return PV_OK;
}

static pv_status check_counts(const char *directory, const file_set *files)
{
    const pv_idx_dims *dims = files->dims;
    for (int f = TRAIN_IMAGES; f < FILES; f += 2)
        if (dims[f].count != dims[f + 1].count)
            return pv_fail(PV_ERR_DATA, "'%s': %s has %lld images, but %s has %lld labels", directory,
                           file_of[f].name, (long long)dims[f].count, file_of[f + 1].name,
                           (long long)dims[f + 1].count);
    const pv_idx_dims *train = &dims[TRAIN_IMAGES], *test = &dims[TEST_IMAGES];
    if (train->height != test->height || train->width != test->width)
        return pv_fail(PV_ERR_DATA, "'%s': %s has images of %d x %d pixels, but %s of %d x %d", directory,
                       file_of[TRAIN_IMAGES].name, train->height, train->width, file_of[TEST_IMAGES].name,
                       test->height, test->width);
    return PV_OK;
}

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    pv_status st = PV_OK;
    file_set *files = NULL;
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: the directory of the IDX files");
    PV_ALLOC(files, 1);
    *reader = files;
    PV_TRY(open_files(opts->path, files));
    PV_TRY(check_counts(opts->path, files));
    const pv_idx_dims *train = &files->dims[TRAIN_IMAGES];
    *form = (pv_source_form){.pool = {train->count, files->dims[TEST_IMAGES].count},
                             .inputs = 2,
                             .channels = 1,
                             .samples = (int64_t)train->height * train->width,
                             .height = train->height,
                             .width = train->width,
                             .object_bytes = (int64_t)train->height * train->width};
done:
    return st;
}

/* Reads the images or the labels, of `bytes` bytes each, of all splits; the files to their ends. */
static pv_status read_both(const file_set *files, int file, const pv_splits *splits, int64_t bytes,
                           uint8_t *to)
{
    pv_idx_range ranges[PV_SPLITS];
    for (int split = 0; split < PV_SPLITS; split++) {
        ranges[split] = (pv_idx_range){splits->first[split], splits->count[split], to};
        to += splits->count[split] * bytes;
    }
    const pv_status st = pv_idx_read(files->idx[file], ranges, PV_SPLIT_TEST);
    return st != PV_OK ? st : pv_idx_read(files->idx[file + TEST_IMAGES], &ranges[PV_SPLIT_TEST], 1);
}

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, void *objects,
                      int32_t *labels)
{
    pv_status st;
    uint8_t *bytes = NULL;
    int64_t count = 0;
    for (int split = 0; split < PV_SPLITS; split++)
        count += splits->count[split];
    PV_TRY(read_both(reader, TRAIN_IMAGES, splits, form->object_bytes, objects));
    PV_ALLOC(bytes, count);
    PV_TRY(read_both(reader, TRAIN_LABELS, splits, 1, bytes));
    for (int64_t i = 0; i < count; i++)
        labels[i] = bytes[i];
done:
    free(bytes);
    return st;
}

static void close_files(void *reader)
{
    file_set *files = reader;
    for (int f = 0; f < FILES; f++)
        pv_idx_close(files->idx[f]);
    free(files);
}

/* Entry i of linspace(-1, 1) of n, by the exact fraction: symmetric, and 0 in the middle. */
static float grid_position(int i, int n)
{
    return n > 1 ? (float)((double)(2 * i - (n - 1)) / (n - 1)) : -1.0f;
}

/* Component 0 is x, which runs fastest, component 1 y. */
static void coords(const pv_source_object *object, float *xy)
{
    const int height = (int)object->form->height, width = (int)object->form->width;
    for (int i = 0; i < height * width; i++) {
        xy[2 * i] = grid_position(i % width, width);
        xy[2 * i + 1] = grid_position(i / width, height);
    }
}

static void values(const pv_source_object *object, float *y)
{
    const uint8_t *pixels = object->bytes;
    for (int64_t i = 0; i < object->form->samples; i++)
        y[i] = (float)pixels[i] / WHITE;
}

static json_t *describe(const pv_signal_opts *opts)
{
    return json_pack("{s:s, s:s}", "path", opts->path, "coordinates",
                     "(x, y), linspace(-1, 1) a side, x along a row and fastest");
}

const pv_source pv_source_idx = {
    .plugin = {.name = "idx", .help = "the image and label files of MNIST and FashionMNIST"},
    .pools = {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"},
    .survey = survey,
    .load = load,
    .close = close_files,
    .coords = coords,
    .values = values,
    .describe = describe,
};
