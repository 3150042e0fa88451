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

/* The next item that must be given, of so many numbers. */
typedef struct expected {
    int64_t item;
    size_t numbers;
} expected;

static pv_status take(void *context, int64_t item, const double *numbers)
{
    expected *next = context;
    double *copy = malloc(next->numbers * sizeof *copy);
    fuzz_require(copy && item == next->item++, "items come in order");
    memcpy(copy, numbers, next->numbers * sizeof *copy);
    free(copy);
    return PV_OK;
}

static void parse(const char *path, pv_idx_kind kind)
{
    pv_idx *idx;
    pv_idx_dims dims;
    pv_status st = pv_idx_open(path, kind, &idx, &dims);
    if (st == PV_OK) {
        expected next = {0, (size_t)dims.height * (size_t)dims.width};
        st = pv_idx_read(idx, take, &next);
        fuzz_require(st != PV_OK || next.item == dims.count, "as many items as declared");
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
