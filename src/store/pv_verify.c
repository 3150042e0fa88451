/* Checking a store: every row against its checksum, by ranks that take chunks of rows from a queue. */
#include "store/pv_verify.h"
#include "base/pv_checksum.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "parallel/pv_queue.h"
#include "base/pv_stop.h"

#include <stdlib.h>
#include <string.h>

/* Rows read at once; statuses read at once, and rows of one chunk, at most. */
enum { BLOCK_ROWS = 256, STATUS_BLOCK = 65536 };
/* Chunks for each rank, so that all end at about the same time. */
enum { CHUNKS = 32 };
/* The bits of a float. */
#define SIGN         UINT32_C(0x80000000)
#define EXPONENT     UINT32_C(0x7f800000)
#define EXPONENT_ONE UINT32_C(0x00800000)

/* One rank's reading; one owner, freed in pv_verify. */
typedef struct check {
    const pv_store *store;
    pv_queue *queue; /* of the chunks; NULL when some rows are looked at by one rank alone */
    float *rows;
    uint64_t checksums[BLOCK_ROWS], computed[BLOCK_ROWS]; /* as stored, and of the rows as they are */
    uint8_t status[STATUS_BLOCK];
    int64_t fitted, refused, missing, bad, capacity;
    pv_bad_row *found;
} check;

/* Whether all values are finite: adding one to an exponent of all ones, and to no other, reaches the sign
 * bit. */
static bool is_finite(const float *row, int params)
{
    uint32_t reached = 0;
    for (int p = 0; p < params; p++) {
        uint32_t bits;
        memcpy(&bits, &row[p], sizeof bits);
        reached |= (bits & EXPONENT) + EXPONENT_ONE;
    }
    return reached < SIGN;
}

/* Of a row that is not missing. */
static bool is_sound(const check *c, uint8_t status, int64_t i)
{
    const int params = pv_store_params(c->store);
    return status <= PV_ROW_REFUSED && c->computed[i] == c->checksums[i] &&
           is_finite(c->rows + i * params, params);
}

static bool is_missing(const uint8_t *status, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (status[i] != PV_ROW_MISSING) return false;
    return true;
}

static pv_status note_bad(check *c, const pv_bad_row *row)
{
    if (c->bad == c->capacity) {
        const int64_t capacity = 2 * c->capacity + 16;
        pv_bad_row *grown = realloc(c->found, sizeof *grown * (size_t)capacity);
        if (!grown)
            return pv_fail(PV_ERR_NOMEM, "no memory for a list of %lld bad rows", (long long)capacity);
        c->found = grown;
        c->capacity = capacity;
    }
    c->found[c->bad++] = *row;
    return PV_OK;
}

/* Lets the one-sided calls of other ranks proceed, and ends the check when any rank is to stop. */
static pv_status look_around(const check *c)
{
    if (!c->queue) return PV_OK;
    pv_queue_progress(c->queue);
    if (pv_stop_requested()) pv_queue_cancel(c->queue);
    return pv_queue_cancelled(c->queue) ? pv_stop_fail() : PV_OK;
}

/* Checks objects whose statuses are known and of which some row is not missing. */
static pv_status check_block(check *c, int64_t view, int64_t first, int64_t count, const uint8_t *status)
{
    pv_status st;
    PV_TRY(pv_store_read_checksums(c->store, view, first, count, c->checksums));
    PV_TRY(pv_store_read_rows(c->store, view, first, count, c->rows));
    pv_checksum_rows(c->rows, sizeof *c->rows * (size_t)pv_store_params(c->store), count, c->computed);
    for (int64_t i = 0; i < count; i++)
        if (status[i] != PV_ROW_MISSING && !is_sound(c, status[i], i))
            PV_TRY(note_bad(c, &(pv_bad_row){view, first + i, c->checksums[i]}));
done:
    return st;
}

/* Statuses are read many at once, so that a store that is mostly missing is gone through fast. */
static pv_status check_view(check *c, int64_t view, int64_t first, int64_t count)
{
    pv_status st;
    PV_TRY(pv_store_read_status(c->store, view, first, count, c->status));
    for (int64_t i = 0; i < count; i++) {
        c->fitted += c->status[i] == PV_ROW_FITTED;
        c->refused += c->status[i] == PV_ROW_REFUSED;
        c->missing += c->status[i] == PV_ROW_MISSING;
    }
    for (int64_t done = 0; done < count; done += BLOCK_ROWS) {
        const int64_t block = count - done < BLOCK_ROWS ? count - done : BLOCK_ROWS;
        PV_TRY(look_around(c));
        if (!is_missing(c->status + done, block))
            PV_TRY(check_block(c, view, first + done, block, c->status + done));
    }
done:
    return st;
}

/* Objects of one chunk: a multiple of BLOCK_ROWS. */
static int64_t chunk_objects(const pv_store *store, int ranks)
{
    const int64_t rows = pv_store_views(store) * pv_store_objects(store);
    const int64_t blocks = rows / BLOCK_ROWS / ((int64_t)CHUNKS * ranks) + 1;
    return blocks * BLOCK_ROWS < STATUS_BLOCK ? blocks * BLOCK_ROWS : STATUS_BLOCK;
}

/* One rank's work. */
static pv_status check_chunks(check *c, int64_t each, int64_t chunks_a_view)
{
    const int64_t objects = pv_store_objects(c->store);
    pv_status st = PV_OK;
    int64_t chunk, count;
    while (st == PV_OK && pv_queue_take(c->queue, &chunk, &count)) {
        const int64_t first = chunk % chunks_a_view * each;
        st = check_view(c, chunk / chunks_a_view, first, objects - first < each ? objects - first : each);
    }
    return st == PV_OK && pv_queue_cancelled(c->queue) ? pv_stop_fail() : st;
}

static int by_place(const void *left, const void *right)
{
    const pv_bad_row *a = left, *b = right;
    if (a->view != b->view) return a->view < b->view ? -1 : 1;
    return a->object < b->object ? -1 : a->object > b->object;
}

/* Brings the lists of all ranks to rank 0.  Bad rows are few; were they many, the list is as long as they
 * are. */
static pv_status gather_bad(const pv_comm *comm, const check *c, pv_verify_result *result)
{
    pv_status st = PV_OK;
    int *counts = NULL, *offsets = NULL;
    const int mine = (int)c->bad;
    MPI_Datatype row;
    if (result->bad > INT32_MAX)
        return pv_fail(PV_ERR_DATA, "'%s' has %lld bad rows of %lld fitted: more than can be listed",
                       pv_store_path(c->store), (long long)result->bad, (long long)result->fitted);
    MPI_Type_contiguous(3, MPI_INT64_T, &row);
    MPI_Type_commit(&row);
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
        MPI_Gatherv(c->found, mine, row, result->bad_rows, counts, offsets, row, 0, comm->world);
    }
    if (st == PV_OK && comm->rank == 0)
        qsort(result->bad_rows, (size_t)result->bad, sizeof *result->bad_rows, by_place);
    MPI_Type_free(&row);
    PV_FREE(counts, offsets);
    return st;
}

pv_status pv_verify(const pv_comm *comm, const pv_store *store, pv_verify_result *result)
{
    check c = {.store = store};
    pv_status st;
    const double start = pv_seconds();
    const int64_t each = chunk_objects(store, comm->size);
    const int64_t chunks_a_view = (pv_store_objects(store) + each - 1) / each;
    *result = (pv_verify_result){.rows = pv_store_views(store) * pv_store_objects(store)};
    PV_TRY(pv_queue_open(comm, chunks_a_view * pv_store_views(store), &c.queue));
    c.rows = pv_alloc((int64_t)BLOCK_ROWS * pv_store_params(store), sizeof *c.rows);
    st = c.rows ? check_chunks(&c, each, chunks_a_view) : PV_ERR_NOMEM;
    if (st != PV_OK) pv_queue_cancel(c.queue);
    if ((st = pv_agree(comm, st)) == PV_OK) {
        int64_t sums[4] = {c.fitted, c.bad, c.refused, c.missing};
        MPI_Allreduce(MPI_IN_PLACE, sums, 4, MPI_INT64_T, MPI_SUM, comm->world);
        result->fitted = sums[0];
        result->bad = sums[1];
        result->refused = sums[2];
        result->missing = sums[3];
        if (result->bad > 0) st = gather_bad(comm, &c, result);
        result->seconds = pv_seconds() - start;
    }
done:
    pv_queue_close(c.queue);
    PV_FREE(c.rows, c.found);
    return st;
}

pv_status pv_verify_discard(pv_store *store, const pv_verify_result *found)
{
    pv_status st = PV_OK;
    for (int64_t i = 0; st == PV_OK && i < found->bad; i++)
        st = pv_store_discard(store, found->bad_rows[i].view, found->bad_rows[i].object);
    return st;
}

pv_status pv_verify_again(const pv_store *store, const pv_verify_result *found, int64_t *sound, int64_t *same)
{
    check c = {.store = store};
    pv_status st;
    *sound = *same = 0;
    PV_ALLOC(c.rows, pv_store_params(store));
    for (int64_t i = 0; i < found->bad; i++) {
        const pv_bad_row *row = &found->bad_rows[i];
        const int64_t bad = c.bad;
        PV_TRY(check_view(&c, row->view, row->object, 1));
        if (c.status[0] == PV_ROW_MISSING || c.bad > bad) continue;
        ++*sound;
        *same += c.checksums[0] == row->checksum;
    }
    st = PV_OK;
done:
    PV_FREE(c.rows, c.found);
    return st;
}
