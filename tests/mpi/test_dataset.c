/* The data set: one split of a store in each node's memory, the same on every rank, checked while it is read.
 */
#include "pv_mpi_test.h"
#include "pv_test_store.h"
#include "data/pv_dataset.h"
#include "data/pv_stream.h"
#include "parallel/pv_h5.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PARAMS = PV_TEST_PARAMS, MISSING_VIEW = 2, MISSING_OBJECT = 30 };

static const int first_of[] = {0, PV_TEST_TRAIN, PV_TEST_TRAIN + PV_TEST_VAL};
static const int count_of[] = {PV_TEST_TRAIN, PV_TEST_VAL, PV_TEST_TEST};

/* A row whose last weight is another one unless `last` is 0. */
static pv_status write_weight(pv_store *store, int64_t view, int64_t object, uint8_t status, float last)
{
    float row[PARAMS], psnr = 20;
    const uint32_t steps = 1;
    for (int p = 0; p < PARAMS; p++)
        row[p] = pv_test_entry(view, object, p);
    if (last != 0) row[PARAMS - 1] = last;
    return pv_store_write_rows(store, view, object, 1, row, &psnr, &steps, &status);
}

static pv_status write_row(pv_store *store, int64_t view, int64_t object, uint8_t status)
{
    return write_weight(store, view, object, status, 0);
}

/* A store with every row but one. */
static void make_store(const pv_comm *comm, const pv_test_files *files)
{
    pv_store *store;
    pv_status st = pv_test_store_create(comm, files, files->store);
    if (st == PV_OK) st = pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store);
    pv_test_check(comm, st == PV_OK, "a store to read from is made");
    if (st != PV_OK) return;
    for (int64_t object = comm->rank; object < PV_TEST_OBJECTS; object += comm->size)
        for (int64_t view = 0; view < PV_TEST_VIEWS && st == PV_OK; view++)
            if (view != MISSING_VIEW || object != MISSING_OBJECT)
                st = write_row(store, view, object, PV_ROW_FITTED);
    pv_test_check(comm, st == PV_OK, "and filled");
    pv_store_close(store);
}

/* A copy of a sample's row, from whichever rank holds it. */
static void copy_row(const pv_dataset *dataset, int64_t sample, float *row)
{
    const float *held = pv_dataset_row(dataset, sample);
    MPI_Request request;
    if (held) {
        memcpy(row, held, sizeof *row * PARAMS);
        return;
    }
    pv_dataset_fetch(dataset, sample, row, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
}

/* Sample s is object s / views, view first + s % views. */
static bool samples_are_right(const pv_dataset *dataset, const pv_dataset_opts *opts)
{
    bool holds = pv_dataset_samples(dataset) == opts->views * count_of[opts->split] &&
                 pv_dataset_params(dataset) == PARAMS;
    for (int64_t s = 0; holds && s < pv_dataset_samples(dataset); s++) {
        const int64_t object = first_of[opts->split] + s / opts->views,
                      view = opts->first_view + s % opts->views;
        const int label = (int)(object - (opts->split == PV_SPLIT_TEST ? first_of[PV_SPLIT_TEST] : 0));
        holds = pv_dataset_object(dataset, s) == object && pv_dataset_view(dataset, s) == view &&
                pv_dataset_label(dataset, s) == label % PV_TEST_CLASSES;
        float row[PARAMS];
        copy_row(dataset, s, row);
        for (int p = 0; holds && p < PARAMS; p++)
            holds = row[p] == pv_test_entry(view, object, p);
    }
    return holds;
}

static void splits_load(const pv_comm *parent, const pv_store *store, int node_ranks)
{
    static const pv_dataset_opts wanted[] = {{PV_SPLIT_TRAIN, 0, 1, true, .placement = PV_PLACE_NODE},
                                             {PV_SPLIT_TRAIN, 0, 2, true, .placement = PV_PLACE_JOB},
                                             {PV_SPLIT_VAL, 1, 2, true, .placement = PV_PLACE_JOB},
                                             {PV_SPLIT_TEST, 0, 3, false, .placement = PV_PLACE_AUTO}};
    pv_comm comm;
    pv_comm_open(parent->world, node_ranks, &comm);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char statement[96];
        pv_dataset *dataset;
        const pv_status st = pv_dataset_open(&comm, store, &wanted[i], &dataset);
        snprintf(statement, sizeof statement, "%lld view(s) of split %d load on nodes of %d ranks",
                 (long long)wanted[i].views, wanted[i].split, node_ranks);
        pv_test_check(parent, st == PV_OK && samples_are_right(dataset, &wanted[i]), statement);
        pv_dataset_close(dataset);
    }
    pv_comm_close(&comm);
}

static void refused(const pv_comm *comm, const pv_store *store, pv_dataset_opts opts, pv_status expected,
                    const char *words, const char *statement)
{
    pv_dataset *dataset;
    const pv_status st = pv_dataset_open(comm, store, &opts, &dataset);
    pv_test_check(comm, st == expected && !dataset && strstr(pv_fail_message(), words), statement);
    pv_dataset_close(dataset);
}

static void missing_rows_and_views_are_refused(const pv_comm *comm, const pv_store *store)
{
    refused(comm, store,
            (pv_dataset_opts){PV_SPLIT_TRAIN, MISSING_VIEW, 1, false, .placement = PV_PLACE_AUTO},
            PV_ERR_DATA, "view 2 of object 30 is not fitted", "a missing row is named on all ranks");
    refused(comm, store, (pv_dataset_opts){PV_SPLIT_VAL, 1, 3, true, .placement = PV_PLACE_AUTO},
            PV_ERR_CONFIG, "views 1-3", "views that the store lacks are refused");
    refused(comm, store, (pv_dataset_opts){PV_SPLIT_VAL, -1, 1, true, .placement = PV_PLACE_NODE},
            PV_ERR_CONFIG, "holds views 0-2", "so is a negative view");
}

/* The checksum of a row is changed by writing another row, and the old bytes behind it. */
static void torn_rows_are_refused(const pv_comm *comm, const pv_test_files *files)
{
    pv_store *store;
    if (comm->rank == 0) {
        const hid_t file = H5Fopen(files->store, H5F_ACC_RDWR, H5P_DEFAULT);
        const hid_t column = H5Dopen2(file, "/view/checksum", H5P_DEFAULT);
        const hsize_t start[2] = {1, 3}, count[2] = {1, 1};
        const uint64_t wrong = 7;
        pv_h5_write_box(column, "/view/checksum", H5T_NATIVE_UINT64, 2, start, count, &wrong);
        H5Dclose(column);
        H5Fclose(file);
    }
    MPI_Barrier(comm->world);
    if (pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    refused(comm, store, (pv_dataset_opts){PV_SPLIT_TRAIN, 0, 2, true, .placement = PV_PLACE_JOB},
            PV_ERR_DATA, "view 1 of object 3 fails its checksum",
            "a row that fails its checksum is named on all ranks");
    pv_dataset *dataset;
    const pv_dataset_opts unchecked = {PV_SPLIT_TRAIN, 0, 2, false, .placement = PV_PLACE_NODE};
    pv_test_check(comm,
                  pv_dataset_open(comm, store, &unchecked, &dataset) == PV_OK &&
                      samples_are_right(dataset, &unchecked),
                  "it loads when checksums are not wanted");
    pv_dataset_close(dataset);
    pv_store_close(store);
}

static void refused_rows_are_counted(const pv_comm *comm, const pv_test_files *files)
{
    const int64_t first = PV_TEST_TRAIN + PV_TEST_VAL;
    pv_store *store;
    if (pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store) != PV_OK) return;
    pv_status st = PV_OK;
    for (int64_t view = 1; view < 3 && comm->rank == 0; view++)
        st = st == PV_OK ? write_row(store, view, first + 2 * view, PV_ROW_REFUSED) : st;
    pv_test_check(comm, st == PV_OK, "two rows are marked refused");
    pv_store_close(store);
    if (pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    char words[128];
    snprintf(words, sizeof words, "this split holds 2 refused row(s), the first is view 1 of object %lld",
             (long long)first + 2);
    refused(comm, store, (pv_dataset_opts){PV_SPLIT_TEST, 0, 3, false, .placement = PV_PLACE_JOB},
            PV_ERR_DATA, words, "all ranks name the first refused row and count those of the split");
    snprintf(words, sizeof words, "this split holds 1 refused row(s), the first is view 2 of object %lld",
             (long long)first + 4);
    refused(comm, store, (pv_dataset_opts){PV_SPLIT_TEST, 2, 1, false, .placement = PV_PLACE_AUTO},
            PV_ERR_DATA, words, "of the views that are read");
    pv_dataset *dataset;
    const pv_dataset_opts others = {PV_SPLIT_TEST, 0, 1, true, .placement = PV_PLACE_NODE};
    pv_test_check(comm, pv_dataset_open(comm, store, &others, &dataset) == PV_OK, "views without any load");
    pv_dataset_close(dataset);
    pv_store_close(store);
}

static void rows_that_no_model_can_take_are_counted(const pv_comm *comm, const pv_test_files *files)
{
    const int64_t object = PV_TEST_TRAIN; /* the first of the validation split */
    const float weights[PV_TEST_VIEWS][PV_TEST_VAL] = {
        {0, 0, NAN, 0}, {0, 0, 0, -INFINITY}, {1e9F, 2e9F, -NAN, FLT_MAX}};
    pv_store *store;
    pv_status st = PV_OK;
    if (pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store) != PV_OK) return;
    for (int view = 0; view < PV_TEST_VIEWS && comm->rank == 0; view++)
        for (int i = 0; i < PV_TEST_VAL && st == PV_OK; i++)
            st = write_weight(store, view, object + i, PV_ROW_FITTED, weights[view][i]);
    pv_test_check(comm, st == PV_OK, "weights that are not finite or huge are written");
    pv_store_close(store);
    if (pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    for (int place = PV_PLACE_AUTO; place <= PV_PLACE_JOB; place++)
        refused(comm, store, (pv_dataset_opts){PV_SPLIT_VAL, 0, 3, true, .placement = (pv_placement)place},
                PV_ERR_DATA,
                "5 row(s) of this split hold weights that are not finite or beyond 1e9, the first "
                "is view 0 of object 39",
                "every rank counts all rows that no model can take");
    refused(comm, store, (pv_dataset_opts){PV_SPLIT_VAL, 1, 1, false, .placement = PV_PLACE_NODE},
            PV_ERR_DATA,
            "1 row(s) of this split hold weights that are not finite or beyond 1e9, the first is view 1 of "
            "object 40",
            "of the views that are read");
    pv_store_close(store);
}

/* Every sample stands at one place of an epoch; marks of places add up to the same on any share of them. */
static void streams_do_not_know_ranks(const pv_comm *comm)
{
    enum { SAMPLES = 53 };
    uint64_t whole[2] = {0, 0}, shares[2] = {0, 0};
    int seen[SAMPLES] = {0};
    bool holds = true;
    int64_t first, count;
    pv_share_of(SAMPLES, comm->rank, comm->size, &first, &count);
    for (int epoch = 0; epoch < 2; epoch++)
        for (int64_t place = 0; place < SAMPLES; place++) {
            const int64_t sample = pv_stream_sample(9, epoch, SAMPLES, place);
            holds = holds && sample >= 0 && sample < SAMPLES && seen[sample]++ == epoch;
            whole[epoch] += pv_stream_mark(place, sample, -1);
            if (place >= first && place < first + count) shares[epoch] += pv_stream_mark(place, sample, -1);
        }
    MPI_Allreduce(MPI_IN_PLACE, shares, 2, MPI_UINT64_T, MPI_SUM, comm->world);
    pv_test_check(comm, holds, "every sample stands at one place of an epoch");
    pv_test_check(comm, shares[0] == whole[0] && shares[1] == whole[1] && whole[0] != whole[1],
                  "the mark of an epoch is its own, and the same on any number of ranks");
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_files files;
    pv_store *store;
    pv_test_begin(&argc, &argv, &comm);
    pv_h5_begin();
    pv_test_files_make(&comm, &files);
    make_store(&comm, &files);
    const pv_status opened = pv_store_open(&comm, files.store, PV_STORE_READ, NULL, &store);
    pv_test_check(&comm, opened == PV_OK, "the store opens");
    if (opened == PV_OK) {
        for (int node_ranks = 1; node_ranks <= 3; node_ranks++)
            splits_load(&comm, store, node_ranks);
        missing_rows_and_views_are_refused(&comm, store);
        pv_store_close(store);
        torn_rows_are_refused(&comm, &files);
        refused_rows_are_counted(&comm, &files);
        rows_that_no_model_can_take_are_counted(&comm, &files);
    }
    streams_do_not_know_ranks(&comm);
    pv_test_files_remove(&comm, &files);
    return pv_test_end(&comm);
}
