/* What a new file of a store says of its objects: labels, splits, sources, targets. */
#include "pv_store_objects.h"
#include "base/pv_mem.h"
#include "parallel/pv_walk.h"

#include <stdlib.h>
#include <string.h>

/* What a node writes before it is brought to disk: a disk that is slow keeps a signal waiting that long. */
#define UNSYNCED_BYTES (INT64_C(64) << 20)

/* A rank's writing of objects. */
typedef struct object_writer {
    const store_recipe *recipe;
    const char *path;
    const store_shape *shape; /* of the file */
    int64_t first_object;     /* of the file, in the store */
    int node_size; /* ranks that write to one cache, which one of them brings to disk; 0: not this */
    store_file file;
    hid_t columns[COLUMNS];
    void *data[COLUMNS]; /* of a block of objects, of the columns of objects */
    int64_t unsynced;    /* bytes */
} object_writer;

static object_writer writer_of(const store_recipe *recipe, const char *path, const store_shape *shape,
                               int64_t first)
{
    object_writer w = {
        .recipe = recipe, .path = path, .shape = shape, .first_object = first, .file = {.id = -1, .fd = -1}};
    for (int c = 0; c < COLUMNS; c++)
        w.columns[c] = -1;
    return w;
}

static pv_status writer_make(object_writer *w, hid_t file, int64_t most)
{
    pv_status st = PV_OK;
    for (int c = ROW_COLUMNS; st == PV_OK && c < COLUMNS; c++) {
        const store_column column = (store_column)c;
        w->data[c] = pv_alloc(most, store_column_entry(column, w->shape));
        if (!w->data[c]) return PV_ERR_NOMEM;
        if (store_column_exists(c, w->shape))
            st = store_column_open(file, w->path, column, w->shape, &w->columns[c]);
    }
    return st;
}

static void writer_free(object_writer *w)
{
    store_columns_close(COLUMNS, w->columns);
    for (int c = ROW_COLUMNS; c < COLUMNS; c++)
        free(w->data[c]);
}

/* A store from before there were names has the number of a class as its label, gaps or not. */
static int32_t label_of(const store_recipe *recipe, int64_t object)
{
    const int32_t label = pv_signal_label(recipe->signal, object);
    const pv_class_name *names = pv_signal_class_names(recipe->signal);
    const bool numbers = names && recipe->old && !pv_store_class_names(recipe->old);
    return numbers && label >= 0 ? (int32_t)atol(names[label].text) : label;
}

static pv_status take_object(const object_writer *w, int64_t object, int64_t i)
{
    const pv_signal *signal = w->recipe->signal;
    const int targets = w->shape->targets, frame = w->shape->frame;
    ((int32_t *)w->data[COLUMN_LABEL])[i] = label_of(w->recipe, object);
    ((uint8_t *)w->data[COLUMN_SPLIT])[i] = pv_signal_split(signal, object);
    ((uint64_t *)w->data[COLUMN_SOURCE])[i] = pv_signal_source_id(signal, object);
    ((uint64_t *)w->data[COLUMN_DIGEST])[i] = 0;
    memset((float *)w->data[COLUMN_FRAME] + i * frame, 0, sizeof(float) * (size_t)frame);
    return targets > 0 ? pv_signal_target(signal, object, (float *)w->data[COLUMN_TARGET] + i * targets)
                       : PV_OK;
}

/* `count` objects of the store from `first`: those that it has had are copied. */
static pv_status take_objects(object_writer *w, int64_t first, int64_t count)
{
    const store_recipe *recipe = w->recipe;
    const int64_t kept = recipe->old ? pv_store_objects(recipe->old) : 0;
    const int64_t old = first >= kept ? 0 : kept - first < count ? kept - first : count;
    pv_status st = PV_OK;
    for (int c = ROW_COLUMNS; st == PV_OK && old > 0 && c < COLUMNS; c++)
        st = pv_store_read_objects(recipe->old, c, first, old, w->data[c]);
    for (int64_t i = old; st == PV_OK && i < count; i++)
        st = take_object(w, recipe->first_new + first + i - kept, i);
    return st;
}

static pv_status sync_some(object_writer *w)
{
    if (w->unsynced * w->node_size < UNSYNCED_BYTES) return PV_OK;
    w->unsynced = 0;
    return store_file_sync(&w->file, w->path);
}

/* Objects of the file from `first`. */
static pv_status write_block(void *context, int64_t first, int64_t count)
{
    object_writer *const w = context;
    pv_status st;
    PV_TRY(take_objects(w, w->first_object + first, count));
    for (int c = ROW_COLUMNS; c < COLUMNS; c++) {
        if (!store_column_exists(c, w->shape)) continue;
        PV_TRY(store_column_write(w->columns[c], (store_column)c, w->shape, 0, first, count, w->data[c]));
        w->unsynced += count * (int64_t)store_column_entry((store_column)c, w->shape);
    }
    st = sync_some(w);
done:
    return st;
}

pv_status store_write_few(const store_recipe *recipe, hid_t file, const char *path, const store_shape *shape,
                          int64_t first)
{
    object_writer w = writer_of(recipe, path, shape, first);
    pv_status st = writer_make(&w, file, shape->objects);
    if (st == PV_OK) st = write_block(&w, 0, shape->objects);
    writer_free(&w);
    return st;
}

pv_status store_write_objects(const pv_comm *comm, const store_recipe *recipe, const char *path,
                              const store_shape *shape, int64_t first, store_making *making)
{
    object_writer w = writer_of(recipe, path, shape, first);
    const pv_walk walk = {
        .items = shape->objects, .block = STORE_OBJECT_BLOCK, .visit = write_block, .context = &w};
    pv_status st;
    w.node_size = comm->node_rank == 0 ? comm->node_size : 0;
    PV_TRY(store_file_open(comm, path, true, recipe->storage, &w.file));
    PV_TRY(pv_agree(comm, writer_make(&w, w.file.id, STORE_OBJECT_BLOCK)));
    PV_TRY(pv_walk_leg(comm, &walk, &making->progress, &making->written));
    /* what rank 0's node holds back comes to disk when the file gets its name */
    st = pv_agree(comm, comm->node_rank == 0 && comm->rank > 0 ? store_file_sync(&w.file, path) : PV_OK);
done:;
    writer_free(&w);
    const pv_status closed = pv_agree(comm, store_file_close(comm, path, &w.file));
    return st == PV_OK ? closed : st;
}
