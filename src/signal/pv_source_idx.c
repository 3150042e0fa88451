/* The files of the MNIST family: pictures in grey with labels, under all names that they go by. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "pv_grid.h"
#include "pv_idx.h"
#include "signal/pv_source.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct idx_opts {
    char *prefix;
    bool transpose;
    double white;
} idx_opts;

static const pv_option options[] = {
    {PV_KEY(idx_opts, prefix), .initial = "\"\"", .may_be_empty = true,
     .meaning = "what the names of the files begin with, such as emnist-letters-; empty: what fits, if there "
                "is one such set"},
    {PV_KEY(idx_opts, transpose), .initial = "false", .fixes = PV_FIXES_ROWS,
     .meaning = "pictures lie column by column, as those of EMNIST, and are turned"},
    {PV_KEY(idx_opts, white), .initial = "0.0", PV_AT_LEAST(0), .fixes = PV_FIXES_ROWS,
     .meaning = "the number of a white pixel, where black is 0; 0: 255 of whole numbers, 1 of others"},
    {0}};

enum { BYTE_WHITE = 255, PATH_BYTES = 4096 };
enum { TRAIN_FILES, TEST_FILES, POOLS };
enum { IMAGES, LABELS, FILES_OF_POOL };
static const char *const pool_words[POOLS] = {"train", "t10k|test"};
static const char *const file_words[FILES_OF_POOL] = {"images", "labels"};

/* The files, open; NULL where a pool has none. */
typedef struct file_set {
    pv_idx *idx[POOLS][FILES_OF_POOL];
    pv_idx_dims dims[POOLS][FILES_OF_POOL];
    bool transpose;
    double white;
    int32_t *numbers; /* the class numbers in all label files, ascending */
    int classes;
} file_set;

/* ---- which files ---- */

/* Plain names come before gzip, and the common spelling before others; 0 is a name that does not fit.
 * *length is that of the prefix. */
static int fitness(const regex_t *name_is, const char *name, const char *prefix, int *length)
{
    regmatch_t part[6];
    if (regexec(name_is, name, 6, part, 0) != 0) return 0;
    *length = part[1].rm_so < 0 ? 0 : (int)part[1].rm_eo;
    if (prefix && (strncmp(name, prefix, strlen(prefix)) != 0 || *length != (int)strlen(prefix))) return 0;
    return (*length == 0 ? 4 : 0) + (name[part[3].rm_so] == '-' ? 2 : 0) + (part[5].rm_so < 0 ? 1 : 0) + 1;
}

/* The best name of a file of the pool in the directory, "" if there is none.  *prefix is what it must begin
 * with, or NULL, and then becomes what it begins with (Owner: the caller). */
static pv_status find_file(const char *directory, int pool, int file, char **prefix, char name[NAME_MAX + 1])
{
    char pattern[128], other[NAME_MAX + 1] = "", path[PATH_BYTES];
    int best = 0, length = 0, best_length = 0;
    regex_t name_is;
    struct dirent *entry;
    struct stat about;
    name[0] = 0;
    DIR *list = opendir(directory);
    if (!list)
        return pv_fail(PV_ERR_IO, "cannot open the directory '%s' (config key signal.path): %s", directory,
                       strerror(errno));
    snprintf(pattern, sizeof pattern, "^(.*-)?(%s)-%s([-.])idx[1-9]-([a-z]+)(\\.gz)?$", pool_words[pool],
             file_words[file]);
    if (regcomp(&name_is, pattern, REG_EXTENDED) != 0) {
        closedir(list);
        return PV_ERR_NOMEM;
    }
    while ((entry = readdir(list))) {
        const int fit = fitness(&name_is, entry->d_name, *prefix, &length);
        const int bytes = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (fit == 0 || fit < best || bytes >= PATH_BYTES ||
            (stat(path, &about) == 0 && S_ISDIR(about.st_mode)))
            continue;
        snprintf(other, sizeof other, "%s", fit == best ? name : "");
        snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
        best = fit;
        best_length = length;
    }
    regfree(&name_is);
    closedir(list);
    if (other[0])
        return pv_fail(PV_ERR_CONFIG, "'%s' holds both %s and %s: say by signal.prefix which is meant",
                       directory, name, other);
    if (best > 0 && !*prefix && !(*prefix = strndup(name, (size_t)best_length))) return PV_ERR_NOMEM;
    return PV_OK;
}

/* Opens one file of a pool, if it is there. */
static pv_status open_one(const char *directory, int pool, int file, char **prefix, file_set *files)
{
    char name[NAME_MAX + 1], path[PATH_BYTES];
    const pv_status st = find_file(directory, pool, file, prefix, name);
    if (st != PV_OK || !name[0]) return st;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return pv_idx_open(path, file == IMAGES ? PV_IDX_IMAGES : PV_IDX_LABELS, &files->idx[pool][file],
                       &files->dims[pool][file]);
}

/* Whether the options need the files of a pool; there may be no test files where all of them are meant. */
static bool is_needed(const pv_signal_opts *opts, int pool, pv_idx *const idx[FILES_OF_POOL])
{
    if (pool == TRAIN_FILES) return opts->train != 0 || opts->val != 0;
    return opts->test > 0 || (opts->test == PV_ALL && (idx[IMAGES] || idx[LABELS]));
}

/* A pool that objects are wanted of must have images, and labels if the other pool has some. */
static pv_status check_pool(const pv_signal_opts *opts, int pool, const char *prefix, const file_set *files)
{
    pv_idx *const *idx = files->idx[pool];
    const pv_idx_dims *dims = files->dims[pool];
    const int missing = !idx[IMAGES] ? IMAGES : LABELS;
    if (is_needed(opts, pool, idx) && (!idx[IMAGES] || (!idx[LABELS] && files->idx[!pool][LABELS])))
        return pv_fail(PV_ERR_IO,
                       "'%s' holds no file %s%s-%s-idx%d-ubyte or the like, plain or .gz (config keys "
                       "signal.path, signal.prefix)",
                       opts->path, prefix ? prefix : "", pool == 0 ? "train" : "t10k", file_words[missing],
                       missing == IMAGES ? 3 : 1);
    if (idx[IMAGES] && idx[LABELS] && dims[IMAGES].count != dims[LABELS].count)
        return pv_fail(PV_ERR_DATA, "'%s' has %lld images, but '%s' has %lld labels",
                       pv_idx_path(idx[IMAGES]), (long long)dims[IMAGES].count, pv_idx_path(idx[LABELS]),
                       (long long)dims[LABELS].count);
    return PV_OK;
}

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    static const idx_opts none;
    const idx_opts *own = opts->source.options ? opts->source.options : &none;
    char *prefix = NULL;
    file_set *files;
    pv_status st;
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: the directory of the IDX files");
    PV_ALLOC(files, 1);
    *reader = files;
    files->transpose = own->transpose;
    files->white = own->white;
    if (own->prefix && own->prefix[0] && !(prefix = pv_strdup(own->prefix))) PV_TRY(PV_ERR_NOMEM);
    for (int pool = 0; pool < POOLS; pool++)
        for (int file = 0; file < FILES_OF_POOL; file++)
            PV_TRY(open_one(opts->path, pool, file, &prefix, files));
    for (int pool = 0; pool < POOLS; pool++)
        PV_TRY(check_pool(opts, pool, prefix, files));
    if (!files->idx[0][LABELS] && !files->idx[1][LABELS])
        pv_log_warn("'%s' holds no labels: the objects are without", opts->path);
    if (opts->test == PV_ALL && !files->idx[TEST_FILES][IMAGES])
        pv_log_warn("'%s' holds no test files: there are no test objects", opts->path);
    const pv_idx_dims *train = &files->dims[0][IMAGES], *test = &files->dims[1][IMAGES];
    const pv_idx_dims *one = train->count > 0 ? train : test;
    if (train->count > 0 && test->count > 0 && (train->height != test->height || train->width != test->width))
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' has images of %d x %d pixels, but '%s' of %d x %d",
                       pv_idx_path(files->idx[0][IMAGES]), train->height, train->width,
                       pv_idx_path(files->idx[1][IMAGES]), test->height, test->width));
    const int height = own->transpose ? one->width : one->height;
    const int width = own->transpose ? one->height : one->width;
    const bool bytes = (train->count == 0 || train->bytes) && (test->count == 0 || test->bytes) &&
                       (own->white == 0 || own->white == BYTE_WHITE);
    *form = (pv_source_form){.pool = {train->count, test->count},
                             .inputs = 2,
                             .channels = 1,
                             .samples = height * width,
                             .height = height,
                             .width = width,
                             .object_bytes = (int64_t)height * width * (bytes ? 1 : (int)sizeof(float))};
done:
    free(prefix);
    return st;
}

/* ---- what is in them ---- */

/* One file on its way to the objects of the splits. */
typedef struct loading {
    file_set *files;
    const pv_source_form *form;
    const pv_splits *splits;
    int pool;
    const pv_idx *idx;
    const pv_idx_dims *dims;
    pv_source_held *held;
} loading;

/* The object that item `item` of the pool is, -1 if it is in no split. */
static int64_t object_of(const loading *load, int64_t item)
{
    const pv_splits *splits = load->splits;
    int64_t before = 0;
    for (int split = 0; split < PV_SPLITS; split++) {
        const int64_t place = item - splits->first[split];
        if (pv_source_pool(load->form, split) == load->pool && place >= 0 && place < splits->count[split])
            return before + place;
        before += splits->count[split];
    }
    return -1;
}

static pv_status take_image(void *context, int64_t item, const double *pixels)
{
    const loading *load = context;
    const pv_source_form *form = load->form;
    const int64_t object = object_of(load, item), n = form->samples;
    const int down = load->files->transpose ? 1 : form->width,
              along = load->files->transpose ? form->height : 1;
    const double usual = load->dims->whole ? BYTE_WHITE : 1;
    const double white = load->files->white > 0 ? load->files->white : usual;
    if (object < 0) return PV_OK;
    uint8_t *bytes = (uint8_t *)load->held->objects + object * n;
    float *values = (float *)load->held->objects + object * n;
    for (int row = 0; row < form->height; row++, pixels += down)
        for (int column = 0; column < form->width; column++) {
            const double pixel = pixels[column * along];
            if (form->object_bytes == n)
                *bytes++ = (uint8_t)pixel; /* which it was in the file */
            else if (pixel >= 0 && pixel <= white)
                *values++ = (float)(pixel / white);
            else
                return pv_fail(PV_ERR_DATA,
                               "'%s' image %lld has a pixel %g, outside 0 to %g: signal.white is the number "
                               "of a white one",
                               pv_idx_path(load->idx), (long long)item, pixel, white);
        }
    return PV_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Puts a class number among those that were seen. */
static pv_status note_class(file_set *files, int32_t number)
{
    int at = files->classes;
    if (bsearch(&number, files->numbers, (size_t)files->classes, sizeof number, compare_numbers))
        return PV_OK;
    if (files->classes == PV_MAX_CLASSES)
        return pv_fail(PV_ERR_DATA, "more than %d classes", (int)PV_MAX_CLASSES);
    for (; at > 0 && files->numbers[at - 1] > number; at--)
        files->numbers[at] = files->numbers[at - 1];
    files->numbers[at] = number;
    files->classes++;
    return PV_OK;
}

/* Of several numbers the first is the class: the others say where a digit of QMNIST comes from. */
static pv_status take_label(void *context, int64_t item, const double *numbers)
{
    const loading *load = context;
    const int64_t object = object_of(load, item);
    if (!(numbers[0] >= -1 && numbers[0] < INT32_MAX))
        return pv_fail(PV_ERR_DATA,
                       "'%s' row %lld: the label %.0f is no class, expected 0 to %d, or -1 for none",
                       pv_idx_path(load->idx), (long long)item, numbers[0], INT32_MAX - 1);
    if (object >= 0) load->held->labels[object] = (int32_t)numbers[0];
    if (numbers[0] < 0 || note_class(load->files, (int32_t)numbers[0]) == PV_OK) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' row %lld: the label %.0f is one of more than %d classes",
                   pv_idx_path(load->idx), (long long)item, numbers[0], (int)PV_MAX_CLASSES);
}

/* Whether the class numbers are 0, 1, 2, ... without a gap, and so are labels as they stand. */
static bool are_labels(const file_set *files)
{
    return files->classes == 0 || files->numbers[files->classes - 1] == files->classes - 1;
}

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, pv_source_held *held)
{
    file_set *files = reader;
    int32_t *const labels = held->labels;
    int64_t count = 0;
    pv_status st;
    for (int split = 0; split < PV_SPLITS; split++)
        count += splits->count[split];
    for (int64_t i = 0; i < count; i++)
        labels[i] = -1;
    PV_ALLOC(files->numbers, PV_MAX_CLASSES);
    for (int pool = 0; pool < POOLS; pool++)
        for (int file = 0; file < FILES_OF_POOL; file++) {
            pv_idx *idx = files->idx[pool][file];
            loading it = {files, form, splits, pool, idx, &files->dims[pool][file], held};
            if (idx) PV_TRY(pv_idx_read(idx, file == IMAGES ? take_image : take_label, &it));
        }
    st = PV_OK;
    for (int64_t i = 0; !are_labels(files) && i < count; i++)
        if (labels[i] >= 0) {
            const int32_t *number =
                bsearch(&labels[i], files->numbers, (size_t)files->classes, sizeof *labels, compare_numbers);
            labels[i] = (int32_t)(number - files->numbers);
        }
done:
    return st;
}

static pv_status classes(void *reader, int *count, pv_class_name **names)
{
    const file_set *files = reader;
    pv_status st = PV_OK;
    *names = NULL;
    if (are_labels(files)) return PV_OK;
    *count = files->classes;
    PV_ALLOC(*names, files->classes);
    for (int c = 0; c < files->classes; c++)
        snprintf((*names)[c].text, sizeof *names[c], "%d", files->numbers[c]);
done:
    return st;
}

static void close_files(void *reader)
{
    file_set *files = reader;
    for (int pool = 0; pool < POOLS; pool++)
        for (int file = 0; file < FILES_OF_POOL; file++)
            pv_idx_close(files->idx[pool][file]);
    free(files->numbers);
    free(files);
}

/* ---- an object ---- */

static pv_status samples(const pv_source_object *object, float *coords, float *values)
{
    const int n = object->form->samples;
    const uint8_t *pixels = object->bytes;
    (void)coords; /* shared */
    if (object->form->object_bytes > n)
        memcpy(values, object->bytes, (size_t)n * sizeof *values);
    else
        for (int i = 0; i < n; i++)
            values[i] = (float)pixels[i] / BYTE_WHITE;
    return PV_OK;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    return json_pack("{s:s, s:s}", "path", opts->path, "coordinates", pv_grid_words(form));
}

const pv_source pv_source_idx = {
    .plugin =
        {.name = "idx",
         .help =
             "the image and label files of MNIST, FashionMNIST, EMNIST, KMNIST and QMNIST; usual: all, but "
             "for the last 5000 train objects, which are val",
         .options = options,
         .options_size = sizeof(idx_opts)},
    .pools = {"the train file", "the test file", "the train file"},
    .usual = {[PV_SPLIT_TRAIN] = PV_ALL, [PV_SPLIT_VAL] = 5000, [PV_SPLIT_TEST] = PV_ALL},
    .survey = survey,
    .load = load,
    .classes = classes,
    .close = close_files,
    .grid = pv_grid,
    .samples = samples,
    .describe = describe,
};
