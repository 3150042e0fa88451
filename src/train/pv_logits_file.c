#include "train/pv_logits_file.h"
#include "base/pv_mem.h"
#include "store/pv_h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* On rank 0: a plain word when the path cannot be written, before HDF5 tries on all ranks. */
static pv_status probe(const char *path, const char *part)
{
    const int fd = open(part, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    if (fd < 0) return pv_fail(PV_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    close(fd);
    return PV_OK;
}

/* Creates one dataset (collective) and writes this rank's part of it. */
static pv_status write_part(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims,
                            const hsize_t *start, const hsize_t *count, const void *data)
{
    hid_t dataset = -1;
    pv_status st = pv_h5_create(file, name, type, rank, dims, 0, &dataset);
    if (st == PV_OK) st = pv_h5_write_box(dataset, name, type, rank, start, count, data);
    if (dataset >= 0) H5Dclose(dataset);
    return st;
}

static pv_status write_samples(const pv_comm *comm, hid_t file, const pv_dataset *dataset, int classes,
                               const float *logits)
{
    int64_t first, share, *objects = NULL, *views = NULL;
    int32_t *labels = NULL;
    pv_status st;
    pv_share_of(pv_dataset_samples(dataset), comm->rank, comm->size, &first, &share);
    PV_ALLOC(labels, share);
    PV_ALLOC(objects, share);
    PV_ALLOC(views, share);
    for (int64_t i = 0; i < share; i++) {
        labels[i] = pv_dataset_label(dataset, first + i);
        objects[i] = pv_dataset_object(dataset, first + i);
        views[i] = pv_dataset_view(dataset, first + i);
    }
    st = PV_OK;
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        const hsize_t dims[2] = {(hsize_t)pv_dataset_samples(dataset), (hsize_t)classes};
        const hsize_t start[2] = {(hsize_t)first, 0}, count[2] = {(hsize_t)share, (hsize_t)classes};
        st = pv_agree(comm, write_part(file, "/logits", H5T_NATIVE_FLOAT, 2, dims, start, count, logits));
        if (st == PV_OK)
            st = pv_agree(comm, write_part(file, "/label", H5T_NATIVE_INT32, 1, dims, start, count, labels));
        if (st == PV_OK)
            st =
                pv_agree(comm, write_part(file, "/object", H5T_NATIVE_INT64, 1, dims, start, count, objects));
        if (st == PV_OK)
            st = pv_agree(comm, write_part(file, "/view", H5T_NATIVE_INT64, 1, dims, start, count, views));
    }
    free(labels);
    free(objects);
    free(views);
    return st;
}

pv_status pv_logits_file_write(const pv_comm *comm, const char *path, const pv_dataset *dataset, int classes,
                               const float *logits)
{
    char *part = NULL;
    hid_t file = -1;
    pv_status st;
    PV_TRY(pv_agree(comm, asprintf(&part, "%s.part", path) < 0 ? pv_fail(PV_ERR_NOMEM, "no memory") : PV_OK));
    PV_TRY(pv_agree(comm, comm->rank == 0 ? probe(path, part) : PV_OK));
    const hid_t access = pv_h5_access(comm);
    file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    PV_TRY(pv_agree(comm, file < 0 ? pv_h5_fail("cannot create", part) : PV_OK));
    PV_TRY(pv_agree(comm, pv_h5_write_text(file, "polyview_kind", "logits")));
    PV_TRY(write_samples(comm, file, dataset, classes, logits));
done:
    if (file >= 0 && H5Fclose(file) < 0 && st == PV_OK) st = pv_h5_fail("cannot close", part);
    st = pv_agree(comm, st);
    if (comm->rank == 0 && st == PV_OK && rename(part, path) != 0)
        st = pv_fail(PV_ERR_IO, "cannot rename '%s': %s", part, strerror(errno));
    free(part);
    return pv_agree(comm, st);
}
