/* Any bytes given to the IDX parser, as a file of images and as one of labels, end in data of the declared
 * size or in a status with a message. */
#include "fuzz.h"
#include "signal/pv_idx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
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
        fuzz_require(to != NULL, "dimensions that passed can be allocated");
        st = pv_idx_read(idx, &(pv_idx_range){half, count, to}, 1);
        for (int64_t i = 0; st == PV_OK && kind == PV_IDX_LABELS && i < wanted; i++)
            fuzz_require(to[i] < PV_IDX_CLASSES, "labels that passed are in range");
        free(to);
        pv_idx_close(idx);
    }
    fuzz_require(st == PV_OK || st == PV_ERR_DATA, "a bad file is PV_ERR_DATA");
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), path), "a message names the file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[48];
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes, "a memory file can be written");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    parse(path, PV_IDX_IMAGES);
    parse(path, PV_IDX_LABELS);
    close(fd);
    return 0;
}
