/* The store: what any rank writes into any range every rank reads back, and checking finds what is damaged.
 */
#include "pv_mpi_test.h"
#include "pv_test_store.h"
#include "base/pv_checksum.h"
#include "store/pv_tally.h"
#include "parallel/pv_h5.h"
#include "store/pv_verify.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARAMS = PV_TEST_PARAMS, ROWS = PV_TEST_VIEWS * PV_TEST_OBJECTS, LONGEST = 7 };

static float psnr_of(int64_t view, int64_t object)
{
    return (float)(20 + view) + (float)object / 100;
}

static void make_rows(int64_t view, int64_t first, int64_t count, float *rows)
{
    for (int64_t i = 0; i < count; i++)
        for (int p = 0; p < PARAMS; p++)
            rows[i * PARAMS + p] = pv_test_entry(view, first + i, p);
}

static pv_status write_range(pv_store *store, int64_t view, int64_t first, int64_t count)
{
    float rows[LONGEST * PARAMS], psnr[LONGEST];
    uint32_t steps[LONGEST];
    uint8_t status[LONGEST];
    make_rows(view, first, count, rows);
    for (int64_t i = 0; i < count; i++) {
        psnr[i] = psnr_of(view, first + i);
        steps[i] = 100;
        status[i] = PV_ROW_FITTED;
    }
    return pv_store_write_rows(store, view, first, count, rows, psnr, steps, status);
}

/* Ranges of 1 to 7 objects, dealt to the ranks in turn: the gaps, every third, or the others. */
static bool is_gap(int range)
{
    return range % 3 == 1;
}

static pv_status write_all(const pv_comm *comm, pv_store *store, bool gaps)
{
    pv_status st = PV_OK;
    int range = 0;
    for (int64_t view = 0; view < PV_TEST_VIEWS; view++)
        for (int64_t first = 0; first < PV_TEST_OBJECTS; range++) {
            const int64_t left = PV_TEST_OBJECTS - first, length = 1 + range % LONGEST;
            const int64_t count = left < length ? left : length;
            if (range % comm->size == comm->rank && is_gap(range) == gaps && st == PV_OK)
                st = write_range(store, view, first, count);
            first += count;
        }
    return st;
}

/* Rows written by write_all(gaps = false). */
static int64_t count_written(void)
{
    int64_t written = 0;
    int range = 0;
    for (int64_t view = 0; view < PV_TEST_VIEWS; view++)
        for (int64_t first = 0; first < PV_TEST_OBJECTS; range++) {
            const int64_t left = PV_TEST_OBJECTS - first, length = 1 + range % LONGEST;
            const int64_t count = left < length ? left : length;
            written += is_gap(range) ? 0 : count;
            first += count;
        }
    return written;
}

/* Every rank reads every row whose status is fitted. */
static bool rows_read_back(const pv_store *store)
{
    uint8_t status[PV_TEST_OBJECTS];
    uint64_t checksums[PV_TEST_OBJECTS];
    float psnr[PV_TEST_OBJECTS], expected[PARAMS];
    float *rows = malloc(sizeof *rows * PV_TEST_OBJECTS * PARAMS);
    bool holds = true;
    for (int64_t view = 0; view < PV_TEST_VIEWS; view++) {
        holds = holds && pv_store_read_status(store, view, 0, PV_TEST_OBJECTS, status) == PV_OK &&
                pv_store_read_rows(store, view, 0, PV_TEST_OBJECTS, rows) == PV_OK &&
                pv_store_read_psnr(store, view, 0, PV_TEST_OBJECTS, psnr) == PV_OK &&
                pv_store_read_checksums(store, view, 0, PV_TEST_OBJECTS, checksums) == PV_OK;
        for (int64_t i = 0; holds && i < PV_TEST_OBJECTS; i++) {
            if (status[i] != PV_ROW_FITTED) continue;
            make_rows(view, i, 1, expected);
            holds = memcmp(rows + i * PARAMS, expected, sizeof expected) == 0 &&
                    psnr[i] == psnr_of(view, i) && checksums[i] == pv_checksum(expected, sizeof expected);
        }
    }
    free(rows);
    return holds;
}

static void creation_makes_an_empty_store(const pv_comm *comm, const pv_test_files *files)
{
    char part[PV_TEST_PATH + 8];
    pv_store *store;
    pv_test_check(comm, pv_test_store_create(comm, files, files->store) == PV_OK, "a store is created");
    snprintf(part, sizeof part, "%s.part", files->store);
    pv_test_check(comm, access(files->store, F_OK) == 0 && access(part, F_OK) != 0,
                  "it has its name, and no temporary file is left");
    const pv_status again = pv_test_store_create(comm, files, files->store);
    pv_test_check(comm,
                  again == PV_ERR_IO && strstr(pv_fail_message(), files->store) &&
                      strstr(pv_fail_message(), "exists already") && access(part, F_OK) != 0,
                  "creation refuses an existing path on all ranks");
    const pv_status opened = pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store);
    pv_test_check(comm, opened == PV_OK, "the store opens");
    if (opened != PV_OK) return;
    const pv_arch arch = pv_test_arch();
    pv_tally counts = {.fitted = -1};
    pv_test_check(comm,
                  pv_store_views(store) == PV_TEST_VIEWS && pv_store_objects(store) == PV_TEST_OBJECTS &&
                      pv_store_params(store) == PARAMS &&
                      pv_store_signal(store)->classes == PV_TEST_CLASSES &&
                      pv_arch_equal(pv_store_arch(store), &arch) &&
                      strcmp(pv_store_text(store, PV_STORE_CONFIG), "fit: {views: 3}\n") == 0,
                  "it has the shape, architecture and config it was created with");
    pv_test_check(comm, pv_tally_store(comm, store, &counts) == PV_OK && counts.fitted == 0,
                  "no row of a new store is marked fitted");
    pv_store_close(store);
}

static void objects_are_those_of_the_signal(const pv_comm *comm, const pv_test_files *files)
{
    int32_t labels[PV_TEST_OBJECTS];
    uint8_t splits[PV_TEST_OBJECTS];
    uint64_t sources[PV_TEST_OBJECTS];
    pv_store *store;
    pv_signal *signal = pv_test_signal(comm, files);
    if (!signal || pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    bool holds = pv_store_read_labels(store, 0, PV_TEST_OBJECTS, labels) == PV_OK &&
                 pv_store_read_splits(store, 0, PV_TEST_OBJECTS, splits) == PV_OK &&
                 pv_store_read_sources(store, 0, PV_TEST_OBJECTS, sources) == PV_OK;
    for (int64_t i = 0; holds && i < PV_TEST_OBJECTS; i++)
        holds = labels[i] == pv_signal_label(signal, i) && splits[i] == pv_signal_split(signal, i) &&
                sources[i] == pv_signal_source_id(signal, i);
    pv_test_check(comm, holds, "labels, splits and sources are the signal's");
    pv_store_close(store);
    pv_signal_close(signal);
}

static void any_rank_writes_any_range(const pv_comm *comm, const pv_test_files *files)
{
    pv_store *store;
    pv_tally counts = {.fitted = -1};
    const pv_status opened = pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store);
    pv_test_check(comm, opened == PV_OK, "the store opens for writing");
    if (opened != PV_OK) return;
    pv_test_check(comm, write_all(comm, store, false) == PV_OK, "all ranks write ranges of any length");
    MPI_Barrier(comm->world);
    pv_test_check(comm, pv_tally_store(comm, store, &counts) == PV_OK && counts.fitted == count_written(),
                  "the rows written are marked fitted, and no other");
    pv_test_check(comm, rows_read_back(store), "every rank reads what the others wrote");
    pv_test_check(comm, pv_store_close(store) == PV_OK, "the store closes");
    if (pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    pv_test_check(comm, rows_read_back(store), "rows outlive the closing of the store");
    pv_store_close(store);
    if (pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store) != PV_OK) return;
    const pv_status wrote = write_all(comm, store, true);
    MPI_Barrier(comm->world);
    pv_test_check(comm,
                  wrote == PV_OK && pv_tally_store(comm, store, &counts) == PV_OK && counts.fitted == ROWS &&
                      rows_read_back(store),
                  "a second run writes the rest and leaves the first rows alone");
    pv_store_close(store);
}

static void checking_finds_damage(const pv_comm *comm, const pv_test_files *files)
{
    pv_store *store;
    pv_verify_result result = {0};
    if (pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    pv_test_check(comm, pv_verify(comm, store, &result) == PV_OK && result.fitted == ROWS && result.bad == 0,
                  "a whole store has no bad row");
    free(result.bad_rows);
    pv_store_close(store);
    /* The last rank writes a row that is no number: its checksum holds. */
    if (pv_store_open(comm, files->store, PV_STORE_WRITE, NULL, &store) != PV_OK) return;
    if (comm->rank == comm->size - 1) {
        float row[PARAMS], psnr = 1;
        const uint32_t steps = 1;
        const uint8_t status = PV_ROW_FITTED;
        make_rows(1, 20, 1, row);
        row[PARAMS - 1] = (float)strtod("nan", NULL);
        pv_store_write_rows(store, 1, 20, 1, row, &psnr, &steps, &status);
    }
    pv_store_close(store);
    if (pv_store_open(comm, files->store, PV_STORE_READ, NULL, &store) != PV_OK) return;
    result = (pv_verify_result){0};
    const pv_status st = pv_verify(comm, store, &result);
    const bool named = comm->rank != 0 ||
                       (result.bad_rows && result.bad_rows[0].view == 1 && result.bad_rows[0].object == 20);
    pv_test_check(comm, st == PV_OK && result.bad == 1 && named,
                  "a row that is not finite is bad, and is named");
    free(result.bad_rows);
    pv_store_close(store);
}

static void refused(const pv_comm *comm, const char *path, pv_status expected, const char *statement)
{
    pv_store *store;
    const pv_status st = pv_store_open(comm, path, PV_STORE_READ, NULL, &store);
    pv_test_check(comm, st == expected && !store && strstr(pv_fail_message(), path), statement);
}

static void what_is_no_store_is_refused(const pv_comm *comm, const pv_test_files *files)
{
    refused(comm, files->other, PV_ERR_IO, "a path that is not there is refused on all ranks");
    refused(comm, files->directory, PV_ERR_DATA, "a directory is refused on all ranks");
    if (comm->rank == 0) {
        FILE *out = fopen(files->other, "wb");
        if (out) fputs("not a store\n", out);
        if (out) fclose(out);
    }
    MPI_Barrier(comm->world);
    refused(comm, files->other, PV_ERR_DATA, "a text file is refused on all ranks");
}

/* One node looks for the store in another place; without the agreement before the open MPI-IO would wait. */
/* What the MPI library was asked for: this function stands before its own of the name, which it calls. */
static struct {
    int calls, hinted;
} opens;

int PMPI_File_open(MPI_Comm comm, const char *path, int mode, MPI_Info info, MPI_File *file)
{
    int (*library)(MPI_Comm, const char *, int, MPI_Info, MPI_File *) = NULL;
    char nodes[16] = "", stripes[16] = "";
    int has_nodes = 0, has_stripes = 0;
    if (info != MPI_INFO_NULL) {
        MPI_Info_get(info, "cb_nodes", sizeof nodes - 1, nodes, &has_nodes);
        MPI_Info_get(info, "striping_factor", sizeof stripes - 1, stripes, &has_stripes);
    }
    opens.calls++;
    opens.hinted += has_nodes && has_stripes && strcmp(nodes, "3") == 0 && strcmp(stripes, "5") == 0;
    *(void **)&library = dlsym(RTLD_NEXT, "PMPI_File_open");
    return library ? library(comm, path, mode, info, file) : MPI_ERR_OTHER;
}

static void hints_arrive(const pv_comm *comm, const pv_test_files *files)
{
    const pv_storage_opts storage = {.reserve = true, .hints = (char[]){"cb_nodes=3  striping_factor=5"}};
    const pv_arch arch = pv_test_arch();
    char path[PV_TEST_PATH + 8];
    pv_store *store = NULL;
    pv_signal *signal = pv_test_signal(comm, files);
    if (!signal) return;
    const pv_store_spec spec = {signal, &arch, "dwsnets", PV_TEST_VIEWS, ""};
    snprintf(path, sizeof path, "%s/hinted.h5", files->directory);
    opens.calls = opens.hinted = 0;
    const pv_status made = pv_store_create(comm, path, &spec, &storage);
    const int by_making = comm->rank == 0 ? 1 : 0;
    pv_test_check(comm, made == PV_OK && opens.hinted == by_making && opens.calls == by_making,
                  "MPI-IO hints are given when a store is made");
    const pv_status opened = pv_store_open(comm, path, PV_STORE_WRITE, &storage, &store);
    pv_test_check(comm, opened == PV_OK && opens.hinted == by_making + 1 && opens.calls == opens.hinted,
                  "and when it is opened for writing");
    pv_store_close(store);
    pv_test_check(comm,
                  pv_store_open(comm, path, PV_STORE_READ, NULL, &store) == PV_OK &&
                      opens.calls == opens.hinted + 1,
                  "a store is read without hints");
    pv_store_close(store);
    pv_signal_close(signal);
    if (comm->rank == 0) unlink(path);
}

static void one_node_sees_no_store(const pv_comm *parent, const pv_test_files *files)
{
    pv_comm comm;
    pv_store *store;
    if (parent->size == 1) return;
    pv_comm_open(parent->world, 1, &comm);
    comm.safe = false; /* one path, of which a node sees something else */
    const char *path = comm.rank == comm.size - 1 ? "/nowhere/store.h5" : files->store;
    const pv_status st = pv_store_open(&comm, path, PV_STORE_READ, NULL, &store);
    char origin[32];
    snprintf(origin, sizeof origin, "rank %d on ", comm.size - 1);
    pv_test_check(parent,
                  st == PV_ERR_IO && strncmp(pv_fail_message(), origin, strlen(origin)) == 0 &&
                      strstr(pv_fail_message(), "/nowhere/store.h5"),
                  "a store that one node does not see is refused on all, and the rank is named");
    pv_comm_close(&comm);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_files files;
    pv_test_begin(&argc, &argv, &comm);
    pv_h5_begin();
    pv_test_files_make(&comm, &files);
    creation_makes_an_empty_store(&comm, &files);
    objects_are_those_of_the_signal(&comm, &files);
    any_rank_writes_any_range(&comm, &files);
    checking_finds_damage(&comm, &files);
    what_is_no_store_is_refused(&comm, &files);
    one_node_sees_no_store(&comm, &files);
    hints_arrive(&comm, &files);
    pv_test_files_remove(&comm, &files);
    return pv_test_end(&comm);
}
