/* Small data sets and stores for tests. */
#include "pv_test_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 4, TRAIN_FILE = PV_TEST_TRAIN + PV_TEST_VAL, FILES = 4 };

static const char *const names[FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

static void write_idx(const char *directory, int file)
{
    const int images = file % 2 == 0, count = file < 2 ? TRAIN_FILE : PV_TEST_TEST;
    char path[PV_TEST_PATH];
    snprintf(path, sizeof path, "%s/%s", directory, names[file]);
    unsigned char bytes[16 + TRAIN_FILE * SIDE * SIDE] = {0, 0, 8, images ? 3 : 1,
                                                          0, 0, 0, (unsigned char)count};
    size_t n = 8;
    if (images) {
        bytes[11] = bytes[15] = SIDE;
        n = 16;
    }
    for (int i = 0; i < count; i++)
        for (int p = 0; p < (images ? SIDE * SIDE : 1); p++)
            bytes[n++] = (unsigned char)(images ? 5 * i + 11 * p : i % PV_TEST_CLASSES);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, n, out) != n) perror(path);
    if (out) fclose(out);
}

void pv_test_files_make(const pv_comm *comm, pv_test_files *files)
{
    if (comm->rank == 0) {
        const char *place = getenv("TMPDIR");
        snprintf(files->directory, sizeof files->directory, "%.20s/polyview-test-XXXXXX",
                 place && strlen(place) <= 20 ? place : "/tmp");
        if (!mkdtemp(files->directory)) perror(files->directory);
        for (int file = 0; file < FILES; file++)
            write_idx(files->directory, file);
        snprintf(files->store, sizeof files->store, "%s/store.h5", files->directory);
        snprintf(files->other, sizeof files->other, "%s/other.h5", files->directory);
    }
    MPI_Bcast(files, sizeof *files, MPI_BYTE, 0, comm->world);
}

void pv_test_files_remove(const pv_comm *comm, const pv_test_files *files)
{
    MPI_Barrier(comm->world);
    if (comm->rank != 0) return;
    for (int file = 0; file < FILES; file++) {
        char path[PV_TEST_PATH];
        snprintf(path, sizeof path, "%s/%s", files->directory, names[file]);
        unlink(path);
    }
    unlink(files->store);
    unlink(files->other);
    if (rmdir(files->directory) != 0) perror(files->directory);
}

pv_signal *pv_test_signal(const pv_comm *comm, const pv_test_files *files)
{
    char path[PV_TEST_PATH];
    pv_signal *signal = NULL;
    snprintf(path, sizeof path, "%s", files->directory);
    const pv_signal_opts opts = {
        .path = path, .train = PV_TEST_TRAIN, .val = PV_TEST_VAL, .test = PV_TEST_TEST, .val_first = -1};
    return pv_signal_open(comm, &opts, &signal) == PV_OK ? signal : NULL;
}

pv_arch pv_test_arch(void)
{
    return (pv_arch){.layers = 3, .dims = {2, 5, 4, 1}, .w0 = 30, .offset = 0.5F};
}

pv_status pv_test_store_create(const pv_comm *comm, const pv_test_files *files, const char *path)
{
    pv_signal *signal = pv_test_signal(comm, files);
    if (!signal) return PV_ERR_IO;
    const pv_arch arch = pv_test_arch();
    const pv_store_spec spec = {signal, &arch, "dwsnets", PV_TEST_VIEWS, "fit: {views: 3}\n"};
    const pv_status st = pv_store_create(comm, path, &spec, NULL);
    pv_signal_close(signal);
    return st;
}

float pv_test_entry(int64_t view, int64_t object, int p)
{
    return (float)(1000 * view + object) + (float)p / 64;
}
