/* A source that only this test has, of clouds with coordinates of their own, goes the whole way that a new
 * one goes: through its signal, a store and a fit. */
#define PV_SOURCES(X) X(idx) X(sine) X(cloud)
#include "signal/pv_source.c"

#include "pv_mpi_test.h"
#include "base/pv_mem.h"
#include "fit/pv_fill.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"
#include "signal/pv_signal.h"
#include "store/pv_store.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRAINED = 9, TESTED = 4, SAMPLES = 20, INPUTS = 3, CHANNELS = 2 };
static int largest_label = 61;

/* What is held of an object: its id. */
static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    (void)opts, (void)reader;
    *form = (pv_source_form){.pool = {TRAINED, TESTED},
                             .inputs = INPUTS,
                             .channels = CHANNELS,
                             .samples = SAMPLES,
                             .own_coords = 1,
                             .object_bytes = 1};
    return PV_OK;
}

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, void *objects,
                      int32_t *labels)
{
    uint8_t *ids = objects;
    (void)reader;
    for (int split = 0; split < PV_SPLITS; split++)
        for (int64_t i = 0; i < splits->count[split]; i++) {
            const int64_t id = (split == PV_SPLIT_TEST ? form->pool[0] : 0) + splits->first[split] + i;
            *ids++ = (uint8_t)id;
            *labels++ = id == 3 ? largest_label : -1;
        }
    return PV_OK;
}

static void coords(const pv_source_object *object, float *x)
{
    const uint8_t *id = object->bytes;
    for (int i = 0; i < SAMPLES * INPUTS; i++)
        x[i] = (float)(i * (*id + 3) % 41) / 20 - 1;
}

static void values(const pv_source_object *object, float *y)
{
    for (int i = 0; i < SAMPLES * CHANNELS; i++)
        y[i] = (float)((i + (int)object->id) % 7) / 7;
}

static json_t *describe(const pv_signal_opts *opts)
{
    (void)opts;
    return json_pack("{s:s}", "shape", "cloud");
}

const pv_source pv_source_cloud = {.plugin = {.name = "cloud", .help = "clouds"},
                                   .pools = {"the clouds", "the other clouds"},
                                   .survey = survey,
                                   .load = load,
                                   .coords = coords,
                                   .values = values,
                                   .describe = describe};

static pv_signal_opts options(void)
{
    return (pv_signal_opts){
        .source.plugin = &pv_source_cloud.plugin, .train = 5, .val = 2, .val_first = -1, .test = TESTED};
}

static void a_source_gives_what_it_holds(const pv_comm *comm, const pv_signal *signal)
{
    float x[SAMPLES * INPUTS], y[SAMPLES * CHANNELS], wanted_x[SAMPLES * INPUTS],
        wanted_y[SAMPLES * CHANNELS];
    const uint8_t ids[] = {0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12};
    bool holds = pv_signal_objects(signal) == sizeof ids && !pv_signal_coords(signal) &&
                 pv_signal_form(signal)->height == 0 && pv_signal_form(signal)->channels == CHANNELS &&
                 pv_signal_form(signal)->inputs == INPUTS && pv_signal_form(signal)->targets == 0;
    pv_test_check(comm, holds, "the form is the source's");
    for (int64_t i = 0; i < (int64_t)sizeof ids; i++) {
        const pv_source_object object = {NULL, &ids[i], ids[i]};
        coords(&object, wanted_x);
        values(&object, wanted_y);
        pv_signal_object_coords(signal, i, x);
        pv_signal_values(signal, i, y);
        holds = holds && memcmp(x, wanted_x, sizeof x) == 0 && memcmp(y, wanted_y, sizeof y) == 0 &&
                pv_signal_source_id(signal, i) == ids[i] && pv_signal_find(signal, ids[i]) == i;
    }
    pv_test_check(comm, holds, "every object has its own coordinates and all of its channels");
    pv_test_check(comm,
                  pv_signal_label(signal, 3) == largest_label && pv_signal_label(signal, 0) == -1 &&
                      pv_signal_classes(signal) == largest_label + 1,
                  "classes are what the labels say");
    pv_test_check(
        comm,
        strcmp(pv_signal_json(signal), "{\"source\": \"cloud\", \"classes\": 62, \"shape\": \"cloud\"}") == 0,
        "a store is told the source's own words");
}

static void a_label_without_a_class_is_refused(const pv_comm *comm)
{
    const pv_signal_opts opts = options();
    pv_signal *signal;
    largest_label = INT32_MAX;
    pv_test_check(comm,
                  pv_signal_open(comm, &opts, &signal) == PV_ERR_DATA &&
                      strstr(pv_fail_message(), "object 3 of the source 'cloud' has the label 2147483647"),
                  "a label that no class can have is refused");
    largest_label = 61;
}

/* The row of an object, fitted alone over its own coordinates. */
static bool row_is(const pv_arch *arch, const pv_fit_opts *opts, const pv_signal *signal, int64_t object,
                   const float *row)
{
    const int params = pv_arch_params(arch);
    const pv_fit_key key = {.source = pv_signal_source_id(signal, object)};
    float x[SAMPLES * INPUTS], y[SAMPLES * CHANNELS], *own = malloc((size_t)params * sizeof *own);
    pv_fitter *fitter;
    pv_fit_result result;
    pv_rng rng = pv_fit_stream(opts, PV_RNG_VIEW_INIT, key);
    pv_signal_object_coords(signal, object, x);
    pv_signal_values(signal, object, y);
    pv_inr_init(arch, PV_INR_DWSNETS, &rng, own);
    bool same = pv_fitter_new(arch, SAMPLES, x, opts, &fitter) == PV_OK;
    pv_fitter_start(fitter, 0, own, NULL, y, key);
    pv_fitter_advance(fitter, 1, opts->steps);
    same = same && pv_fitter_finish(fitter, 0, own, &result) == PV_OK &&
           memcmp(own, row, (size_t)params * sizeof *own) == 0;
    pv_fitter_free(fitter);
    free(own);
    return same;
}

static void a_store_of_it_is_filled(const pv_comm *comm, const pv_signal *signal)
{
    int hidden[] = {8};
    char path[64] = "";
    const pv_inr_opts inr = {.hidden = hidden, .hidden_count = 1, .w0 = 10};
    const pv_fit_opts fit = {.views = 1, .steps = 20, .lr = 1e-3, .batch = 7, .seed = 3};
    const pv_fill_opts opts = {.variant = PV_INR_DWSNETS, .fit = &fit};
    pv_arch arch;
    pv_store *store = NULL;
    pv_fill_result result;
    if (comm->rank == 0) snprintf(path, sizeof path, "/tmp/polyview-source-%ld.h5", (long)getpid());
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, comm->world);
    bool holds = pv_arch_make(&inr, INPUTS, CHANNELS, &arch) == PV_OK;
    const pv_store_spec spec = {signal, &arch, "dwsnets", 1, ""};
    holds = holds && pv_store_create(comm, path, &spec, NULL) == PV_OK &&
            pv_store_open(comm, path, PV_STORE_WRITE, NULL, &store) == PV_OK &&
            pv_fill(comm, signal, store, &opts, &result) == PV_OK;
    pv_test_check(comm, holds, "a store of the source is made and filled");
    float *row = malloc((size_t)pv_arch_params(&arch) * sizeof *row);
    MPI_Barrier(comm->world);
    for (int64_t i = 0; holds && i < pv_signal_objects(signal); i++)
        holds = pv_store_read_rows(store, 0, i, 1, row) == PV_OK && row_is(&arch, &fit, signal, i, row);
    pv_test_check(comm, holds, "every row is that of the object alone, over its own coordinates");
    free(row);
    pv_store_close(store);
    if (comm->rank == 0) unlink(path);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    const pv_signal_opts opts = options();
    pv_signal *signal = NULL;
    pv_test_begin(&argc, &argv, &comm);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    pv_test_check(&comm, pv_signal_open(&comm, &opts, &signal) == PV_OK, "the source opens");
    if (signal) {
        a_source_gives_what_it_holds(&comm, signal);
        a_store_of_it_is_filled(&comm, signal);
    }
    pv_signal_close(signal);
    a_label_without_a_class_is_refused(&comm);
    return pv_test_end(&comm);
}
