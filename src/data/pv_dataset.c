/* One split in memory: who holds which rows, and how others get them. */
#include "data/pv_dataset.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "parallel/pv_shared.h"
#include "pv_row_loader.h"

#include <stdlib.h>

enum { SCAN_BLOCK = 16384 };

struct pv_dataset {
    const pv_store *store;
    pv_dataset_opts opts;
    int64_t objects;
    int params, stride;
    int rank, size;
    bool sharded;
    int64_t first, count; /* objects that this rank holds if sharded, else its share in loading */
    pv_shared shared;     /* ids, then labels, then rows unless sharded */
    MPI_Win window;       /* over the ranks' rows if sharded */
    int64_t *ids;         /* [objects] numbers in the store */
    int32_t *labels;      /* [objects] */
    float *rows;          /* [views][objects][stride], or of this rank's objects only */
    uint64_t identity;
};

/* Calls for every object of the split, in order: counts them, and notes ids and labels where wanted. */
static pv_status scan_split(const pv_store *store, uint8_t split, int64_t *ids, int32_t *labels,
                            int64_t *count)
{
    pv_status st = PV_OK;
    uint8_t splits[SCAN_BLOCK];
    int32_t block_labels[SCAN_BLOCK];
    const int64_t objects = pv_store_objects(store);
    *count = 0;
    for (int64_t first = 0; first < objects; first += SCAN_BLOCK) {
        const int64_t block = objects - first < SCAN_BLOCK ? objects - first : SCAN_BLOCK;
        PV_TRY(pv_stop_check());
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
done:
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
    int fits = bytes <= pv_memory_limit() / SHARE;
    MPI_Allreduce(MPI_IN_PLACE, &fits, 1, MPI_INT, MPI_MIN, comm->world);
    return fits != 0;
}

/* The ranks' shares of the rows, open to each other. */
static pv_status open_window(const pv_comm *comm, pv_dataset *dataset)
{
    const int64_t row = dataset->stride * (int64_t)sizeof *dataset->rows;
    return pv_window_open(comm, dataset->opts.views * dataset->count * row, (int)row, &dataset->rows,
                          &dataset->window);
}

static pv_status share_memory(const pv_comm *comm, pv_dataset *dataset)
{
    const int64_t ids = dataset->objects * (int64_t)sizeof *dataset->ids;
    const int64_t labels =
        (dataset->objects * (int64_t)sizeof *dataset->labels + PV_ALIGN - 1) / PV_ALIGN * PV_ALIGN;
    const int64_t rows =
        dataset->opts.views * dataset->objects * dataset->stride * (int64_t)sizeof *dataset->rows;
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

/* Where the row of view v (counted from 0) of object i of the split is, or is to be. */
static float *row_at(const pv_dataset *dataset, int64_t v, int64_t i)
{
    const int64_t number =
        dataset->sharded ? v * dataset->count + i - dataset->first : v * dataset->objects + i;
    return dataset->rows + number * dataset->stride;
}

/* A form that matches rows gets its reference from the first row of the split, or draws it, unless it has
 * one. */
static pv_status choose_reference(const pv_comm *comm, pv_row_form *form, const pv_row_loader *loader)
{
    pv_row_loader first = *loader;
    pv_status st = PV_OK;
    first.frames = NULL;
    if (!form || form->opts.align == PV_ALIGN_NONE || form->reference || loader->objects == 0) return PV_OK;
    float *reference = pv_alloc(form->params, sizeof *reference);
    if (!reference) st = PV_ERR_NOMEM;
    if (st == PV_OK && form->opts.align == PV_ALIGN_FIXED)
        pv_fresh_draw(&form->opts.fresh, pv_store_arch(loader->store), reference);
    else if (st == PV_OK && comm->rank == 0)
        st = pv_row_loader_read(&first, 0, 0, 1, reference);
    if ((st = pv_agree(comm, st)) == PV_OK) {
        MPI_Bcast(reference, form->params, MPI_FLOAT, 0, comm->world);
        form->reference = reference;
        reference = NULL;
    }
    free(reference);
    return st;
}

/* This rank's share, view by view. */
static pv_status load_share(pv_dataset *dataset, pv_row_loader *loader)
{
    pv_status st = PV_OK;
    for (int64_t v = 0; st == PV_OK && v < loader->views; v++)
        st =
            pv_row_loader_read(loader, v, dataset->first, dataset->count, row_at(dataset, v, dataset->first));
    return st;
}

/* Gives every rank what all ranks together have read. */
static void sync_rows(const pv_comm *comm, pv_dataset *dataset)
{
    pv_shared_sync(comm, &dataset->shared);
    if (dataset->sharded) pv_window_sync(comm, dataset->window);
    MPI_Allreduce(MPI_IN_PLACE, &dataset->identity, 1, MPI_UINT64_T, MPI_SUM,
                  dataset->sharded ? comm->world : comm->node);
}

/* Whether all nodes have opened the same store: a path may lead each to a file of its own. */
static pv_status compare_nodes(const pv_comm *comm, const pv_dataset *dataset, const pv_row_loader *loader)
{
    int64_t first, count;
    uint64_t sum = 0, there;
    if (comm->nodes == 1) return PV_OK;
    pv_share_of(dataset->objects, comm->node_rank, comm->node_size, &first, &count);
    const pv_status st = pv_agree(comm, pv_row_loader_sum(loader, first, count, &sum));
    if (st != PV_OK) return st;
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_UINT64_T, MPI_SUM, comm->node);
    there = sum;
    MPI_Bcast(&there, 1, MPI_UINT64_T, 0, comm->world);
    return pv_agree(
        comm, sum == there ? PV_OK
                           : pv_fail(PV_ERR_DATA,
                                     "'%s' is another store on this node than on rank 0's, with other rows: "
                                     "name one that all nodes see, or give them equal copies",
                                     pv_store_path(dataset->store)));
}

/* Refuses rows that no model can take; every rank says the same of all that all have read. */
static pv_status refuse_wild(const pv_comm *comm, const pv_row_loader *loader)
{
    const int64_t objects = pv_store_objects(loader->store);
    int64_t wild = loader->wild, first = wild ? loader->first_wild : INT64_MAX;
    MPI_Allreduce(MPI_IN_PLACE, &wild, 1, MPI_INT64_T, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, comm->world);
    if (wild == 0) return PV_OK;
    return pv_agree(comm, pv_fail(PV_ERR_DATA,
                                  "'%s': %lld row(s) of this split hold weights that are not "
                                  "finite or beyond 1e9, the first is view %lld of object %lld: "
                                  "make the store anew without these INRs, or use other views",
                                  pv_store_path(loader->store), (long long)wild, (long long)(first / objects),
                                  (long long)(first % objects)));
}

static pv_status load(const pv_comm *comm, pv_dataset *dataset)
{
    const pv_dataset_opts *opts = &dataset->opts;
    pv_row_loader loader = {.store = dataset->store,
                            .objects = dataset->objects,
                            .ids = dataset->ids,
                            .labels = dataset->labels,
                            .first_view = opts->first_view,
                            .views = opts->views,
                            .verify = opts->verify,
                            .form = opts->form,
                            .frames = opts->frames};
    int64_t counted;
    pv_status st = PV_OK;
    if (comm->node_rank == 0)
        st = scan_split(dataset->store, opts->split, dataset->ids, dataset->labels, &counted);
    if (st == PV_OK) st = pv_row_loader_open(&loader);
    PV_TRY(pv_agree(comm, st));
    pv_shared_sync(comm, &dataset->shared);
    PV_TRY(compare_nodes(comm, dataset, &loader));
    PV_TRY(choose_reference(comm, opts->form, &loader));
    PV_TRY(pv_agree(comm, load_share(dataset, &loader)));
    PV_TRY(refuse_wild(comm, &loader));
    dataset->identity = loader.identity;
    sync_rows(comm, dataset);
done:
    pv_row_loader_close(&loader);
    return st;
}

pv_status pv_dataset_open(const pv_comm *comm, const pv_store *store, const pv_dataset_opts *opts,
                          pv_dataset **out)
{
    pv_status st;
    pv_dataset *dataset = NULL;
    *out = NULL;
    PV_TRY(pv_same(comm, "split of pv_dataset_open", &opts->split, sizeof opts->split));
    PV_TRY(pv_same(comm, "first_view of pv_dataset_open", &opts->first_view, sizeof opts->first_view));
    PV_TRY(pv_same(comm, "views of pv_dataset_open", &opts->views, sizeof opts->views));
    dataset = pv_alloc(1, sizeof *dataset);
    PV_TRY(pv_agree(comm, dataset ? PV_OK : PV_ERR_NOMEM));
    *dataset = (pv_dataset){.store = store,
                            .opts = *opts,
                            .params = pv_store_params(store),
                            .stride = pv_store_params(store) +
                                      (opts->frames ? pv_frame_words(pv_store_arch(store)) : 0),
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

int pv_dataset_stride(const pv_dataset *dataset)
{
    return dataset->stride;
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
    if (!dataset) return 0;
    const int64_t rows = dataset->opts.views * (dataset->sharded ? dataset->count : dataset->objects);
    const int64_t object = (int64_t)(sizeof *dataset->ids + sizeof *dataset->labels);
    return dataset->objects * object + rows * dataset->stride * (int64_t)sizeof *dataset->rows;
}

uint64_t pv_dataset_identity(const pv_dataset *dataset)
{
    return dataset ? dataset->identity : 0;
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
    return held ? row_at(dataset, sample % views, object) : NULL;
}

void pv_dataset_fetch(const pv_dataset *dataset, int64_t sample, float *row, MPI_Request *request)
{
    const int64_t views = dataset->opts.views, object = sample / views;
    int64_t first, count;
    const int owner = pv_share_owner(dataset->objects, dataset->size, object);
    pv_share_of(dataset->objects, owner, dataset->size, &first, &count);
    const MPI_Aint at = (MPI_Aint)(sample % views * count + object - first);
    MPI_Rget(row, dataset->stride, MPI_FLOAT, owner, at, dataset->stride, MPI_FLOAT, dataset->window,
             request);
}

const float *pv_dataset_frame(const pv_dataset *dataset, const float *row)
{
    return dataset->stride > dataset->params ? row + dataset->params : NULL;
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
