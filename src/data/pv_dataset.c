#include "data/pv_dataset.h"
#include "parallel/pv_shared.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCAN_BLOCK = 65536, READ_ROWS = 256, MATCH_SWEEPS = 16 };

struct pv_dataset {
    const pv_store *store;
    pv_dataset_opts opts;
    int64_t objects;
    int params;
    int rank, size;
    bool sharded;
    int64_t first, count; /* objects that this rank holds if sharded, else its share in loading */
    pv_shared shared;     /* ids, then labels, then rows unless sharded */
    MPI_Win window;       /* over the ranks' rows if sharded */
    int64_t *ids;         /* [objects] numbers in the store */
    int32_t *labels;      /* [objects] */
    float *rows;          /* [views][objects][P], or of this rank's objects only */
    float *reference;     /* [P] if rows are matched */
};

/* Calls for every object of the split, in order: counts them, and notes ids and labels where wanted. */
static pv_status scan_split(const pv_store *store, uint8_t split, int64_t *ids, int32_t *labels,
                            int64_t *count)
{
    pv_status st;
    uint8_t *splits = NULL;
    int32_t *block_labels = NULL;
    const int64_t objects = pv_store_objects(store);
    *count = 0;
    PV_ALLOC(splits, SCAN_BLOCK);
    PV_ALLOC(block_labels, SCAN_BLOCK);
    for (int64_t first = 0; first < objects; first += SCAN_BLOCK) {
        const int64_t block = objects - first < SCAN_BLOCK ? objects - first : SCAN_BLOCK;
        PV_TRY(pv_store_read_splits(store, first, block, splits));
        PV_TRY(pv_store_read_labels(store, first, block, block_labels));
        for (int64_t i = 0; i < block; i++) {
            if (splits[i] != split) continue;
            if (ids) {
                ids[*count] = first + i;
                labels[*count] = block_labels[i];
            }
            ++*count;
        }
    }
    st = PV_OK;
done:
    free(splits);
    free(block_labels);
    return st;
}

/* The first rank of the node counts the objects of the split and tells the others. */
static pv_status count_objects(const pv_comm *comm, pv_dataset *dataset)
{
    pv_status st = PV_OK;
    if (comm->node_rank == 0)
        st = scan_split(dataset->store, dataset->opts.split, NULL, NULL, &dataset->objects);
    if ((st = pv_agree(comm, st)) == PV_OK) MPI_Bcast(&dataset->objects, 1, MPI_INT64_T, 0, comm->node);
    return st;
}

/* Whether every node can hold a copy. */
static bool fits_nodes(const pv_comm *comm, int64_t bytes)
{
    enum { SHARE = 4 };
    int fits = bytes <= (int64_t)sysconf(_SC_PHYS_PAGES) / SHARE * (int64_t)sysconf(_SC_PAGESIZE);
    MPI_Allreduce(MPI_IN_PLACE, &fits, 1, MPI_INT, MPI_MIN, comm->world);
    return fits != 0;
}

/* The ranks' shares of the rows, open to each other. */
static pv_status open_window(const pv_comm *comm, pv_dataset *dataset)
{
    const int64_t row = dataset->params * (int64_t)sizeof *dataset->rows;
    return pv_window_open(comm, dataset->opts.views * dataset->count * row, (int)row, &dataset->rows,
                          &dataset->window);
}

static pv_status share_memory(const pv_comm *comm, pv_dataset *dataset)
{
    const int64_t ids = dataset->objects * (int64_t)sizeof *dataset->ids;
    const int64_t labels =
        (dataset->objects * (int64_t)sizeof *dataset->labels + PV_ALIGN - 1) / PV_ALIGN * PV_ALIGN;
    const int64_t rows =
        dataset->opts.views * dataset->objects * dataset->params * (int64_t)sizeof *dataset->rows;
    const pv_placement placement = dataset->opts.placement;
    dataset->sharded = placement == PV_PLACE_JOB || (placement == PV_PLACE_AUTO && comm->nodes > 1 &&
                                                     !fits_nodes(comm, ids + labels + rows));
    pv_share_of(dataset->objects, dataset->sharded ? comm->rank : comm->node_rank,
                dataset->sharded ? comm->size : comm->node_size, &dataset->first, &dataset->count);
    const int64_t bytes = ids + labels + (dataset->sharded ? 0 : rows);
    const pv_status st = pv_agree(comm, pv_shared_open(comm, bytes, &dataset->shared));
    if (st != PV_OK) return st;
    char *const base = dataset->shared.data;
    void *const labels_at = base + ids, *const rows_at = base + ids + labels;
    dataset->ids = dataset->shared.data;
    dataset->labels = labels_at;
    if (dataset->sharded) return open_window(comm, dataset);
    dataset->rows = rows_at;
    return PV_OK;
}

/* How many objects from sample number i on, below `end`, are neighbours in the store: what one read takes. */
static int64_t run_of(const pv_dataset *dataset, int64_t i, int64_t end)
{
    int64_t run = 1;
    while (i + run < end && run < READ_ROWS && dataset->ids[i + run] == dataset->ids[i] + run)
        run++;
    return run;
}

/* Names the first refused row of the samples, and says how many there are. */
static pv_status fail_refused(const pv_dataset *dataset)
{
    const pv_dataset_opts *opts = &dataset->opts;
    int64_t refused = 0, first_view = 0, first_object = 0;
    for (int64_t view = opts->first_view; view < opts->first_view + opts->views; view++)
        for (int64_t i = 0; i < dataset->objects;) {
            uint8_t status[READ_ROWS];
            const int64_t run = run_of(dataset, i, dataset->objects);
            const pv_status st = pv_store_read_status(dataset->store, view, dataset->ids[i], run, status);
            if (st != PV_OK) return st;
            for (int64_t r = 0; r < run; r++, i++)
                if (status[r] == PV_ROW_REFUSED && refused++ == 0) {
                    first_view = view;
                    first_object = dataset->ids[i];
                }
        }
    return pv_fail(PV_ERR_DATA,
                   "'%s': this split holds %lld refused row(s), the first is view %lld of object %lld: fit "
                   "them with a higher fit.restarts and `polyview fit --retry-refused`, or use other views",
                   pv_store_path(dataset->store), (long long)refused, (long long)first_view,
                   (long long)first_object);
}

static pv_status check_rows(const pv_dataset *dataset, int64_t view, int64_t object, int64_t count,
                            const uint8_t *status, const uint64_t *checksums, const float *rows)
{
    const size_t bytes = sizeof *rows * (size_t)dataset->params;
    for (int64_t i = 0; i < count; i++) {
        if (status[i] == PV_ROW_REFUSED) return fail_refused(dataset);
        if (status[i] != PV_ROW_FITTED)
            return pv_fail(PV_ERR_DATA,
                           "'%s': view %lld of object %lld is not fitted: run `polyview fit` first",
                           pv_store_path(dataset->store), (long long)view, (long long)(object + i));
        if (dataset->opts.verify && pv_checksum(rows + i * dataset->params, bytes) != checksums[i])
            return pv_fail(PV_ERR_DATA,
                           "'%s': view %lld of object %lld fails its checksum: see `polyview verify`",
                           pv_store_path(dataset->store), (long long)view, (long long)(object + i));
    }
    return PV_OK;
}

/* Where the row of view v (counted from 0) of object i of the split is, or is to be. */
static float *place_of(const pv_dataset *dataset, int64_t v, int64_t i)
{
    const int64_t place =
        dataset->sharded ? v * dataset->count + i - dataset->first : v * dataset->objects + i;
    return dataset->rows + place * dataset->params;
}

static pv_status make_canonical(const pv_dataset *dataset, int64_t count, float *rows)
{
    const pv_arch *arch = pv_store_arch(dataset->store);
    const size_t bytes = sizeof *rows * (size_t)dataset->params;
    pv_symmetry symmetry = {0};
    float *before = NULL;
    pv_status st;
    PV_ALLOC(before, dataset->params);
    PV_TRY(pv_symmetry_make(arch, &symmetry));
    for (int64_t i = 0; i < count; i++) {
        float *row = rows + i * dataset->params;
        memcpy(before, row, bytes);
        pv_symmetry_canonical(arch, before, dataset->opts.canonical, &symmetry);
        pv_symmetry_apply(arch, &symmetry, before, row);
    }
done:
    pv_symmetry_free(&symmetry);
    free(before);
    return st;
}

/* The row that all are matched to: the one that was given, or the first of the split. */
static pv_status read_reference(const pv_comm *comm, pv_dataset *dataset)
{
    const int64_t view = dataset->opts.first_view;
    uint8_t status;
    uint64_t checksum;
    pv_status st = PV_OK;
    if (dataset->opts.align == PV_ALIGN_NONE || dataset->objects == 0) return PV_OK;
    PV_ALLOC(dataset->reference, dataset->params);
    if (dataset->opts.reference) {
        memcpy(dataset->reference, dataset->opts.reference,
               sizeof *dataset->reference * (size_t)dataset->params);
    } else if (comm->rank == 0) {
        const int64_t object = dataset->ids[0];
        PV_TRY(pv_store_read_status(dataset->store, view, object, 1, &status));
        PV_TRY(pv_store_read_checksums(dataset->store, view, object, 1, &checksum));
        PV_TRY(pv_store_read_rows(dataset->store, view, object, 1, dataset->reference));
        PV_TRY(check_rows(dataset, view, object, 1, &status, &checksum, dataset->reference));
        if (dataset->opts.canonical) PV_TRY(make_canonical(dataset, 1, dataset->reference));
    }
done:
    if ((st = pv_agree(comm, st)) == PV_OK && !dataset->opts.reference)
        MPI_Bcast(dataset->reference, dataset->params, MPI_FLOAT, 0, comm->world);
    return st;
}

static pv_status match(const pv_dataset *dataset, int64_t view, int64_t object, int64_t count, float *rows)
{
    const pv_match_opts opts = {dataset->opts.align == PV_ALIGN_SIGNED, MATCH_SWEEPS, .starts = 1};
    const size_t bytes = sizeof *rows * (size_t)dataset->params;
    pv_matcher *matcher = NULL;
    float *before = NULL;
    pv_status st;
    PV_ALLOC(before, dataset->params);
    PV_TRY(pv_matcher_new(pv_store_arch(dataset->store), &opts, &matcher));
    for (int64_t i = 0; i < count; i++) {
        float *row = rows + i * dataset->params;
        pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, (uint64_t)(object + i), (uint64_t)view);
        memcpy(before, row, bytes);
        pv_match_row(matcher, dataset->reference, before, &rng, row);
    }
done:
    pv_matcher_free(matcher);
    free(before);
    return st;
}

/* Reads this rank's share of one view: objects [first, first + count) of the split, in runs of consecutive
 * ones. */
static pv_status load_view(pv_dataset *dataset, int64_t v)
{
    const int64_t end = dataset->first + dataset->count;
    const int64_t view = dataset->opts.first_view + v;
    uint8_t status[READ_ROWS];
    uint64_t checksums[READ_ROWS];
    pv_status st = PV_OK;
    for (int64_t i = dataset->first; st == PV_OK && i < end;) {
        const int64_t object = dataset->ids[i], run = run_of(dataset, i, end);
        float *rows = place_of(dataset, v, i);
        st = pv_store_read_status(dataset->store, view, object, run, status);
        if (st == PV_OK) st = pv_store_read_checksums(dataset->store, view, object, run, checksums);
        if (st == PV_OK) st = pv_store_read_rows(dataset->store, view, object, run, rows);
        if (st == PV_OK) st = check_rows(dataset, view, object, run, status, checksums, rows);
        if (st == PV_OK && dataset->opts.canonical) st = make_canonical(dataset, run, rows);
        if (st == PV_OK && dataset->reference) st = match(dataset, view, object, run, rows);
        i += run;
    }
    return st;
}

static pv_status load(const pv_comm *comm, pv_dataset *dataset)
{
    pv_status st = PV_OK;
    int64_t counted;
    if (comm->node_rank == 0)
        st = scan_split(dataset->store, dataset->opts.split, dataset->ids, dataset->labels, &counted);
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    pv_shared_sync(comm, &dataset->shared);
    if ((st = read_reference(comm, dataset)) != PV_OK) return st;
    for (int64_t v = 0; st == PV_OK && v < dataset->opts.views; v++)
        st = load_view(dataset, v);
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    pv_shared_sync(comm, &dataset->shared);
    if (dataset->sharded) pv_window_sync(comm, dataset->window);
    return st;
}

pv_status pv_dataset_open(const pv_comm *comm, const pv_store *store, const pv_dataset_opts *opts,
                          pv_dataset **out)
{
    pv_status st = PV_OK;
    *out = NULL;
    pv_dataset *dataset = pv_alloc(1, sizeof *dataset);
    PV_TRY(pv_agree(comm, dataset ? PV_OK : PV_ERR_NOMEM));
    *dataset = (pv_dataset){.store = store,
                            .opts = *opts,
                            .params = pv_store_params(store),
                            .rank = comm->rank,
                            .size = comm->size,
                            .window = MPI_WIN_NULL};
    if (opts->first_view < 0 || opts->views < 1 || opts->first_view + opts->views > pv_store_views(store))
        st = pv_fail(PV_ERR_CONFIG, "views %lld-%lld are asked for, but '%s' holds views 0-%lld",
                     (long long)opts->first_view, (long long)(opts->first_view + opts->views - 1),
                     pv_store_path(store), (long long)(pv_store_views(store) - 1));
    PV_TRY(pv_agree(comm, st));
    PV_TRY(count_objects(comm, dataset));
    PV_TRY(share_memory(comm, dataset));
    PV_TRY(load(comm, dataset));
    *out = dataset;
    return PV_OK;
done:
    pv_dataset_close(dataset);
    return st;
}

void pv_dataset_close(pv_dataset *dataset)
{
    if (!dataset) return;
    pv_window_close(&dataset->window);
    pv_shared_close(&dataset->shared);
    free(dataset->reference);
    free(dataset);
}

int64_t pv_dataset_samples(const pv_dataset *dataset)
{
    return dataset->objects * dataset->opts.views;
}

int64_t pv_dataset_views(const pv_dataset *dataset)
{
    return dataset->opts.views;
}

int pv_dataset_params(const pv_dataset *dataset)
{
    return dataset->params;
}

void pv_dataset_share(const pv_dataset *dataset, int64_t *first, int64_t *count)
{
    const int64_t views = dataset->opts.views;
    if (dataset->sharded) {
        *first = dataset->first * views;
        *count = dataset->count * views;
    } else {
        pv_share_of(pv_dataset_samples(dataset), dataset->rank, dataset->size, first, count);
    }
}

int64_t pv_dataset_memory(const pv_dataset *dataset)
{
    const int64_t rows = dataset->opts.views * (dataset->sharded ? dataset->count : dataset->objects);
    const int64_t object = (int64_t)(sizeof *dataset->ids + sizeof *dataset->labels);
    return dataset->objects * object + rows * dataset->params * (int64_t)sizeof *dataset->rows;
}

const float *pv_dataset_reference(const pv_dataset *dataset)
{
    return dataset->reference;
}

bool pv_dataset_is_sharded(const pv_dataset *dataset)
{
    return dataset->sharded;
}

const float *pv_dataset_row(const pv_dataset *dataset, int64_t sample)
{
    const int64_t views = dataset->opts.views, object = sample / views;
    const bool held =
        !dataset->sharded || (object >= dataset->first && object < dataset->first + dataset->count);
    return held ? place_of(dataset, sample % views, object) : NULL;
}

void pv_dataset_fetch(const pv_dataset *dataset, int64_t sample, float *row, MPI_Request *request)
{
    const int64_t views = dataset->opts.views, object = sample / views;
    int64_t first, count;
    const int owner = pv_share_owner(dataset->objects, dataset->size, object);
    pv_share_of(dataset->objects, owner, dataset->size, &first, &count);
    const MPI_Aint place = (MPI_Aint)(sample % views * count + object - first);
    MPI_Rget(row, dataset->params, MPI_FLOAT, owner, place, dataset->params, MPI_FLOAT, dataset->window,
             request);
}

int32_t pv_dataset_label(const pv_dataset *dataset, int64_t sample)
{
    return dataset->labels[sample / dataset->opts.views];
}

int64_t pv_dataset_object(const pv_dataset *dataset, int64_t sample)
{
    return dataset->ids[sample / dataset->opts.views];
}

int64_t pv_dataset_view(const pv_dataset *dataset, int64_t sample)
{
    return dataset->opts.first_view + sample % dataset->opts.views;
}
