/* Sources of signals: the same objects on any number of ranks. */
#include "pv_mpi_test.h"
#include "base/pv_mem.h"
#include "signal/pv_signal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define FASHION_MNIST "/usr/share/datasets/fashion-mnist"

enum { TRAIN = 30, TEST = 12, HEIGHT = 4, WIDTH = 3, SAMPLES = HEIGHT * WIDTH, PATH_ROOM = 160 };

static const char *const files[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

static char directory[48]; /* the same on all ranks */

/* The made-up data: pixel p and label of the object with a source id. */
static uint8_t pixel_of(uint64_t source, int p)
{
    return (uint8_t)(source * 7 + (uint64_t)p * 20);
}
static uint8_t label_of(uint64_t source)
{
    return (uint8_t)(source * source % 8);
}

/* The labels of the files are 0, 1 and 4: three classes. */
static int class_of(uint64_t source)
{
    return label_of(source) == 4 ? 2 : label_of(source);
}

static void path_of(const char *set, const char *file, const char *suffix, char *path)
{
    snprintf(path, PATH_ROOM, "%s/%s%s%s%s", directory, set, file ? "/" : "", file ? file : "", suffix);
}

static void write_file(const char *set, const char *file, const uint8_t *bytes, size_t n, bool gzip)
{
    char path[PATH_ROOM];
    path_of(set, file, gzip ? ".gz" : "", path);
    gzFile out = gzopen(path, gzip ? "wb" : "wbT"); /* T: no compression, no wrapper */
    if (!out || gzwrite(out, bytes, (unsigned)n) != (int)n) perror(path);
    if (out) gzclose(out);
}

/* One of the four files with `count` items from source id `first` on. */
static void write_part(const char *set, int file, int first, int count, bool gzip)
{
    const bool images = file % 2 == 0;
    uint8_t bytes[16 + 64 * SAMPLES] = {0, 0, 8, images ? 3 : 1, 0, 0, 0, (uint8_t)count};
    size_t n = 8;
    if (images) {
        bytes[11] = HEIGHT;
        bytes[15] = WIDTH;
        n = 16;
    }
    for (int i = 0; i < count; i++)
        for (int p = 0; p < (images ? SAMPLES : 1); p++)
            bytes[n++] = images ? pixel_of((uint64_t)(first + i), p) : label_of((uint64_t)(first + i));
    write_file(set, files[file], bytes, n, gzip);
}

static void write_set(const char *set, bool gzip)
{
    char path[PATH_ROOM];
    path_of(set, NULL, "", path);
    if (mkdir(path, 0700) != 0) perror(path);
    for (int file = 0; file < 4; file++)
        write_part(set, file, file < 2 ? 0 : TRAIN, file < 2 ? TRAIN : TEST, gzip);
}

static void remove_set(const char *set)
{
    char path[PATH_ROOM];
    for (int file = 0; file < 4; file++) {
        path_of(set, files[file], "", path);
        unlink(path);
        path_of(set, files[file], ".gz", path);
        unlink(path);
    }
    path_of(set, "t10k-labels-idx1-byte", "", path);
    unlink(path);
    path_of(set, NULL, "", path);
    rmdir(path);
}

static void make_directory(const pv_comm *comm)
{
    if (comm->rank == 0) {
        snprintf(directory, sizeof directory, "/tmp/polyview-signal-XXXXXX");
        if (!mkdtemp(directory)) perror(directory);
        write_set("plain", false);
        write_set("gzip", true);
    }
    MPI_Bcast(directory, sizeof directory, MPI_CHAR, 0, comm->world);
}

static void remove_directory(const pv_comm *comm)
{
    MPI_Barrier(comm->world);
    if (comm->rank != 0) return;
    remove_set("plain");
    remove_set("gzip");
    rmdir(directory);
}

static pv_signal_opts options(char *path)
{
    return (pv_signal_opts){.path = path, .train = 11, .val = 5, .test = 4, .val_first = -1};
}

/* Opens `set`, which must succeed, with the ranks split into nodes of node_ranks. */
static pv_signal *opened(const pv_comm *comm, const char *set, pv_signal_opts opts)
{
    char path[PATH_ROOM];
    pv_signal *signal;
    path_of(set, NULL, "", path);
    opts.path = path;
    pv_test_check(comm, pv_signal_open(comm, &opts, &signal) == PV_OK, "a well-formed set opens");
    return signal;
}

static bool object_is(const pv_signal *signal, int64_t object, int split, uint64_t source)
{
    float values[SAMPLES];
    pv_source_object held;
    bool holds = pv_signal_take(signal, object, &held) == PV_OK &&
                 pv_signal_samples(signal, object, NULL, values) == PV_OK &&
                 pv_signal_split(signal, object) == split && pv_signal_source_id(signal, object) == source &&
                 pv_signal_label(signal, object) == class_of(source);
    for (int p = 0; p < SAMPLES; p++)
        holds = holds && ((const uint8_t *)held.bytes)[p] == pixel_of(source, p) &&
                values[p] == (float)pixel_of(source, p) / 255.0f;
    return holds;
}

static void splits_are_numbered_train_val_test(const pv_comm *comm, const char *set)
{
    pv_signal *signal = opened(comm, set, options(NULL));
    if (!signal) return;
    bool holds = pv_signal_objects(signal) == 11 + 5 + 4;
    for (int i = 0; holds && i < 20; i++) {
        if (i < 11) holds = object_is(signal, i, PV_SPLIT_TRAIN, (uint64_t)i);
        if (i >= 11 && i < 16) holds = object_is(signal, i, PV_SPLIT_VAL, (uint64_t)(TRAIN - 5 + i - 11));
        if (i >= 16) holds = object_is(signal, i, PV_SPLIT_TEST, (uint64_t)(TRAIN + i - 16));
    }
    pv_test_check(comm, holds, "objects are train, val (the train file's last), test, with their own pixels");
    pv_test_check(comm,
                  pv_signal_form(signal)->height == HEIGHT && pv_signal_form(signal)->width == WIDTH &&
                      pv_signal_form(signal)->channels == 1 && pv_signal_form(signal)->samples == SAMPLES,
                  "the shape is the header's");
    pv_signal_close(signal);
}

static void source_ids_stay_when_splits_grow(const pv_comm *comm)
{
    pv_signal_opts opts = options(NULL);
    opts.train_first = 3;
    opts.train = 4;
    opts.val_first = 0;
    opts.val = 3;
    opts.test_first = TEST - 2;
    opts.test = 2;
    pv_signal *signal = opened(comm, "plain", opts);
    if (!signal) return;
    pv_test_check(comm,
                  object_is(signal, 0, PV_SPLIT_TRAIN, 3) && object_is(signal, 6, PV_SPLIT_VAL, 2) &&
                      object_is(signal, 7, PV_SPLIT_TEST, TRAIN + TEST - 2) &&
                      object_is(signal, 8, PV_SPLIT_TEST, TRAIN + TEST - 1),
                  "source ids are places in the train file, then the test file");
    pv_signal_close(signal);
    opts = (pv_signal_opts){.train = TRAIN, .val_first = -1, .test = TEST};
    signal = opened(comm, "gzip", opts);
    if (!signal) return;
    bool holds = pv_signal_objects(signal) == TRAIN + TEST;
    for (int i = 0; i < TRAIN + TEST; i++)
        holds = holds && object_is(signal, i, i < TRAIN ? PV_SPLIT_TRAIN : PV_SPLIT_TEST, (uint64_t)i);
    pv_test_check(comm, holds, "whole files without a val split");
    const pv_class_name *names = pv_signal_class_names(signal);
    pv_test_check(comm,
                  pv_signal_classes(signal) == 3 && names && strcmp(names[0].text, "0") == 0 &&
                      strcmp(names[1].text, "1") == 0 && strcmp(names[2].text, "4") == 0,
                  "classes are those of the files, without gaps, and keep their numbers as names");
    pv_signal_close(signal);
}

static void coordinates_run_from_minus_one_to_one(const pv_comm *comm)
{
    pv_signal *signal = opened(comm, "plain", options(NULL));
    if (!signal) return;
    const float *c = pv_signal_coords(signal);
    bool holds = true;
    for (int i = 0; i < SAMPLES; i++) {
        const double x = -1 + 2.0 * (i % WIDTH) / (WIDTH - 1), y = -1 + 2.0 * (i / WIDTH) / (HEIGHT - 1);
        holds = holds && c[2 * i] == (float)x && c[2 * i + 1] == (float)y;
    }
    pv_test_check(comm, holds, "coordinates are x then y, x fastest, linspace(-1, 1)");
    pv_signal_close(signal);
}

static void a_node_holds_one_copy(const pv_comm *parent, int node_ranks)
{
    pv_comm comm;
    pv_comm_open(parent->world, node_ranks, &comm);
    pv_signal *signal = opened(&comm, "gzip", options(NULL));
    if (signal) {
        /* A mark made by the first rank of a node must be seen by its other ranks and by no other node. */
        pv_source_object held;
        pv_signal_take(signal, 2, &held);
        uint8_t *shared = (uint8_t *)(uintptr_t)held.bytes;
        MPI_Barrier(comm.world);
        if (comm.node_rank == 0) shared[0] = (uint8_t)(100 + comm.node_index);
        MPI_Barrier(comm.world);
        pv_test_check(&comm, shared[0] == 100 + comm.node_index, "the ranks of a node share one copy");
        pv_signal_close(signal);
    }
    pv_comm_close(&comm);
}

/* Every rank gets `expected` and the same message, which has `words`. */
static void refused(const pv_comm *comm, const pv_signal_opts *opts, pv_status expected, const char *words)
{
    char statement[200], first[1536] = "";
    pv_signal *signal = NULL;
    const pv_status st = pv_signal_open(comm, opts, &signal);
    if (comm->rank == 0) snprintf(first, sizeof first, "%s", pv_fail_message());
    MPI_Bcast(first, sizeof first, MPI_CHAR, 0, comm->world);
    snprintf(statement, sizeof statement, "all ranks are told: %s", words);
    pv_test_check(comm,
                  st == expected && !signal && strstr(pv_fail_message(), words) &&
                      strcmp(first, pv_fail_message()) == 0,
                  statement);
}

static void ranges_that_do_not_fit_are_refused(const pv_comm *comm)
{
    char path[PATH_ROOM];
    path_of("plain", NULL, "", path);
    static const struct {
        double train, val, test;
        int64_t train_first, val_first, test_first;
        const char *words;
    } cases[] = {
        {31, 0, 4, 0, -1, 0, "signal.train is 31, but the train file has 30 objects"},
        {20, 31, 4, 0, -1, 0, "signal.val is 31, but"},
        {20, 5, 13, 0, -1, 0, "signal.test is 13, but the test file has 12 objects"},
        {-3, 5, 4, 0, -1, 0, "signal.train is -3, expected a whole number, a share below 1, or all"},
        {2.5, 5, 4, 0, -1, 0, "signal.train is 2.5, expected a whole number"},
        {20, -1e300, 4, 0, -1, 0, "signal.val is -1e+300, expected a whole number"},
        {20, PV_ALL, 4, 0, -1, 0, "signal.val is all, but it is taken from the train file: say how many"},
        {20, 5, 4, 11, -1, 0, "signal.train_first is 11, expected 0 to 10"},
        {20, 5, 4, 0, -2, 0, "signal.val_first is -2, expected 0 to 25"},
        {20, 5, 4, 0, INT64_MAX, 0, "signal.val_first is 9223372036854775807"},
        {20, 5, 4, 0, -1, 9, "signal.test_first is 9, expected 0 to 8"},
        {26, 5, 4, 0, -1, 0, "signal.train and signal.val overlap: objects 0 to 25 and 25 to 29"},
        {20, 5, 4, 3, 0, 0, "signal.train and signal.val overlap: objects 3 to 22 and 0 to 4"},
        {0, 0, 0, 0, -1, 0, "signal.train, signal.val and signal.test are all 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pv_signal_opts opts = {.path = path,
                                     .train = cases[i].train,
                                     .val = cases[i].val,
                                     .test = cases[i].test,
                                     .train_first = cases[i].train_first,
                                     .val_first = cases[i].val_first,
                                     .test_first = cases[i].test_first};
        refused(comm, &opts, PV_ERR_CONFIG, cases[i].words);
    }
    const pv_signal_opts nowhere = options(NULL);
    refused(comm, &nowhere, PV_ERR_CONFIG, "signal.path is missing");
}

/* Writes the set "bad", well-formed but for one defect. */
static void write_spoiled(int defect)
{
    const uint8_t labels[12] = {0, 0, 9, 1, 0, 0, 0, 4, 1, 2, 3, 0x100 - 77};
    const uint8_t image[17] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9};
    char path[PATH_ROOM];
    write_set("bad", false);
    path_of("bad", files[defect == 0 ? 0 : 2], "", path);
    switch (defect) {
    case 0:
        unlink(path);
        break;
    case 1:
        write_file("bad", files[0], labels, sizeof labels, false);
        break;
    case 2:
        write_part("bad", 1, 0, TRAIN - 1, false);
        break;
    case 3:
        write_file("bad", files[1], labels, 3, false);
        break;
    case 4:
        if (truncate(path, 40) != 0) perror(path);
        break;
    case 5:
        write_file("bad", files[2], image, sizeof image, false);
        write_part("bad", 3, TRAIN, 1, false);
        break;
    case 6:
        write_part("bad", 3, TRAIN, TEST + 2, false);
        break;
    default:
        path_of("bad", files[3], "", path);
        unlink(path);
        write_part("bad", 2, TRAIN, 4, false);
        write_file("bad", "t10k-labels-idx1-byte", labels, sizeof labels, false);
    }
}

static void bad_files_are_refused_on_all_ranks(const pv_comm *comm)
{
    static const struct {
        pv_status expected;
        const char *words;
    } cases[] = {
        {PV_ERR_IO, "holds no file train-images-idx3-ubyte or the like"},
        {PV_ERR_DATA, "train-images-idx3-ubyte' has the magic number 0x0901: 1 dimensions, expected 3"},
        {PV_ERR_DATA, "train-labels-idx1-ubyte' has 29 labels"},
        {PV_ERR_DATA, "train-labels-idx1-ubyte' is truncated"},
        {PV_ERR_DATA, "t10k-images-idx3-ubyte' is truncated"},
        {PV_ERR_DATA, "t10k-images-idx3-ubyte' of 1 x 1"},
        {PV_ERR_DATA, "t10k-labels-idx1-ubyte' has 14 labels"},
        {PV_ERR_DATA, "t10k-labels-idx1-byte' row 3: the label -77 is no class"},
    };
    char path[PATH_ROOM];
    path_of("bad", NULL, "", path);
    const pv_signal_opts opts = options(path);
    for (int defect = 0; defect < (int)(sizeof cases / sizeof *cases); defect++) {
        if (comm->rank == 0) write_spoiled(defect);
        MPI_Barrier(comm->world);
        refused(comm, &opts, cases[defect].expected, cases[defect].words);
        if (comm->rank == 0) remove_set("bad");
    }
}

static void damage_at_the_end_of_a_gzip_file_is_refused(const pv_comm *comm)
{
    char path[PATH_ROOM], file[PATH_ROOM];
    struct stat about;
    path_of("bad", NULL, "", path);
    path_of("bad", files[0], ".gz", file);
    const pv_signal_opts opts = options(path);
    if (comm->rank == 0) {
        write_set("bad", true);
        if (stat(file, &about) != 0 || truncate(file, about.st_size - 1) != 0) perror(file);
    }
    MPI_Barrier(comm->world);
    refused(comm, &opts, PV_ERR_DATA, "train-images-idx3-ubyte.gz' is truncated");
    if (comm->rank == 0) remove_set("bad");
}

/* The last node finds `set` (none of that name: nothing) where the others find the good one: all ranks get
 * one path, which leads every node into a directory of its own. */
static void one_node_differs(const pv_comm *parent, const char *set, pv_status expected, const char *words)
{
    pv_comm comm;
    char own[PATH_ROOM], start[PATH_ROOM];
    pv_comm_open(parent->world, 1, &comm);
    path_of(comm.node_index == comm.nodes - 1 ? set : "plain", NULL, "", own);
    pv_test_check(&comm, getcwd(start, sizeof start) && (chdir(own) == 0 || chdir("/") == 0),
                  "every node has a directory of its own");
    const pv_signal_opts opts = options("/proc/self/cwd");
    refused(&comm, &opts, expected, words);
    char origin[32];
    snprintf(origin, sizeof origin, "rank %d on ", comm.size - 1);
    pv_test_check(&comm, strncmp(pv_fail_message(), origin, strlen(origin)) == 0,
                  "the message names the rank that met it");
    pv_test_check(&comm, chdir(start) == 0, "every node is back");
    pv_comm_close(&comm);
}

static void nodes_must_see_the_same_files(const pv_comm *comm)
{
    one_node_differs(comm, "absent", PV_ERR_IO, "holds no file train-images-idx3-ubyte");
    if (comm->size == 1) return;
    if (comm->rank == 0) {
        write_set("bad", false);
        write_part("bad", 0, 1, TRAIN, false); /* well-formed, but other pixels */
    }
    MPI_Barrier(comm->world);
    one_node_differs(comm, "bad", PV_ERR_DATA, "are not those on the node of rank 0");
    MPI_Barrier(comm->world);
    if (comm->rank == 0) remove_set("bad");
}

static void the_plain_file_is_taken_where_both_exist(const pv_comm *comm)
{
    if (comm->rank == 0) {
        write_set("bad", false);
        write_file("bad", files[0], (const uint8_t *)"no IDX file", 11, true);
    }
    MPI_Barrier(comm->world);
    pv_signal *signal = opened(comm, "bad", options(NULL));
    pv_test_check(comm, signal && object_is(signal, 0, PV_SPLIT_TRAIN, 0),
                  "the plain file is taken where both exist");
    pv_signal_close(signal);
    MPI_Barrier(comm->world);
    if (comm->rank == 0) remove_set("bad");
}

static void fashion_mnist_opens(const pv_comm *comm)
{
    int there = access(FASHION_MNIST "/train-images-idx3-ubyte.gz", R_OK) == 0;
    MPI_Bcast(&there, 1, MPI_INT, 0, comm->world);
    if (!there) {
        pv_test_check(comm, true, "FashionMNIST opens # SKIP " FASHION_MNIST " is not installed");
        return;
    }
    char path[] = FASHION_MNIST;
    const pv_signal_opts opts = {.path = path, .train = 55000, .val = 5000, .test = 10000, .val_first = -1};
    pv_signal *signal;
    pv_test_check(comm, pv_signal_open(comm, &opts, &signal) == PV_OK, "FashionMNIST opens");
    if (!signal) return;
    int64_t trained[10] = {0}, tested[10] = {0};
    float values[28 * 28], low = 1, high = 0;
    for (int64_t i = 0; i < pv_signal_objects(signal); i++) {
        (pv_signal_split(signal, i) == PV_SPLIT_TEST ? tested : trained)[pv_signal_label(signal, i)]++;
        if (i % 100 != 0) continue;
        pv_signal_samples(signal, i, NULL, values);
        for (int p = 0; p < 28 * 28; p++) {
            low = values[p] < low ? values[p] : low;
            high = values[p] > high ? values[p] : high;
        }
    }
    bool holds = pv_signal_objects(signal) == 70000 && pv_signal_classes(signal) == 10;
    for (int c = 0; c < 10; c++)
        holds = holds && trained[c] == 6000 && tested[c] == 1000;
    pv_test_check(comm, holds, "FashionMNIST has 70000 objects, 6000 and 1000 of each class");
    pv_test_check(comm, low == 0 && high == 1, "FashionMNIST's values fill [0, 1]");
    pv_signal_close(signal);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    make_directory(&comm);
    splits_are_numbered_train_val_test(&comm, "plain");
    splits_are_numbered_train_val_test(&comm, "gzip");
    source_ids_stay_when_splits_grow(&comm);
    coordinates_run_from_minus_one_to_one(&comm);
    for (int node_ranks = 1; node_ranks <= 3; node_ranks++)
        a_node_holds_one_copy(&comm, node_ranks);
    ranges_that_do_not_fit_are_refused(&comm);
    bad_files_are_refused_on_all_ranks(&comm);
    damage_at_the_end_of_a_gzip_file_is_refused(&comm);
    nodes_must_see_the_same_files(&comm);
    the_plain_file_is_taken_where_both_exist(&comm);
    fashion_mnist_opens(&comm);
    remove_directory(&comm);
    return pv_test_end(&comm);
}
