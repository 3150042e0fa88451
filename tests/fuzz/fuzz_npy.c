/* Any bytes given as a .npy file end in elements as many as its header declares, or in a status with a
 * message. */
#include "fuzz.h"
#include "signal/pv_npy.h"

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

static void read_all(const pv_npy *npy, const pv_array_form *form)
{
    char text[32];
    pv_status st = PV_OK;
    double *numbers = malloc((size_t)(form->rows * form->row) * sizeof *numbers);
    fuzz_require(numbers != NULL, "no more elements than bytes");
    if (form->kind != PV_ARRAY_TEXT) {
        st = pv_npy_numbers(npy, 0, form->rows, numbers);
        fuzz_require(st == PV_OK, "an array of an open file can be read");
        fuzz_require(pv_npy_numbers(npy, form->rows - 1, 1, numbers) == PV_OK, "and its last row");
    }
    for (int64_t row = 0; form->kind == PV_ARRAY_TEXT && form->row == 1 && row < form->rows; row++) {
        st = pv_npy_text(npy, row, text, sizeof text);
        fuzz_require(st == PV_OK || st == PV_ERR_DATA, "a text is read, or is too long");
        fuzz_require(strnlen(text, sizeof text) < sizeof text, "a text ends");
    }
    free(numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[48];
    pv_npy *npy = NULL;
    pv_array_form form;
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes, "a memory file can be written");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const pv_status st = pv_npy_open(path, &npy, &form);
    fuzz_require((st == PV_OK) == (npy != NULL), "a file is open or there is an error");
    fuzz_require(st == PV_OK || st == PV_ERR_DATA, "a bad file is PV_ERR_DATA");
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), path), "a message names the file");
    if (npy) read_all(npy, &form);
    pv_npy_close(npy);
    close(fd);
    return 0;
}
