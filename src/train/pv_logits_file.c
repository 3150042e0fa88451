/* Logits as columns of an HDF5 file. */
#include "train/pv_logits_file.h"
#include "base/pv_mem.h"
#include "store/pv_columns.h"
#include "train/pv_evaluate.h"

pv_status pv_logits_file_write(const pv_comm *comm, const char *path, const pv_dataset *dataset, int classes,
                               const float *logits)
{
    const int64_t rows = pv_dataset_samples(dataset);
    int64_t first, share, *objects, *views;
    int32_t *labels;
    pv_memory memory = {0};
    pv_eval_share(comm, rows, &first, &share);
    PV_TAKE(&memory, labels, share);
    PV_TAKE(&memory, objects, share);
    PV_TAKE(&memory, views, share);
    for (int64_t i = 0; !memory.failed && i < share; i++) {
        labels[i] = pv_dataset_label(dataset, first + i);
        objects[i] = pv_dataset_object(dataset, first + i);
        views[i] = pv_dataset_view(dataset, first + i);
    }
    pv_status st = pv_agree(comm, pv_memory_status(&memory));
    if (st == PV_OK) {
        const pv_column columns[] = {{"/logits", H5T_NATIVE_FLOAT, classes, rows, first, share, logits},
                                     {"/label", H5T_NATIVE_INT32, 0, rows, first, share, labels},
                                     {"/object", H5T_NATIVE_INT64, 0, rows, first, share, objects},
                                     {"/view", H5T_NATIVE_INT64, 0, rows, first, share, views}};
        st = pv_columns_write(comm, path, "logits", columns, 4);
    }
    pv_memory_free(&memory);
    return st;
}
