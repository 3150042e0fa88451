#include "store/pv_verify.h"
#include "base/pv_checksum.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 256 };

/* One rank's reading; one owner, freed in pv_verify. */
typedef struct check {
    const pv_store *store;
    float *rows;
    uint64_t checksums[BLOCK_ROWS];
    uint8_t status[BLOCK_ROWS];
    int64_t fitted, refused, bad, capacity;
    pv_bad_row *found;
} check;

static bool is_sound(const check *c, int64_t i)
{
    const int params = pv_store_params(c->store);
    const float *row = c->rows + i * params;
    if (pv_checksum(row, sizeof *row * (size_t)params) != c->checksums[i]) return false;
    for (int p = 0; p < params; p++)
        if (!isfinite(row[p])) return false;
    return true;
}

static pv_status note_bad(check *c, int64_t view, int64_t object)
{
    if (c->bad == c->capacity) {
        const int64_t capacity = 2 * c->capacity + 16;
        pv_bad_row *grown = realloc(c->found, sizeof *grown * (size_t)capacity);
        if (!grown)
            return pv_fail(PV_ERR_NOMEM, "no memory for a list of %lld bad rows", (long long)capacity);
        c->found = grown;
        c->capacity = capacity;
    }
    c->found[c->bad++] = (pv_bad_row){view, object};
    return PV_OK;
}

static pv_status check_block(check *c, int64_t view, int64_t first, int64_t count)
{
    pv_status st;
    PV_TRY(pv_store_read_status(c->store, view, first, count, c->status));
    for (int64_t i = 0; i < count; i++)
        c->refused += c->status[i] == PV_VIEW_REFUSED;
    if (!memchr(c->status, PV_VIEW_FITTED, (size_t)count)) return PV_OK;
    PV_TRY(pv_store_read_checksums(c->store, view, first, count, c->checksums));
    PV_TRY(pv_store_read_rows(c->store, view, first, count, c->rows));
    for (int64_t i = 0; i < count; i++) {
        if (c->status[i] != PV_VIEW_FITTED) continue;
        c->fitted++;
        if (!is_sound(c, i)) PV_TRY(note_bad(c, view, first + i));
    }
done:
    return st;
}

static pv_status check_share(check *c, int64_t first, int64_t count)
{
    pv_status st = PV_OK;
    for (int64_t view = 0; view < pv_store_views(c->store); view++)
        for (int64_t done = 0; st == PV_OK && done < count; done += BLOCK_ROWS)
            st = check_block(c, view, first + done, count - done < BLOCK_ROWS ? count - done : BLOCK_ROWS);
    return st;
}

/* Brings the lists of all ranks to rank 0.  Bad rows are few; were they many, the list is as long as they
 * are. */
static pv_status gather_bad(const pv_comm *comm, const check *c, pv_verify_result *result)
{
    pv_status st = PV_OK;
    int *counts = NULL, *offsets = NULL;
    const int mine = (int)(c->bad * 2);
    if (comm->rank == 0) {
        PV_ALLOC(counts, comm->size);
        PV_ALLOC(offsets, comm->size);
        PV_ALLOC(result->bad_rows, result->bad);
    }
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        MPI_Gather(&mine, 1, MPI_INT, counts, 1, MPI_INT, 0, comm->world);
        for (int r = 1; comm->rank == 0 && r < comm->size; r++)
            offsets[r] = offsets[r - 1] + counts[r - 1];
        MPI_Gatherv(c->found, mine, MPI_INT64_T, result->bad_rows, counts, offsets, MPI_INT64_T, 0,
                    comm->world);
    }
    free(counts);
    free(offsets);
    return st;
}

pv_status pv_verify(const pv_comm *comm, const pv_store *store, pv_verify_result *result)
{
    check c = {.store = store};
    pv_status st;
    int64_t first, count;
    const double start = pv_seconds();
    *result = (pv_verify_result){.rows = pv_store_views(store) * pv_store_objects(store)};
    PV_ALLOC(c.rows, (int64_t)BLOCK_ROWS * pv_store_params(store));
    pv_share_of(pv_store_objects(store), comm->rank, comm->size, &first, &count);
    st = check_share(&c, first, count);
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        int64_t sums[3] = {c.fitted, c.bad, c.refused};
        MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_INT64_T, MPI_SUM, comm->world);
        result->fitted = sums[0];
        result->bad = sums[1];
        result->refused = sums[2];
        result->missing = result->rows - result->fitted - result->refused;
        if (result->bad > 0) st = gather_bad(comm, &c, result);
        result->seconds = pv_seconds() - start;
    }
    free(c.rows);
    free(c.found);
    return st;
}
