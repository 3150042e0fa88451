/* Any bytes given to the IDX parser, as a file of images and as one of labels, end in data of the declared
 * size or in a status with a message.  With libFuzzer:
 *     clang -g -O1 -DPV_LIBFUZZER -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/fuzz_idx.c \
 *         src/signal/pv_idx.c src/base/pv_mem.c src/base/pv_log.c -lz
 * Without PV_LIBFUZZER it replays the files named as arguments. */
#include "base/pv_mem.h"
#include "signal/pv_idx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void broken(const char *what)
{
    fprintf(stderr, "broken promise: %s (last failure: %s)\n", what, pv_fail_message());
    abort();
}

/* Reads the whole file and, into a buffer of exactly their size, its second half of items. */
static void parse(const char *path, pv_idx_kind kind)
{
    pv_idx *idx;
    pv_idx_dims dims;
    pv_status st = pv_idx_open(path, kind, &idx, &dims);
    if (st == PV_OK) {
        const int64_t half = dims.count / 2, count = dims.count - half;
        const int64_t wanted = count * dims.height * dims.width;
        uint8_t *to = malloc((size_t)wanted);
        if (!to) broken("dimensions that passed can be allocated");
        st = pv_idx_read(idx, &(pv_idx_range){half, count, to}, 1);
        for (int64_t i = 0; st == PV_OK && kind == PV_IDX_LABELS && i < wanted; i++)
            if (to[i] >= PV_IDX_CLASSES) broken("labels that passed are in range");
        free(to);
        pv_idx_close(idx);
    }
    if (st != PV_OK && st != PV_ERR_DATA) broken("a bad file is PV_ERR_DATA");
    if (st != PV_OK && !strstr(pv_fail_message(), path)) broken("a message names the file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[48];
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes) broken("a memory file can be written");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    parse(path, PV_IDX_IMAGES);
    parse(path, PV_IDX_LABELS);
    close(fd);
    return 0;
}

#ifndef PV_LIBFUZZER
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        uint8_t *data = pv_alloc(1 << 24, 1);
        if (!file || !data) {
            perror(argv[i]);
            return 1;
        }
        const size_t bytes = fread(data, 1, 1 << 24, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, bytes);
        free(data);
    }
    printf("%d files replayed\n", argc - 1);
    return 0;
}
#endif
