/* CIFAR-10 and CIFAR-100 in their binary versions: a record is one label (of CIFAR-100 a coarse one and a
 * fine one) and 32 x 32 pixels in three planes, red, green and blue. */
#include "base/pv_mem.h"
#include "pv_grid.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE = 32, CHANNELS = 3, PIXELS = SIDE * SIDE, OBJECT_BYTES = CHANNELS * PIXELS };
enum { MOST_FILES = 6, MOST_LABELS = 2, WHITE = 255 };
enum { FINE, COARSE };

typedef struct cifar_opts {
    unsigned labels;
} cifar_opts;

static const char *const label_words[] = {"fine", "coarse", NULL};

static const pv_option options[] = {{PV_KEY(cifar_opts, labels), .initial = "fine", .choices = label_words,
                                     .fixes = PV_FIXES_ROWS,
                                     .meaning = "which labels of CIFAR-100: of 100 classes or of 20"},
                                    {0}};

/* What is called a label: a byte of a record, and a file of names. */
typedef struct label_kind {
    int byte, classes;
    const char *names;
} label_kind;

static const struct cifar {
    const char *name, *subdirectory;
    const char *files[MOST_FILES]; /* of train; of test the last */
    int count;
    int label_bytes;
    label_kind labels[MOST_LABELS];
} kinds[] = {
    {"CIFAR-10",
     "cifar-10-batches-bin",
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
      "test_batch.bin"},
     6,
     1,
     {[FINE] = {0, 10, "batches.meta.txt"}}},
    {"CIFAR-100",
     "cifar-100-binary",
     {"train.bin", "test.bin"},
     2,
     2,
     {[FINE] = {1, 100, "fine_label_names.txt"}, [COARSE] = {0, 20, "coarse_label_names.txt"}}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* What a node holds: where records are. */
typedef struct record_files {
    int64_t kind;
    int64_t ends[MOST_FILES]; /* places behind a file's last record */
    char directory[PATH_MAX];
} record_files;

typedef struct cifar_reader {
    record_files files;
    label_kind labels;
} cifar_reader;

static int64_t record_bytes(const record_files *files)
{
    return kinds[files->kind].label_bytes + OBJECT_BYTES;
}

/* ---- which files ---- */

static pv_status path_of(const char *directory, const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX) return PV_OK;
    return pv_fail(PV_ERR_CONFIG, "signal.path is too long: '%s'", directory);
}

/* Whether a directory has any of the files of a kind. */
static bool holds_kind(const char *directory, const struct cifar *kind)
{
    char path[PATH_MAX];
    bool found = false;
    for (int i = 0; i < kind->count; i++)
        found = found || (path_of(directory, kind->files[i], path) == PV_OK && access(path, F_OK) == 0);
    return found;
}

/* The directory of the files: that of the options, or the one in it that the archive unpacks to. */
static pv_status find_kind(const char *given, record_files *files)
{
    char within[PATH_MAX];
    int found = 0;
    for (int k = 0; k < KINDS; k++)
        for (int below = 0; below < 2; below++) {
            const pv_status st = path_of(given, below ? kinds[k].subdirectory : ".", within);
            if (st != PV_OK) return st;
            if (!holds_kind(below ? within : given, &kinds[k])) continue;
            if (found++ > 0)
                return pv_fail(PV_ERR_CONFIG,
                               "'%s' holds both '%s' and '%s': say by signal.path which is meant", given,
                               kinds[files->kind].name, kinds[k].name);
            files->kind = k;
            snprintf(files->directory, PATH_MAX, "%s", below ? within : given);
        }
    if (found == 1) return PV_OK;
    return pv_fail(PV_ERR_IO,
                   "'%s' holds neither data_batch_1.bin and the other files of CIFAR-10's binary version nor "
                   "train.bin and test.bin of CIFAR-100's (config key signal.path)",
                   given);
}

static int pool_of(const struct cifar *kind, int file)
{
    return file == kind->count - 1;
}

/* How many records a file has; none if its pool is not wanted. */
static pv_status count_records(const record_files *files, int file, bool wanted, int64_t *count)
{
    const int64_t bytes = record_bytes(files);
    char path[PATH_MAX];
    struct stat about;
    pv_status st;
    *count = 0;
    PV_TRY(path_of(files->directory, kinds[files->kind].files[file], path));
    if (stat(path, &about) != 0)
        return wanted ? pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno)) : PV_OK;
    if (!S_ISREG(about.st_mode)) return pv_fail(PV_ERR_IO, "'%s' is not a regular file", path);
    if (about.st_size == 0 || about.st_size % bytes != 0)
        return pv_fail(PV_ERR_DATA, "'%s' has %lld bytes, expected records of %lld bytes, as those of %s",
                       path, (long long)about.st_size, (long long)bytes, kinds[files->kind].name);
    *count = about.st_size / bytes;
done:
    return st;
}

static pv_status choose_labels(const pv_signal_opts *opts, cifar_reader *r)
{
    const cifar_opts *own = opts->source.options;
    const struct cifar *kind = &kinds[r->files.kind];
    const unsigned which = own ? own->labels : FINE;
    r->labels = kind->labels[which];
    if (r->labels.names) return PV_OK;
    return pv_fail(PV_ERR_CONFIG,
                   "signal.labels is %s, but '%s' holds %s, which has one label of each object",
                   label_words[which], r->files.directory, kind->name);
}

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    const bool wanted[] = {opts->train != 0 || opts->val != 0, opts->test != 0};
    cifar_reader *r;
    pv_status st;
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: the directory of CIFAR's files");
    PV_ALLOC(r, 1);
    *reader = r;
    PV_TRY(find_kind(opts->path, &r->files));
    PV_TRY(choose_labels(opts, r));
    const struct cifar *kind = &kinds[r->files.kind];
    *form = (pv_source_form){.inputs = 2,
                             .channels = CHANNELS,
                             .samples = PIXELS,
                             .height = SIDE,
                             .width = SIDE,
                             .object_bytes = OBJECT_BYTES,
                             .shared_bytes = sizeof r->files};
    for (int file = 0; file < kind->count; file++) {
        const int pool = pool_of(kind, file);
        int64_t count;
        PV_TRY(count_records(&r->files, file, wanted[pool], &count));
        form->pool[pool] += count;
        r->files.ends[file] = form->pool[0] + form->pool[1];
    }
done:
    return st;
}

/* ---- records ---- */

/* Where is read: the file that is open, and its record. */
typedef struct cursor {
    const record_files *files;
    int file, fd; /* fd -1: none is open */
    int64_t record;
    char path[PATH_MAX];
} cursor;

static pv_status open_record(cursor *at, int64_t place)
{
    const record_files *files = at->files;
    int file = 0;
    while (place >= files->ends[file])
        file++;
    at->record = file > 0 ? place - files->ends[file - 1] : place;
    if (at->fd >= 0 && at->file == file) return PV_OK;
    if (at->fd >= 0) close(at->fd);
    at->fd = -1;
    const pv_status st = path_of(files->directory, kinds[files->kind].files[file], at->path);
    if (st != PV_OK) return st;
    at->file = file;
    at->fd = open(at->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return at->fd >= 0 ? PV_OK : pv_fail(PV_ERR_IO, "cannot open '%s': %s", at->path, strerror(errno));
}

/* Reads `bytes` of the record at a place, from its byte `from` on. */
static pv_status read_record(cursor *at, int64_t place, int64_t from, size_t bytes, void *to)
{
    const pv_status st = open_record(at, place);
    if (st != PV_OK) return st;
    const ssize_t got = pread(at->fd, to, bytes, (off_t)(at->record * record_bytes(at->files) + from));
    if (got < 0) return pv_fail(PV_ERR_IO, "cannot read '%s': %s", at->path, strerror(errno));
    if ((size_t)got == bytes) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends before the end of record %lld", at->path,
                   (long long)at->record);
}

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, pv_source_held *held)
{
    const cifar_reader *r = reader;
    const int64_t objects = splits->count[0] + splits->count[1] + splits->count[2];
    cursor at = {.files = &r->files, .fd = -1};
    pv_status st = PV_OK;
    (void)form;
    memcpy(held->shared, &r->files, sizeof r->files);
    for (int64_t i = 0; st == PV_OK && i < objects; i++) {
        uint8_t label = 0;
        st = read_record(&at, (int64_t)held->ids[i], r->labels.byte, 1, &label);
        held->labels[i] = label;
        if (st == PV_OK && label >= r->labels.classes)
            st = pv_fail(PV_ERR_DATA, "'%s' record %lld has the label %d, expected 0 to %d", at.path,
                         (long long)at.record, label, r->labels.classes - 1);
    }
    if (at.fd >= 0) close(at.fd);
    return st;
}

static pv_status fetch(const pv_source_object *object, void *bytes)
{
    cursor at = {.files = object->shared, .fd = -1};
    const pv_status st =
        read_record(&at, object->place, kinds[at.files->kind].label_bytes, OBJECT_BYTES, bytes);
    if (at.fd >= 0) close(at.fd);
    return st;
}

/* ---- classes ---- */

/* A line of a file of names as a name; an empty one is none. */
static pv_status take_name(const char *path, char *line, int known, int classes, pv_class_name *name)
{
    json_t *text = json_string(line); /* NULL: not UTF-8 */
    json_decref(text);
    if (text && known < classes && strlen(line) < sizeof name->text) {
        snprintf(name->text, sizeof name->text, "%s", line);
        return PV_OK;
    }
    return known >= classes ? pv_fail(PV_ERR_DATA, "'%s' has more than %d names", path, classes)
                            : pv_fail(PV_ERR_DATA, "'%s': name %d is no UTF-8 text of at most %d bytes", path,
                                      known, (int)sizeof name->text - 1);
}

static pv_status read_names(const char *path, int classes, pv_class_name *names)
{
    char line[256];
    int known = 0;
    pv_status st = PV_OK;
    FILE *in = fopen(path, "re");
    if (!in) return pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    while (st == PV_OK && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0') continue; /* published files end in empty lines */
        st = take_name(path, line, known, classes, &names[known]);
        known++;
    }
    if (st == PV_OK && ferror(in)) st = pv_fail(PV_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
    if (st == PV_OK && known < classes)
        st = pv_fail(PV_ERR_DATA, "'%s' has %d names, expected %d", path, known, classes);
    fclose(in);
    return st;
}

static pv_status classes(void *reader, int *count, pv_class_name **names)
{
    const cifar_reader *r = reader;
    char path[PATH_MAX];
    pv_status st;
    *count = r->labels.classes;
    PV_ALLOC(*names, r->labels.classes);
    PV_TRY(path_of(r->files.directory, r->labels.names, path));
    st = read_names(path, r->labels.classes, *names);
done:
    return st;
}

/* ---- an object ---- */

static pv_status samples(const pv_source_object *object, float *coords, float *values)
{
    const uint8_t *planes = object->bytes;
    (void)coords; /* shared */
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < CHANNELS; c++)
            *values++ = (float)planes[c * PIXELS + i] / WHITE;
    return PV_OK;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    return json_pack("{s:s, s:s}", "path", opts->path, "coordinates", pv_grid_words(form));
}

const pv_source pv_source_cifar = {
    .plugin = {.name = "cifar",
               .help =
                   "colour pictures of CIFAR-10 or CIFAR-100, binary version; usual: all, but for the last "
                   "5000 train objects, which are val",
               PV_OWN(options, cifar_opts)},
    .pools = {"the train files", "the test file", "the train files"},
    .usual = {[PV_SPLIT_TRAIN] = PV_ALL, [PV_SPLIT_VAL] = 5000, [PV_SPLIT_TEST] = PV_ALL},
    .survey = survey,
    .load = load,
    .fetch = fetch,
    .classes = classes,
    .close = free,
    .grid = pv_grid,
    .samples = samples,
    .describe = describe,
};
