/* Sources that only this test has go the whole way that a new one goes, through its signal, a store and a
 * fit: clouds with coordinates of their own, and a drawer of files that are fetched one by one. */
#define PV_SOURCES(X) X(idx) X(cifar) X(sine) X(cloud) X(drawer)
#include "signal/pv_source.c"

#include "pv_mpi_test.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "fit/pv_fill.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"
#include "signal/pv_signal.h"
#include "store/pv_store.h"
#include "store/pv_tally.h"

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

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, pv_source_held *held)
{
    uint8_t *bytes = held->objects;
    int32_t *labels = held->labels;
    (void)reader;
    for (int split = 0; split < PV_SPLITS; split++)
        for (int64_t i = 0; i < splits->count[split]; i++) {
            const int64_t place =
                pv_source_place(form, pv_source_pool(form, split), splits->first[split] + i);
            *bytes++ = (uint8_t)place;
            *labels++ = place == 3 ? largest_label : -1;
        }
    return PV_OK;
}

static pv_status samples(const pv_source_object *object, float *x, float *y)
{
    const uint8_t *byte = object->bytes;
    for (int i = 0; i < SAMPLES * INPUTS; i++)
        x[i] = (float)(i * (*byte + 3) % 41) / 20 - 1;
    for (int i = 0; i < SAMPLES * CHANNELS; i++)
        y[i] = (float)((i + (int)object->id) % 7) / 7;
    return PV_OK;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    (void)opts, (void)form;
    return json_pack("{s:s}", "shape", "cloud");
}

const pv_source pv_source_cloud = {.plugin = {.name = "cloud", .help = "clouds"},
                                   .pools = {"the clouds", "the other clouds"},
                                   .survey = survey,
                                   .load = load,
                                   .samples = samples,
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
        const pv_source_object object = {.bytes = &ids[i], .id = ids[i]};
        samples(&object, wanted_x, wanted_y);
        holds = holds && pv_signal_samples(signal, i, x, y) == PV_OK && memcmp(x, wanted_x, sizeof x) == 0 &&
                memcmp(y, wanted_y, sizeof y) == 0 && pv_signal_source_id(signal, i) == ids[i] &&
                pv_signal_find(signal, ids[i]) == i;
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
    pv_signal_samples(signal, object, x, y);
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
    bool holds = pv_arch_make(&inr, INPUTS, CHANNELS, 1, &arch) == PV_OK;
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

/* ---- a drawer: a file of one number for each object, in three pools ---- */

enum { DRAWER_TRAIN = 6, DRAWER_TEST = 3, DRAWER_VAL = 2, DRAWERS = 11, CORNERS = 8, TARGETS = 12 };

typedef struct drawer {
    char directory[64];
    int64_t copy;
} drawer;

static drawer shared_drawer; /* the same on all ranks, unless a test has it otherwise */
static bool same_ids;

static void drawer_path(const drawer *d, int64_t place, char path[96])
{
    snprintf(path, 96, "%s/%lld", d->directory, (long long)place);
}

static void drawer_write(int64_t place)
{
    char path[96];
    const double number = 0.01 * (double)(place + 1);
    drawer_path(&shared_drawer, place, path);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(&number, sizeof number, 1, out) != 1) perror(path);
    if (out) fclose(out);
}

static pv_status drawer_survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    (void)opts, (void)reader;
    *form = (pv_source_form){.pool = {DRAWER_TRAIN, DRAWER_TEST, DRAWER_VAL},
                             .inputs = 3,
                             .channels = 1,
                             .samples = CORNERS,
                             .depth = 2,
                             .height = 2,
                             .width = 2,
                             .targets = TARGETS,
                             .heldout = 1,
                             .object_bytes = sizeof(double),
                             .shared_bytes = sizeof(drawer),
                             .low = -2,
                             .high = 6};
    return PV_OK;
}

static uint64_t drawer_id(uint64_t place)
{
    return pv_checksum(&place, sizeof place);
}

static pv_status drawer_load(void *reader, const pv_source_form *form, const pv_splits *splits,
                             pv_source_held *held)
{
    const int64_t count = splits->count[0] + splits->count[1] + splits->count[2];
    (void)reader, (void)form;
    if (held->objects) return pv_fail(PV_ERR_INTERNAL, "objects are fetched");
    memcpy(held->shared, &shared_drawer, sizeof shared_drawer);
    for (int64_t i = 0; i < count; i++) {
        held->labels[i] = (int32_t)(held->ids[i] % 2);
        held->ids[i] = same_ids ? 7 : drawer_id(held->ids[i]);
    }
    return PV_OK;
}

static pv_status drawer_fetch(const pv_source_object *object, void *bytes)
{
    char path[96];
    drawer_path(object->shared, object->place, path);
    FILE *in = fopen(path, "rb");
    const bool read = in && fread(bytes, sizeof(double), 1, in) == 1;
    if (in) fclose(in);
    return read ? PV_OK : pv_fail(PV_ERR_IO, "cannot read '%s'", path);
}

static double drawer_number(const pv_source_object *object)
{
    double number;
    memcpy(&number, object->bytes, sizeof number);
    return number;
}

static void drawer_grid(const pv_source_form *form, float *x)
{
    for (int i = 0; i < form->samples; i++)
        for (int axis = 0; axis < 3; axis++)
            *x++ = (float)(i >> axis & 1) * 2 - 1;
}

static pv_status drawer_samples(const pv_source_object *object, float *x, float *y)
{
    if (x) return pv_fail(PV_ERR_INTERNAL, "coordinates are shared");
    for (int i = 0; i < CORNERS; i++)
        y[i] = (float)(drawer_number(object) * (i + 1));
    return PV_OK;
}

static pv_status drawer_heldout(const pv_source_object *object, float *x, float *y)
{
    x[0] = x[1] = x[2] = 0;
    y[0] = (float)-drawer_number(object);
    return PV_OK;
}

static void drawer_targets(const pv_source_object *object, float *targets)
{
    for (int i = 0; i < TARGETS; i++)
        targets[i] = (float)(drawer_number(object) + i);
}

const pv_source pv_source_drawer = {.plugin = {.name = "drawer", .help = "drawers"},
                                    .pools = {"the drawers", "the test drawers", "the val drawers"},
                                    .usual = {PV_ALL, PV_ALL, PV_ALL},
                                    .survey = drawer_survey,
                                    .load = drawer_load,
                                    .fetch = drawer_fetch,
                                    .grid = drawer_grid,
                                    .samples = drawer_samples,
                                    .heldout = drawer_heldout,
                                    .targets = drawer_targets,
                                    .describe = describe};

static pv_signal_opts drawer_options(double keep)
{
    return (pv_signal_opts){.source.plugin = &pv_source_drawer.plugin,
                            .train = PV_USUAL,
                            .val = PV_ALL,
                            .val_first = -1,
                            .test = PV_USUAL,
                            .keep = keep};
}

static void make_drawers(const pv_comm *comm)
{
    if (comm->rank == 0) {
        snprintf(shared_drawer.directory, sizeof shared_drawer.directory, "/tmp/polyview-drawer-XXXXXX");
        if (!mkdtemp(shared_drawer.directory)) perror(shared_drawer.directory);
        for (int64_t place = 0; place < DRAWERS; place++)
            drawer_write(place);
    }
    MPI_Bcast(&shared_drawer, sizeof shared_drawer, MPI_BYTE, 0, comm->world);
}

static void remove_drawers(const pv_comm *comm)
{
    char path[96];
    MPI_Barrier(comm->world);
    for (int64_t place = 0; comm->rank == 0 && place < DRAWERS; place++) {
        drawer_path(&shared_drawer, place, path);
        unlink(path);
    }
    if (comm->rank == 0) rmdir(shared_drawer.directory);
}

static bool drawer_is(const pv_signal *signal, int64_t object, int64_t place, int split)
{
    const float number = (float)(0.01 * (double)(place + 1));
    float y[CORNERS], x[3 * CORNERS], out_x[3], out_y = 1, targets[TARGETS];
    pv_source_object it;
    return pv_signal_samples(signal, object, x, y) == PV_OK && y[0] == number && x[0] == -1 && x[3] == 1 &&
           pv_signal_heldout(signal, object, out_x, &out_y) == PV_OK && out_y == -number &&
           pv_signal_target(signal, object, targets) == PV_OK && targets[0] == number &&
           pv_signal_take(signal, object, &it) == PV_OK && it.place == place &&
           pv_signal_split(signal, object) == split && pv_signal_label(signal, object) == place % 2 &&
           pv_signal_source_id(signal, object) == drawer_id((uint64_t)place) &&
           pv_signal_find(signal, drawer_id((uint64_t)place)) == object;
}

static void objects_are_fetched(const pv_comm *parent, double keep, int node_ranks)
{
    static const int64_t places[DRAWERS] = {0, 1, 2, 3, 4, 5, 9, 10, 6, 7, 8};
    pv_signal_opts opts = drawer_options(keep);
    pv_signal_about about;
    pv_signal *signal;
    pv_comm comm;
    pv_comm_open(parent->world, node_ranks, &comm);
    bool holds = pv_signal_open(&comm, &opts, &signal) == PV_OK;
    for (int i = 0; holds && i < DRAWERS; i++)
        holds = drawer_is(signal, i, places[i],
                          i < DRAWER_TRAIN                ? PV_SPLIT_TRAIN
                          : i < DRAWER_TRAIN + DRAWER_VAL ? PV_SPLIT_VAL
                                                          : PV_SPLIT_TEST);
    pv_test_check(&comm, holds && pv_signal_find(signal, 5) == -1,
                  keep > 0 ? "objects are kept once a node, with their own ids"
                           : "objects are fetched when they are asked for, with their own ids");
    holds = holds && pv_signal_settle(signal, &opts) == PV_OK;
    pv_test_check(&comm, opts.train == DRAWER_TRAIN && opts.val == DRAWER_VAL && opts.test == DRAWER_TEST,
                  "what is usual becomes numbers");
    pv_test_check(&comm,
                  holds && pv_signal_from_json(pv_signal_json(signal), "", &about) == PV_OK &&
                      about.depth == 2 && about.low == -2 && about.high == 6,
                  "a store is told the depth of a volume and the range of its values");
    pv_signal_close(signal);
    pv_comm_close(&comm);
}

static void a_kept_object_is_one_for_the_node(const pv_comm *comm)
{
    const pv_signal_opts opts = drawer_options(1);
    pv_source_object it;
    pv_signal *signal;
    bool holds = pv_signal_open(comm, &opts, &signal) == PV_OK && pv_signal_take(signal, 3, &it) == PV_OK;
    MPI_Barrier(comm->world);
    if (holds && comm->rank == comm->size - 1) *(double *)(uintptr_t)it.bytes = 77;
    MPI_Barrier(comm->world);
    pv_test_check(comm, holds && drawer_number(&it) == 77, "the ranks of a node share one copy");
    pv_signal_close(signal);
}

static void held_data_are_checked(const pv_comm *parent)
{
    const pv_signal_opts opts = drawer_options(0);
    pv_signal *signal;
    pv_comm comm;
    pv_comm_open(parent->world, 1, &comm);
    same_ids = true;
    pv_test_check(&comm,
                  pv_signal_open(&comm, &opts, &signal) == PV_ERR_DATA &&
                      strstr(pv_fail_message(), "have the same id 7"),
                  "two objects of one id are refused");
    same_ids = false;
    shared_drawer.copy = comm.node_index;
    pv_test_check(&comm, pv_signal_open(&comm, &opts, &signal) == (comm.size > 1 ? PV_ERR_DATA : PV_OK),
                  "nodes that hold different data of a source are refused");
    pv_signal_close(signal);
    shared_drawer.copy = 0;
    pv_comm_close(&comm);
}

static void shares_are_of_the_pools(const pv_comm *comm)
{
    pv_signal_opts opts = drawer_options(0);
    pv_signal *signal;
    opts.train = 0.5;
    opts.test = 0.3;
    opts.most = 1;
    bool holds = pv_signal_open(comm, &opts, &signal) == PV_OK &&
                 pv_signal_count(signal, PV_SPLIT_TRAIN) == 1 && pv_signal_count(signal, PV_SPLIT_VAL) == 1;
    pv_signal_close(signal);
    opts.most = 0;
    holds = holds && pv_signal_open(comm, &opts, &signal) == PV_OK &&
            pv_signal_count(signal, PV_SPLIT_TRAIN) == 3 && pv_signal_count(signal, PV_SPLIT_TEST) == 1;
    pv_test_check(comm, holds, "shares are of what there is");
    pv_signal_close(signal);
}

static int64_t fitted_rows(const pv_comm *comm, const pv_store *store)
{
    pv_tally tally = {0};
    return pv_tally_store(comm, store, &tally) == PV_OK ? tally.fitted : -1;
}

static void an_unreadable_file_ends_a_fit(const pv_comm *comm)
{
    enum { LAST = DRAWERS - 1, LAST_PLACE = 8 };
    int hidden[] = {8};
    char path[96], store_path[96], *name;
    const pv_inr_opts inr = {.hidden = hidden, .hidden_count = 1, .w0 = 10};
    const pv_fit_opts fit = {.views = 1, .steps = 20, .lr = 1e-3, .seed = 3};
    const pv_fill_opts opts = {.variant = PV_INR_DWSNETS, .fit = &fit, .grace = 60};
    const pv_signal_opts drawers = drawer_options(0);
    pv_arch arch;
    pv_signal *signal = NULL;
    pv_store *store = NULL;
    pv_fill_result result;
    drawer_path(&shared_drawer, LAST_PLACE, path);
    snprintf(store_path, sizeof store_path, "%s.h5", shared_drawer.directory);
    name = strrchr(path, '/');
    bool holds = pv_arch_make(&inr, 3, 1, 1, &arch) == PV_OK;
    holds = holds && pv_signal_open(comm, &drawers, &signal) == PV_OK;
    const pv_store_spec spec = {signal, &arch, "dwsnets", 1, ""};
    holds = holds && pv_store_create(comm, store_path, &spec, NULL) == PV_OK &&
            pv_store_open(comm, store_path, PV_STORE_WRITE, NULL, &store) == PV_OK;
    pv_test_check(comm, holds, "a store of files is made, with many targets of each");
    MPI_Barrier(comm->world);
    if (comm->rank == 0) unlink(path);
    MPI_Barrier(comm->world);
    holds = holds && pv_fill(comm, signal, store, &opts, &result) == PV_ERR_IO &&
            strstr(pv_fail_message(), name) && fitted_rows(comm, store) == LAST;
    pv_test_check(comm, holds,
                  "a file that is gone ends the fit on all ranks by its name; the rest is saved");
    if (comm->rank == 0) drawer_write(LAST_PLACE);
    MPI_Barrier(comm->world);
    holds = holds && pv_fill(comm, signal, store, &opts, &result) == PV_OK && result.fitted == 1 &&
            fitted_rows(comm, store) == DRAWERS;
    pv_test_check(comm, holds, "when it is back the fit goes on");
    pv_store_close(store);
    pv_signal_close(signal);
    if (comm->rank == 0) unlink(store_path);
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
    make_drawers(&comm);
    for (int node_ranks = 0; node_ranks <= 2; node_ranks++) {
        objects_are_fetched(&comm, 0, node_ranks);
        objects_are_fetched(&comm, 1, node_ranks);
    }
    a_kept_object_is_one_for_the_node(&comm);
    held_data_are_checked(&comm);
    shares_are_of_the_pools(&comm);
    an_unreadable_file_ends_a_fit(&comm);
    remove_drawers(&comm);
    return pv_test_end(&comm);
}
