/* Any files given to the reader of CIFAR, cut, with any labels and names, end in objects or in a status with
 * a message that names the directory.  An input says how many records every file has, and what is wrong. */
#include "fuzz.h"
#include "signal/pv_splits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 6, MOST_RECORDS = 3, PIXELS = 3072, FORMATS = 2 };

static const char *const names[FORMATS][FILES] = {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                   "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"},
                                                  {"train.bin", "test.bin"}};
static const char *const words[] = {"batches.meta.txt", "fine_label_names.txt", "coarse_label_names.txt"};
enum { WORDS = sizeof words / sizeof *words };

static char directory[64];
static int place; /* its descriptor */

static void clear(void)
{
    for (int format = 0; format < FORMATS; format++)
        for (int file = 0; file < FILES && names[format][file]; file++)
            unlinkat(place, names[format][file], 0);
    for (int file = 0; file < WORDS; file++)
        unlinkat(place, words[file], 0);
}

static void leave(void)
{
    clear();
    rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *above = getenv("TMPDIR");
    (void)argc, (void)argv;
    snprintf(directory, sizeof directory, "%.40s/polyview-XXXXXX", above ? above : "/tmp");
    fuzz_require(mkdtemp(directory) && (place = open(directory, O_RDONLY | O_DIRECTORY)) >= 0,
                 "a directory can be made");
    atexit(leave);
    return 0;
}

typedef struct input {
    const uint8_t *at, *end;
} input;

static uint8_t next(input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static void write_file(const char *name, const void *bytes, size_t count)
{
    const int fd = openat(place, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_require(fd >= 0 && write(fd, bytes, count) == (ssize_t)count, "a file can be written");
    close(fd);
}

/* Some records with labels from the input, and a few bytes more or less. */
static void write_records(const char *name, int label_bytes, uint8_t how, input *in)
{
    static uint8_t bytes[MOST_RECORDS * (PIXELS + 2) + 4];
    const int count = how & 3, excess = how & 4 ? (how >> 3 & 3) - 2 : 0;
    const size_t record = (size_t)(PIXELS + label_bytes);
    for (int i = 0; i < count; i++)
        for (int label = 0; label < label_bytes; label++)
            bytes[(size_t)i * record + (size_t)label] = next(in);
    if (!(how & 32))
        write_file(name, bytes, (size_t)count * record + (size_t)(count + excess > 0 ? excess : 0));
}

static void look_at_objects(const pv_source *source, const pv_source_form *form, const pv_splits *splits,
                            const pv_source_held *held, int classes)
{
    uint8_t bytes[PIXELS];
    float values[PIXELS];
    for (int64_t i = 0; i < pv_splits_objects(splits); i++) {
        const pv_source_object one = {.form = form,
                                      .shared = held->shared,
                                      .id = held->ids[i],
                                      .place = pv_splits_place(form, splits, i)};
        const pv_source_object it = {form, held->shared, bytes, one.id, one.place, NULL};
        fuzz_require(held->labels[i] >= 0 && held->labels[i] < classes, "a label is of a class");
        fuzz_require(source->fetch(&one, bytes) == PV_OK, "an object whose label was read is there");
        fuzz_require(source->samples(&it, NULL, values) == PV_OK, "its values are");
        for (int v = 0; v < PIXELS; v++)
            fuzz_require(values[v] >= 0 && values[v] <= 1, "values are in [0, 1]");
    }
}

static pv_status look(const pv_source *source, const pv_signal_opts *opts)
{
    enum { MOST = FILES * MOST_RECORDS };
    pv_source_form form = {0};
    pv_splits splits;
    pv_class_name *class_names = NULL;
    int32_t labels[MOST];
    uint64_t ids[MOST];
    int classes = 0;
    void *reader = NULL;
    pv_source_held held = {.labels = labels, .ids = ids};
    const pv_signal_opts wishes = pv_splits_wishes(source, opts);
    pv_status st;
    PV_TRY(source->survey(&wishes, &form, &reader));
    PV_TRY(pv_splits_plan(source, opts, &form, &splits));
    held.shared = malloc((size_t)form.shared_bytes);
    for (int64_t i = 0; i < pv_splits_objects(&splits); i++)
        ids[i] = (uint64_t)pv_splits_place(&form, &splits, i);
    PV_TRY(source->load(reader, &form, &splits, &held));
    PV_TRY(source->classes(reader, &classes, &class_names));
    look_at_objects(source, &form, &splits, &held, classes);
done:
    if (reader) source->close(reader);
    free(held.shared);
    free(class_names);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    input in = {data, data + bytes};
    const uint8_t how = next(&in);
    const int format = how & 1;
    unsigned kind = how >> 1 & 1; /* cifar_opts */
    const pv_signal_opts opts = {.source = {&pv_source_cifar.plugin, &kind},
                                 .path = directory,
                                 .train = PV_USUAL,
                                 .val = how >> 2 & 3,
                                 .test = how & 16 ? 0 : PV_USUAL,
                                 .val_first = -1};
    clear();
    for (int file = 0; file < FILES && names[format][file]; file++)
        write_records(names[format][file], format + 1, next(&in), &in);
    if (how & 32) write_records(names[!format][0], 2 - format, next(&in), &in);
    const size_t left = (size_t)(in.end - in.at), cut = how & 64 ? left / 2 : left;
    if (!(how & 128)) {
        write_file(words[format == 0 ? 0 : 1 + kind], in.at, cut);
        if (format == 1) write_file(words[2 - kind], in.at + cut, left - cut);
    }
    const pv_status st = look(&pv_source_cifar, &opts);
    fuzz_require(st == PV_OK || st == PV_ERR_DATA || st == PV_ERR_IO || st == PV_ERR_CONFIG,
                 "bad files are told so");
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), opts.path) || strstr(pv_fail_message(), "signal."),
                 "a message names the file or the key");
    return 0;
}
