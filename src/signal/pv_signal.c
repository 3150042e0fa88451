#include "signal/pv_signal.h"
#include "parallel/pv_shared.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "pv_idx.h"
#include "pv_sine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };
enum { SPLITS = PV_SPLIT_TEST + 1, WHITE = 255 };
/* Objects of each of the two endless files that waves come from. */
static const int64_t ENDLESS = INT64_C(1) << 40;

static const struct {
    const char *name;
    pv_idx_kind kind;
} file_of[FILES] = {
    [TRAIN_IMAGES] = {"train-images-idx3-ubyte", PV_IDX_IMAGES},
    [TRAIN_LABELS] = {"train-labels-idx1-ubyte", PV_IDX_LABELS},
    [TEST_IMAGES] = {"t10k-images-idx3-ubyte", PV_IDX_IMAGES},
    [TEST_LABELS] = {"t10k-labels-idx1-ubyte", PV_IDX_LABELS},
};

static const char *const split_key[SPLITS] = {"train", "val", "test"};

/* What the node's rank 0 learns from the headers and the other ranks need: plain bytes, broadcast as such. */
typedef struct split_plan {
    int64_t train_file; /* images in the train file: source ids of the test file start here */
    int64_t first[SPLITS], count[SPLITS]; /* `first` in the split's own file */
    int64_t height, width;
} split_plan;

/* The four files, open; on rank 0 of a node only. */
typedef struct file_set {
    pv_idx *idx[FILES];
    pv_idx_dims dims[FILES];
} file_set;

struct pv_signal {
    split_plan plan;
    pv_signal_source source;
    uint64_t seed; /* sine */
    int64_t objects;
    int samples, classes;
    pv_shared shared; /* pixels [objects][samples], then labels [objects] */
    uint8_t *pixels, *labels;
    float *coords;
};

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

static void close_files(file_set *files)
{
    for (int f = 0; f < FILES; f++)
        pv_idx_close(files->idx[f]);
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

static pv_status check_range(const split_plan *plan, int split, int64_t available)
{
    const int64_t first = plan->first[split], count = plan->count[split];
    const char *key = split_key[split];
    if (count < 0)
        return pv_fail(PV_ERR_CONFIG, "signal.%s is %lld, expected 0 or more", key, (long long)count);
    if (count > available)
        return pv_fail(PV_ERR_CONFIG, "signal.%s is %lld, but %s has %lld images", key, (long long)count,
                       file_of[split == PV_SPLIT_TEST ? TEST_IMAGES : TRAIN_IMAGES].name,
                       (long long)available);
    if (first < 0 || first > available - count)
        return pv_fail(PV_ERR_CONFIG, "signal.%s_first is %lld, expected 0 to %lld for %lld of %lld images",
                       key, (long long)first, (long long)(available - count), (long long)count,
                       (long long)available);
    return PV_OK;
}

/* The splits of files of `train` and `test` objects. */
static pv_status make_plan(const pv_signal_opts *opts, int64_t train, int64_t test, split_plan *plan)
{
    *plan = (split_plan){.train_file = train,
                         .first = {opts->train_first, opts->val_first, opts->test_first},
                         .count = {opts->train, opts->val, opts->test}};
    int64_t *first = plan->first, *count = plan->count;
    if (first[PV_SPLIT_VAL] == -1 && count[PV_SPLIT_VAL] >= 0)
        first[PV_SPLIT_VAL] =
            plan->train_file > count[PV_SPLIT_VAL] ? plan->train_file - count[PV_SPLIT_VAL] : 0;
    for (int split = 0; split < SPLITS; split++) {
        const pv_status st = check_range(plan, split, split == PV_SPLIT_TEST ? test : train);
        if (st != PV_OK) return st;
    }
    const int64_t train_end = first[PV_SPLIT_TRAIN] + count[PV_SPLIT_TRAIN];
    const int64_t val_end = first[PV_SPLIT_VAL] + count[PV_SPLIT_VAL];
    if (count[PV_SPLIT_TRAIN] > 0 && count[PV_SPLIT_VAL] > 0 && first[PV_SPLIT_TRAIN] < val_end &&
        first[PV_SPLIT_VAL] < train_end)
        return pv_fail(PV_ERR_CONFIG,
                       "signal.train and signal.val overlap: images %lld to %lld and %lld to %lld of %s",
                       (long long)first[PV_SPLIT_TRAIN], (long long)train_end - 1,
                       (long long)first[PV_SPLIT_VAL], (long long)val_end - 1, file_of[TRAIN_IMAGES].name);
    if (count[PV_SPLIT_TRAIN] + count[PV_SPLIT_VAL] + count[PV_SPLIT_TEST] == 0)
        return pv_fail(PV_ERR_CONFIG, "signal.train, signal.val and signal.test are all 0");
    return PV_OK;
}

/* Local, on rank 0 of a node: opens the files and plans by their headers. */
static pv_status survey(const pv_signal_opts *opts, file_set *files, split_plan *plan)
{
    const pv_idx_dims *train = &files->dims[TRAIN_IMAGES];
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: the directory of the IDX files");
    pv_status st = open_files(opts->path, files);
    if (st == PV_OK) st = check_counts(opts->path, files);
    if (st == PV_OK) st = make_plan(opts, train->count, files->dims[TEST_IMAGES].count, plan);
    plan->height = train->height;
    plan->width = train->width;
    return st;
}

/* Entry i of linspace(-1, 1) of n, by the exact fraction: symmetric, and 0 in the middle. */
static float grid_position(int i, int n)
{
    return n > 1 ? (float)((double)(2 * i - (n - 1)) / (n - 1)) : -1.0f;
}

static void count_objects(pv_signal *signal)
{
    for (int split = 0; split < SPLITS; split++)
        signal->objects += signal->plan.count[split];
}

/* Local: what follows from the plan. */
static pv_status derive(pv_signal *signal)
{
    pv_status st = PV_OK;
    const int height = (int)signal->plan.height, width = (int)signal->plan.width;
    count_objects(signal);
    signal->samples = height * width;
    PV_ALLOC(signal->coords, 2 * (int64_t)signal->samples);
    for (int i = 0; i < signal->samples; i++) {
        signal->coords[2 * i] = grid_position(i % width, width);
        signal->coords[2 * i + 1] = grid_position(i / width, height);
    }
done:
    return st;
}

/* Local, on rank 0 of a node: reads and checks the files to their ends. */
static pv_status load(const pv_signal *signal, const file_set *files)
{
    const split_plan *plan = &signal->plan;
    int64_t object = 0;
    pv_idx_range images[SPLITS], labels[SPLITS];
    for (int split = 0; split < SPLITS; split++) {
        images[split] =
            (pv_idx_range){plan->first[split], plan->count[split], signal->pixels + object * signal->samples};
        labels[split] = (pv_idx_range){plan->first[split], plan->count[split], signal->labels + object};
        object += plan->count[split];
    }
    pv_status st = pv_idx_read(files->idx[TRAIN_IMAGES], images, PV_SPLIT_TEST);
    if (st == PV_OK) st = pv_idx_read(files->idx[TRAIN_LABELS], labels, PV_SPLIT_TEST);
    if (st == PV_OK) st = pv_idx_read(files->idx[TEST_IMAGES], &images[PV_SPLIT_TEST], 1);
    if (st == PV_OK) st = pv_idx_read(files->idx[TEST_LABELS], &labels[PV_SPLIT_TEST], 1);
    return st;
}

/* Nodes may read from disks of their own: all must have read the same.  Collective over comm->leaders. */
static pv_status compare_nodes(const pv_comm *comm, const pv_signal *signal, const char *path)
{
    const size_t bytes = (size_t)signal->objects * ((size_t)signal->samples + 1);
    const uint64_t mine[2] = {pv_checksum(&signal->plan, sizeof signal->plan),
                              pv_checksum(signal->shared.data, bytes)};
    uint64_t first[2] = {mine[0], mine[1]};
    MPI_Bcast(first, 2, MPI_UINT64_T, 0, comm->leaders);
    if (first[0] != mine[0] || first[1] != mine[1])
        return pv_fail(PV_ERR_DATA, "the files in '%s' on this node are not those on the node of rank 0",
                       path);
    return PV_OK;
}

static int count_classes(const pv_signal *signal)
{
    int highest = 0;
    for (int64_t i = 0; i < signal->objects; i++)
        if (signal->labels[i] > highest) highest = signal->labels[i];
    return highest + 1;
}

static pv_status share_plan(const pv_comm *comm, split_plan *plan)
{
    MPI_Bcast(plan, (int)sizeof *plan, MPI_BYTE, 0, comm->node);
    return PV_OK;
}

/* Waves are not held: all there is are the splits and the sample positions. */
static pv_status open_waves(const pv_signal_opts *opts, pv_signal *signal)
{
    pv_status st;
    PV_TRY(make_plan(opts, ENDLESS, ENDLESS, &signal->plan));
    count_objects(signal);
    signal->seed = opts->seed;
    signal->samples = (int)opts->samples;
    signal->classes = 1;
    PV_ALLOC(signal->coords, signal->samples);
    pv_sine_grid(signal->samples, signal->coords);
done:
    return st;
}

static pv_status open_images(const pv_comm *comm, const pv_signal_opts *opts, pv_signal *signal)
{
    const bool leads = comm->node_rank == 0;
    file_set files = {0};
    pv_status st = PV_OK;
    if (leads) st = survey(opts, &files, &signal->plan);
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_agree(comm, share_plan(comm, &signal->plan)));
    PV_TRY(pv_agree(comm, derive(signal)));
    const int64_t pixels = signal->objects * signal->samples;
    PV_TRY(pv_agree(comm, pv_shared_open(comm, pixels + signal->objects, &signal->shared)));
    signal->pixels = signal->shared.data;
    signal->labels = signal->pixels + pixels;
    PV_TRY(pv_agree(comm, leads ? load(signal, &files) : PV_OK));
    PV_TRY(pv_agree(comm, leads ? compare_nodes(comm, signal, opts->path) : PV_OK));
    pv_shared_sync(comm, &signal->shared);
    signal->classes = count_classes(signal);
done:
    close_files(&files);
    return st;
}

pv_status pv_signal_open(const pv_comm *comm, const pv_signal_opts *opts, pv_signal **out)
{
    pv_signal *signal = pv_alloc(1, sizeof *signal);
    pv_status st = pv_agree(comm, signal ? PV_OK : PV_ERR_NOMEM);
    *out = NULL;
    if (st == PV_OK) {
        signal->source = opts->source;
        st = opts->source == PV_SIGNAL_SINE ? pv_agree(comm, open_waves(opts, signal))
                                            : open_images(comm, opts, signal);
    }
    if (st == PV_OK)
        *out = signal;
    else
        pv_signal_close(signal);
    return st;
}

void pv_signal_close(pv_signal *signal)
{
    if (!signal) return;
    pv_shared_close(&signal->shared);
    free(signal->coords);
    free(signal);
}

int64_t pv_signal_objects(const pv_signal *signal)
{
    return signal->objects;
}

int pv_signal_inputs(const pv_signal *signal)
{
    return signal->source == PV_SIGNAL_SINE ? 1 : 2;
}

int pv_signal_height(const pv_signal *signal)
{
    return (int)signal->plan.height;
}

int pv_signal_width(const pv_signal *signal)
{
    return (int)signal->plan.width;
}

int pv_signal_channels(const pv_signal *signal)
{
    (void)signal;
    return 1;
}

int pv_signal_samples(const pv_signal *signal)
{
    return signal->samples;
}

int pv_signal_classes(const pv_signal *signal)
{
    return signal->classes;
}

const float *pv_signal_coords(const pv_signal *signal)
{
    return signal->coords;
}

const uint8_t *pv_signal_pixels(const pv_signal *signal, int64_t object)
{
    return signal->pixels + object * signal->samples;
}

int pv_signal_targets(const pv_signal *signal)
{
    return signal->source == PV_SIGNAL_SINE ? PV_SINE_TARGETS : 0;
}

void pv_signal_target(const pv_signal *signal, int64_t object, float *targets)
{
    pv_sine_coefficients(signal->seed, pv_signal_source_id(signal, object), targets);
}

void pv_signal_values(const pv_signal *signal, int64_t object, float *y)
{
    if (signal->source == PV_SIGNAL_SINE) {
        float ab[PV_SINE_TARGETS];
        pv_signal_target(signal, object, ab);
        pv_sine_values(ab, signal->samples, signal->coords, y);
        return;
    }
    const uint8_t *pixels = pv_signal_pixels(signal, object);
    for (int i = 0; i < signal->samples; i++)
        y[i] = (float)pixels[i] / WHITE;
}

int32_t pv_signal_label(const pv_signal *signal, int64_t object)
{
    return signal->labels ? signal->labels[object] : 0;
}

uint8_t pv_signal_split(const pv_signal *signal, int64_t object)
{
    const int64_t train = signal->plan.count[PV_SPLIT_TRAIN], val = signal->plan.count[PV_SPLIT_VAL];
    return object < train ? PV_SPLIT_TRAIN : object < train + val ? PV_SPLIT_VAL : PV_SPLIT_TEST;
}

uint64_t pv_signal_source_id(const pv_signal *signal, int64_t object)
{
    const split_plan *plan = &signal->plan;
    const uint8_t split = pv_signal_split(signal, object);
    int64_t place = object;
    for (int before = 0; before < split; before++)
        place -= plan->count[before];
    return (uint64_t)(plan->first[split] + place + (split == PV_SPLIT_TEST ? plan->train_file : 0));
}

int64_t pv_signal_find(const pv_signal *signal, uint64_t source_id)
{
    const split_plan *plan = &signal->plan;
    int64_t objects = 0;
    for (int split = 0; split < SPLITS; split++) {
        const uint64_t file = split == PV_SPLIT_TEST ? (uint64_t)plan->train_file : 0;
        const uint64_t first = file + (uint64_t)plan->first[split];
        if (source_id >= first && source_id - first < (uint64_t)plan->count[split])
            return objects + (int64_t)(source_id - first);
        objects += plan->count[split];
    }
    return -1;
}
