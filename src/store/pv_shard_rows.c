/* Reading and writing rows, whichever shards of a store have them. */
#include "pv_shard_rows.h"
#include "base/pv_meter.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What of a request lies in a shard, in the shard's numbers, and how far from the request's start. */
typedef struct extract {
    int64_t view, first, count, offset;
} extract;

/* False: nothing. */
static bool extract_of(const shard *one, int64_t view, int64_t first, int64_t count, extract *out)
{
    const store_box *box = &one->box;
    const int64_t start = first > box->first_object ? first : box->first_object;
    const int64_t box_end = box->first_object + box->objects;
    const int64_t end = first + count < box_end ? first + count : box_end;
    *out = (extract){view - box->first_view, start - box->first_object, end - start, start - first};
    return view >= box->first_view && view < box->first_view + box->views && start < end;
}

pv_status shards_read(const shards *from, const store_shape *shape, store_column column, int64_t view,
                      int64_t first, int64_t count, void *data)
{
    const size_t entry = store_column_entry(column, shape);
    pv_status st = PV_OK;
    extract x;
    for (int i = 0; st == PV_OK && i < from->count; i++)
        if (extract_of(&from->all[i], view, first, count, &x))
            st = store_column_read(from->all[i].columns[column], column, shape, x.view, x.first, x.count,
                                   (char *)data + (size_t)x.offset * entry);
    return st;
}

/* Brings what was written to a shard to disk, with what other ranks of this node have written. */
static pv_status sync_shard(const shards *set, const shard *one)
{
    if (one->sync < 0) return PV_OK;
    pv_meter_begin(PV_METER_FILES);
    const int synced = fdatasync(one->sync);
    pv_meter_end();
    if (synced == 0) return PV_OK;
    return pv_fail(PV_ERR_IO, "cannot bring the rows of '%s' to disk: %s", set->path, strerror(errno));
}

/* The order that makes a torn write harmless: the status last, when all else is on disk. */
static pv_status write_extract(const shards *set, const shard *one, const store_shape *shape,
                               const extract *x, const void *const data[ROW_COLUMNS])
{
    static const store_column order[] = {COLUMN_PARAMS, COLUMN_CHECKSUM, COLUMN_PSNR, COLUMN_STEPS,
                                         COLUMN_STATUS};
    pv_status st = PV_OK;
    for (size_t c = 0; st == PV_OK && c < sizeof order / sizeof *order; c++) {
        const store_column column = order[c];
        if (!data[column]) continue;
        if (column == COLUMN_STATUS && data[COLUMN_PARAMS]) st = sync_shard(set, one);
        if (st != PV_OK) break;
        st = store_column_write(one->columns[column], column, shape, x->view, x->first, x->count,
                                (const char *)data[column] +
                                    (size_t)x->offset * store_column_entry(column, shape));
    }
    return st;
}

pv_status shards_write(const shards *to, const store_shape *shape, int64_t view, int64_t first, int64_t count,
                       const void *const data[ROW_COLUMNS])
{
    pv_status st = PV_OK;
    extract x;
    for (int i = 0; st == PV_OK && i < to->count; i++)
        if (extract_of(&to->all[i], view, first, count, &x))
            st = write_extract(to, &to->all[i], shape, &x, data);
    return st;
}
