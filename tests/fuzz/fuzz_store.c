/* Crafted stores, in one file or in shards, end in an open store, all of which can be read, or in a status
 * with a message that names a file; nothing stays open after. */
#include "craft.h"
#include "fuzz.h"
#include "pv_test_store.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "data/pv_dataset.h"
#include "parallel/pv_h5.h"
#include "store/pv_tally.h"
#include "store/pv_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond these a store is only looked into: to read the rest would take long, and not be an error. */
enum { MAX_ROWS = 4096, MAX_PARAMS = 4096, PATH = 160, SHARDS = 2 };

static const char *const attributes[] = {"polyview_kind", "polyview_version", "arch",
                                         "signal",        "config",           "code_version",
                                         "first_view",    "first_object",     "instruction_set"};
static const char *const datasets[] = {"/params",     "/view/status",  "/view/checksum", "/view/psnr",
                                       "/view/steps", "/object/label", "/object/split",  "/object/source",
                                       "/layout",     "/shards",       "/view",          "/object"};
static const craft_names names = {attributes, datasets, sizeof attributes / sizeof *attributes,
                                  sizeof datasets / sizeof *datasets};

static pv_comm comm;
static pv_test_files files;
/* A store in one file, the master of one in shards, and the shards. */
static craft_image whole, master, shards[SHARDS];
static char victim[PATH], shard_paths[SHARDS][PATH + sizeof ".shards/00000.h5"];

static void fill_store(const char *path)
{
    pv_store *store;
    float rows[PV_TEST_OBJECTS][PV_TEST_PARAMS], psnr[PV_TEST_OBJECTS];
    uint32_t steps[PV_TEST_OBJECTS];
    uint8_t status[PV_TEST_OBJECTS];
    for (int i = 0; i < PV_TEST_OBJECTS; i++) {
        for (int p = 0; p < PV_TEST_PARAMS; p++)
            rows[i][p] = pv_test_entry(0, i, p);
        psnr[i] = 20;
        steps[i] = 7;
        status[i] = i == 3 ? PV_ROW_REFUSED : PV_ROW_FITTED;
    }
    fuzz_require(pv_store_open(&comm, path, PV_STORE_WRITE, NULL, &store) == PV_OK, "a valid store opens");
    for (int view = 0; view < 2; view++)
        pv_store_write_rows(store, view, 0, PV_TEST_OBJECTS, &rows[0][0], psnr, steps, status);
    pv_store_close(store);
}

static void make_store(const char *path, double shard_gib)
{
    pv_signal *signal = pv_test_signal(&comm, &files);
    const pv_arch arch = pv_test_arch();
    const pv_store_spec spec = {signal, &arch, "dwsnets", PV_TEST_VIEWS, "fit: {views: 3}\n"};
    const pv_storage_opts storage = {.shard_gib = shard_gib, .hints = (char[]){""}};
    fuzz_require(signal && pv_store_create(&comm, path, &spec, &storage) == PV_OK, "a valid store is made");
    pv_signal_close(signal);
    fill_store(path);
}

static void clean_up(void)
{
    char path[PATH + 8];
    for (int i = 0; i < SHARDS; i++)
        unlink(shard_paths[i]);
    snprintf(path, sizeof path, "%s.shards", victim);
    rmdir(path);
    unlink(victim);
    pv_test_files_remove(&comm, &files);
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
    pv_test_files_make(&comm, &files);
    make_store(files.store, 0);
    craft_add_link_out(files.store);
    whole = craft_read(files.store);
    snprintf(victim, sizeof victim, "%s/victim.h5", files.directory);
    /* Two views fit a shard. */
    make_store(victim, 2.5 * PV_TEST_OBJECTS * (PV_TEST_PARAMS * sizeof(float) + 17) / 0x1p30);
    craft_add_link_out(victim);
    master = craft_read(victim);
    for (int i = 0; i < SHARDS; i++) {
        snprintf(shard_paths[i], sizeof shard_paths[i], "%s.shards/%05d.h5", victim, i);
        craft_add_link_out(shard_paths[i]);
        shards[i] = craft_read(shard_paths[i]);
    }
    pv_h5_begin();
    atexit(clean_up);
    return 0;
}

/* What happened is one of the documented errors, told with a message. */
static pv_status told(pv_status st)
{
    fuzz_require(st == PV_OK || st == PV_ERR_DATA || st == PV_ERR_HDF5 || st == PV_ERR_IO ||
                     st == PV_ERR_NOMEM,
                 "what is wrong with a store is an error of its data, its files or memory");
    fuzz_require(st == PV_OK || pv_fail_message()[0], "an error has a message");
    return st;
}

static void read_all(pv_store *store)
{
    pv_tally tally;
    pv_verify_result checked = {0};
    pv_dataset *dataset = NULL;
    const pv_dataset_opts opts = {.views = 1, .verify = true, .placement = PV_PLACE_NODE};
    told(pv_tally_store(&comm, store, &tally));
    const pv_status st = told(pv_verify(&comm, store, &checked));
    fuzz_require(st != PV_OK ||
                     (checked.rows == checked.fitted + checked.refused + checked.missing + checked.bad) ||
                     checked.bad > 0,
                 "every row is counted");
    free(checked.bad_rows);
    const pv_status loaded = pv_dataset_open(&comm, store, &opts, &dataset);
    if (loaded != PV_ERR_CONFIG) told(loaded);
    pv_dataset_close(dataset);
}

/* The last row, whatever the size. */
static void read_last(const pv_store *store)
{
    const int64_t view = pv_store_views(store) - 1, object = pv_store_objects(store) - 1;
    uint64_t number;
    int32_t label;
    float psnr, *row = pv_alloc(pv_store_params(store), sizeof *row);
    uint8_t byte;
    if (row && view >= 0 && object >= 0) {
        told(pv_store_read_rows(store, view, object, 1, row));
        told(pv_store_read_checksums(store, view, object, 1, &number));
        told(pv_store_read_psnr(store, view, object, 1, &psnr));
        told(pv_store_read_status(store, view, object, 1, &byte));
        told(pv_store_read_labels(store, object, 1, &label));
        told(pv_store_read_splits(store, object, 1, &byte));
        told(pv_store_read_sources(store, object, 1, &number));
    }
    free(row);
}

static void write_some(pv_store *store)
{
    const float psnr = 1;
    const uint32_t steps = 1;
    const uint8_t status = PV_ROW_FITTED;
    float *row = pv_alloc(pv_store_params(store), sizeof *row);
    if (row && pv_store_views(store) > 0 && pv_store_objects(store) > 0) {
        told(pv_store_write_rows(store, 0, 0, 1, row, &psnr, &steps, &status));
        told(pv_store_discard(store, 0, 0));
    }
    free(row);
}

static void use(pv_store_mode mode)
{
    pv_store *store = NULL;
    int64_t length, on_disk;
    const pv_status st = told(pv_store_open(&comm, victim, mode, NULL, &store));
    fuzz_require((st == PV_OK) == (store != NULL), "a store is open or there is an error");
    if (!store) return;
    const int64_t views = pv_store_views(store), objects = pv_store_objects(store);
    fuzz_require(views >= 0 && objects >= 0 && pv_store_params(store) > 0, "an open store has a size");
    told(pv_store_bytes(store, &length, &on_disk));
    read_last(store);
    if (objects == 0 ||
        (views <= MAX_ROWS && objects <= MAX_ROWS / (views + 1) && pv_store_params(store) <= MAX_PARAMS))
        read_all(store);
    if (mode == PV_STORE_WRITE) write_some(store);
    told(pv_store_close(store));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    craft_bytes bytes = {data, data + size};
    const unsigned how = craft_byte(&bytes), cut = craft_byte(&bytes);
    const int of_shard = how & 2 && how & 1;
    const craft_image *image = how & 1 ? &master : &whole;
    craft_restore(image, victim);
    for (int i = 0; how & 1 && i < SHARDS; i++)
        craft_restore(&shards[i], shard_paths[i]);
    const int64_t before = craft_open_ids();
    craft_file(of_shard ? shard_paths[0] : victim, &names, &bytes);
    if (how & 8) {
        const size_t left = image->size / 256 * cut;
        fuzz_require(truncate(of_shard ? shard_paths[0] : victim, (off_t)left) == 0,
                     "a file can be cut short");
    }
    use(how & 4 ? PV_STORE_WRITE : PV_STORE_READ);
    H5Eclear2(H5E_DEFAULT);
    fuzz_require(craft_open_ids() == before, "nothing of HDF5 stays open");
    return 0;
}
