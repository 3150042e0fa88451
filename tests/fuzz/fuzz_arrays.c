/* Crafted HDF5 files of arrays end in a signal whose objects can be taken, or in a status with a message;
 * nothing stays open after. */
#include "craft.h"
#include "fuzz.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "config/pv_option.h"
#include "parallel/pv_h5.h"
#include "signal/pv_array.h"
#include "signal/pv_signal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond so many elements an array is only opened: to read it would take long, and not be an error. */
enum { OBJECTS = 9, SIDE = 6, MOST_ELEMENTS = 1 << 16 };

static const char *const attributes[] = {"class_names", "other"};
static const char *const datasets[] = {"/images", "/labels", "/split", "/targets", "/class_names", "/more"};
static const craft_names names = {attributes, datasets, sizeof attributes / sizeof *attributes,
                                  sizeof datasets / sizeof *datasets};

static pv_comm comm;
static char path[256];
static craft_image whole;
static void *options;

static void put(hid_t file, const char *name, hid_t type, int rank, const hsize_t *size, const void *data)
{
    const hid_t space = H5Screate_simple(rank, size, NULL);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    fuzz_require(set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0,
                 "a valid array is written");
    H5Dclose(set);
    H5Sclose(space);
}

static void make_arrays(void)
{
    float images[OBJECTS * SIDE * SIDE], targets[OBJECTS * 2];
    int32_t labels[OBJECTS], split[OBJECTS];
    const hid_t text = H5Tcopy(H5T_C_S1), file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < OBJECTS * SIDE * SIDE; i++)
        images[i] = (float)(i % 13 - 5);
    for (int i = 0; i < OBJECTS; i++) {
        labels[i] = i % 2;
        split[i] = i % 3;
        targets[2 * i] = targets[2 * i + 1] = (float)i;
    }
    H5Tset_size(text, 4);
    put(file, "images", H5T_NATIVE_FLOAT, 3, (hsize_t[]){OBJECTS, SIDE, SIDE}, images);
    put(file, "labels", H5T_NATIVE_INT32, 1, (hsize_t[]){OBJECTS}, labels);
    put(file, "split", H5T_NATIVE_INT32, 1, (hsize_t[]){OBJECTS}, split);
    put(file, "targets", H5T_NATIVE_FLOAT, 2, (hsize_t[]){OBJECTS, 2}, targets);
    put(file, "class_names", text, 1, (hsize_t[]){2}, "cat\0dog");
    H5Tclose(text);
    H5Fclose(file);
}

static void clean_up(void)
{
    unlink(path);
    fflush(NULL);
    _Exit(0); /* HDF5's own end may trip over what a crafted file left in it */
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    craft_begin();
    MPI_Init(NULL, NULL);
    pv_comm_open(MPI_COMM_SELF, 0, &comm);
    pv_log_setup(false, 0);
    const char *place = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.200s/polyview-arrays-XXXXXX", place ? place : "/tmp");
    const int fd = mkstemp(path);
    fuzz_require(fd >= 0, "a file can be made");
    close(fd);
    make_arrays();
    craft_add_link_out(path);
    whole = craft_read(path);
    options = pv_alloc(1, pv_source_arrays.plugin.options_size);
    fuzz_require(options && pv_options_defaults(pv_source_arrays.plugin.options, options) == PV_OK,
                 "options have defaults");
    pv_h5_begin();
    atexit(clean_up);
    return 0;
}

/* What happened is one of the documented errors, told with a message. */
static pv_status told(pv_status st)
{
    fuzz_require(st == PV_OK || st == PV_ERR_DATA || st == PV_ERR_CONFIG || st == PV_ERR_HDF5 ||
                     st == PV_ERR_NOMEM,
                 "what is wrong with arrays is an error of their data or asks for a key");
    fuzz_require(st == PV_OK || pv_fail_message()[0], "an error has a message");
    return st;
}

/* Whether every array that there is can be read at once. */
static bool are_small(void)
{
    bool small = true;
    for (int i = 0; i < names.dataset_count; i++) {
        pv_array *array = NULL;
        if (told(pv_array_open(path, datasets[i] + 1, "labels", &array)) != PV_OK || !array) continue;
        const pv_array_form *form = pv_array_form_of(array);
        small = small && form->rows <= MOST_ELEMENTS / form->row;
        pv_array_close(array);
    }
    return small;
}

static void take_all(void)
{
    const pv_signal_opts opts = {.source = {&pv_source_arrays.plugin, options},
                                 .path = path,
                                 .train = PV_USUAL,
                                 .val = PV_USUAL,
                                 .test = PV_USUAL,
                                 .val_first = -1,
                                 .keep = 0.25};
    pv_signal *signal = NULL;
    const pv_status st = told(pv_signal_open(&comm, &opts, &signal));
    fuzz_require((st == PV_OK) == (signal != NULL), "a signal is open or there is an error");
    if (!signal) return;
    const pv_source_form *form = pv_signal_form(signal);
    float *values = pv_alloc((int64_t)form->samples * form->channels, sizeof *values);
    float *targets = pv_alloc(form->targets, sizeof *targets);
    for (int64_t object = 0; values && targets && object < pv_signal_objects(signal); object++) {
        if (told(pv_signal_samples(signal, object, NULL, values)) != PV_OK) break;
        for (int64_t i = 0; i < (int64_t)form->samples * form->channels; i++)
            fuzz_require(!isnan(values[i]), "values are numbers");
        fuzz_require(pv_signal_label(signal, object) >= -1 &&
                         pv_signal_label(signal, object) < pv_signal_classes(signal),
                     "a label is a class or none");
    }
    free(values);
    free(targets);
    pv_signal_close(signal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    craft_bytes bytes = {data, data + size};
    craft_restore(&whole, path);
    const int64_t before = craft_open_ids();
    craft_file(path, &names, &bytes);
    if (are_small()) take_all();
    H5Eclear2(H5E_DEFAULT);
    fuzz_require(craft_open_ids() == before, "nothing of HDF5 stays open");
    return 0;
}
