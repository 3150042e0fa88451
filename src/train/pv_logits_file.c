#include "train/pv_logits_file.h"
#include "base/pv_file.h"
#include "base/pv_mem.h"
#include "store/pv_h5.h"

#include <stdlib.h>
#include <unistd.h>

enum { LOGITS, LABELS, OBJECTS, VIEWS, COLUMNS };
/* What a file takes beside its columns. */
enum { OTHER_BYTES = 1 << 14 };

static const char *const names[COLUMNS] = {"/logits", "/label", "/object", "/view"};

static hid_t type_of(int column)
{
    return column == LOGITS ? H5T_NATIVE_FLOAT : column == LABELS ? H5T_NATIVE_INT32 : H5T_NATIVE_INT64;
}

/* Rank 0's work: a file with room for everything, so that on a full disk it fails here, and alone. */
static pv_status create_file(const char *path, const char *part, int64_t samples, int classes)
{
    const hsize_t dims[2] = {(hsize_t)samples, (hsize_t)classes};
    int64_t bytes = OTHER_BYTES;
    for (int c = 0; c < COLUMNS; c++)
        bytes += samples * (c == LOGITS ? classes : 1) * (int64_t)H5Tget_size(type_of(c));
    pv_status st = pv_file_reserve(part, path, bytes);
    if (st != PV_OK) return st;
    const hid_t file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0) return pv_h5_fail("cannot create", part);
    PV_TRY(pv_file_reserve(part, path, bytes));
    PV_TRY(pv_h5_write_text(file, "polyview_kind", "logits"));
    for (int c = 0; c < COLUMNS; c++) {
        hid_t dataset = -1;
        PV_TRY(pv_h5_create(file, names[c], type_of(c), c == LOGITS ? 2 : 1, dims, &dataset));
        H5Dclose(dataset);
    }
done:
    if (H5Fclose(file) < 0 && st == PV_OK) st = pv_h5_fail("cannot close", part);
    return st;
}

/* Writes this rank's part of one column. */
static pv_status write_part(hid_t file, int column, const hsize_t *start, const hsize_t *count,
                            const void *data)
{
    const hid_t dataset = H5Dopen2(file, names[column], H5P_DEFAULT);
    if (dataset < 0) return pv_h5_fail("cannot open", names[column]);
    const pv_status st = pv_h5_write_box(dataset, names[column], type_of(column), column == LOGITS ? 2 : 1,
                                         start, count, data);
    H5Dclose(dataset);
    return st;
}

static pv_status write_samples(const pv_comm *comm, hid_t file, const pv_dataset *dataset, int classes,
                               const float *logits)
{
    int64_t first, share, *objects = NULL, *views = NULL;
    int32_t *labels = NULL;
    pv_status st;
    pv_share_of(pv_dataset_samples(dataset), comm->rank, comm->size, &first, &share);
    const hsize_t start[2] = {(hsize_t)first, 0}, count[2] = {(hsize_t)share, (hsize_t)classes};
    PV_ALLOC(labels, share);
    PV_ALLOC(objects, share);
    PV_ALLOC(views, share);
    for (int64_t i = 0; i < share; i++) {
        labels[i] = pv_dataset_label(dataset, first + i);
        objects[i] = pv_dataset_object(dataset, first + i);
        views[i] = pv_dataset_view(dataset, first + i);
    }
    PV_TRY(write_part(file, LOGITS, start, count, logits));
    PV_TRY(write_part(file, LABELS, start, count, labels));
    PV_TRY(write_part(file, OBJECTS, start, count, objects));
    PV_TRY(write_part(file, VIEWS, start, count, views));
done:
    free(labels);
    free(objects);
    free(views);
    return st;
}

pv_status pv_logits_file_write(const pv_comm *comm, const char *path, const pv_dataset *dataset, int classes,
                               const float *logits)
{
    pv_status st;
    hid_t file = -1;
    char *part = pv_file_part(path);
    PV_TRY(pv_agree(comm, part ? PV_OK : PV_ERR_NOMEM));
    PV_TRY(pv_agree(comm,
                    comm->rank == 0 ? create_file(path, part, pv_dataset_samples(dataset), classes) : PV_OK));
    PV_TRY(pv_h5_open(comm, part, true, "", &file));
    st = pv_agree(comm, write_samples(comm, file, dataset, classes, logits));
    if (H5Fclose(file) < 0 && st == PV_OK) st = pv_h5_fail("cannot close", part);
    PV_TRY(pv_agree(comm, st));
    st = pv_agree(comm, comm->rank == 0 ? pv_file_publish(part, path) : PV_OK);
done:
    if (comm->rank == 0 && st != PV_OK && part) unlink(part);
    free(part);
    return st;
}
