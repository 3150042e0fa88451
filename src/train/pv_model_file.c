/* Model files and checkpoints, written and read on rank 0. */
#include "train/pv_model_file.h"
#include "base/pv_file.h"
#include "base/pv_mem.h"
#include "base/pv_version.h"
#include "pv_model_checksum.h"
#include "parallel/pv_h5.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MODEL_VERSION = 1, NAME_BYTES = 320, IMAGE_STEP = 1 << 20 };

void pv_model_head_free(pv_model_head *head)
{
    free(head->config);
    pv_row_form_free(&head->form);
    *head = (pv_model_head){0};
}

/* ---- writing ---- */

static pv_status write_array(hid_t file, const char *name, int rank, const hsize_t *shape,
                             const float *values)
{
    hid_t dataset = -1;
    pv_status st = pv_h5_create(file, name, H5T_NATIVE_FLOAT, rank, shape, &dataset);
    if (st == PV_OK && H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        st = pv_h5_fail("cannot write", name);
    if (dataset >= 0) H5Dclose(dataset);
    return st;
}

static pv_status write_tensors(hid_t file, pv_model *model)
{
    const pv_model_tensor *tensors;
    const int count = pv_model_tensors(model, &tensors);
    pv_status st = PV_OK;
    for (int t = 0; st == PV_OK && t < count; t++) {
        char name[NAME_BYTES];
        hsize_t shape[4];
        for (int i = 0; i < tensors[t].rank; i++)
            shape[i] = (hsize_t)tensors[t].shape[i];
        snprintf(name, sizeof name, "/model/%s", tensors[t].name);
        st = write_array(file, name, tensors[t].rank, shape, tensors[t].values);
    }
    return st;
}

static pv_status write_optim(hid_t file, pv_optim *optim, int64_t count)
{
    const hsize_t shape = (hsize_t)count;
    pv_status st = PV_OK;
    for (int slot = 0; st == PV_OK && slot < pv_optim_slots(optim); slot++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "/optimizer/%s", pv_optim_slot_name(optim, slot));
        st = write_array(file, name, 1, &shape, pv_optim_slot(optim, slot));
    }
    return st == PV_OK ? pv_h5_write_int(file, "optimizer_steps", pv_optim_steps(optim)) : st;
}

static pv_status write_state(hid_t file, const pv_train_state *state)
{
    pv_status st;
    PV_TRY(pv_h5_write_int(file, "epoch", state->epoch));
    PV_TRY(pv_h5_write_int(file, "batch", state->batch));
    PV_TRY(pv_h5_write_real(file, "loss_sum", state->loss_sum));
    PV_TRY(pv_h5_write_int(file, "correct", state->correct));
    PV_TRY(pv_h5_write_int(file, "stream", (int64_t)state->stream));
    PV_TRY(pv_h5_write_real(file, "best_val_accuracy", state->best_merit));
    PV_TRY(pv_h5_write_int(file, "best_epoch", state->best_epoch));
done:
    return st;
}

/* As a store's `arch` has it; nothing without one. */
static pv_status write_encoding(hid_t file, const pv_arch *arch)
{
    json_t *const words = pv_encoding_to_json(arch);
    if (!words) return PV_OK;
    char *const text = json_dumps(words, JSON_REAL_PRECISION(9));
    const pv_status st = text ? pv_h5_write_text(file, "inr_encoding", text) : PV_ERR_NOMEM;
    free(text);
    json_decref(words);
    return st;
}

static pv_status write_head(hid_t file, const pv_model_head *head)
{
    const hsize_t params = (hsize_t)head->form.params, width = (hsize_t)head->form.width;
    const hsize_t dims = (hsize_t)head->arch.layers + 1, start = 0;
    hid_t dataset = -1;
    pv_status st;
    PV_TRY(pv_h5_write_kind(file, "model", MODEL_VERSION));
    PV_TRY(pv_h5_write_text(file, "code_version", pv_version()));
    PV_TRY(pv_h5_write_text(file, "config", head->config));
    PV_TRY(pv_h5_write_int(file, "classes", head->classes));
    PV_TRY(pv_h5_write_real(file, "inr_w0", (double)head->arch.w0));
    PV_TRY(pv_h5_write_real(file, "inr_offset", (double)head->arch.offset));
    PV_TRY(pv_h5_write_text(file, "inr_activation", pv_arch_activation(&head->arch)->plugin.name));
    PV_TRY(write_encoding(file, &head->arch));
    PV_TRY(pv_h5_write_int(file, "trained_rows", (int64_t)head->rows));
    PV_TRY(write_state(file, &head->state));
    PV_TRY(pv_h5_write_text(file, "features", pv_readings[head->form.opts.features]));
    PV_TRY(write_array(file, "/norm/mean", 1, &width, head->form.mean));
    PV_TRY(write_array(file, "/norm/std", 1, &width, head->form.std));
    if (head->form.reference) PV_TRY(write_array(file, "/reference", 1, &params, head->form.reference));
    PV_TRY(pv_h5_create(file, "/inr_dims", H5T_NATIVE_INT, 1, &dims, &dataset));
    PV_TRY(pv_h5_write_box(dataset, "/inr_dims", H5T_NATIVE_INT, 1, &start, &dims, head->arch.dims));
done:
    if (dataset >= 0) H5Dclose(dataset);
    return st;
}

/* Writes the HDF5 file that `file` holds in memory. */
static pv_status save_image(hid_t file, const char *path, int64_t keep)
{
    pv_status st;
    char *image = NULL;
    if (H5Fflush(file, H5F_SCOPE_GLOBAL) < 0) return pv_h5_fail("cannot make the file", path);
    const int64_t bytes = (int64_t)H5Fget_file_image(file, NULL, 0);
    if (bytes < 0) return pv_h5_fail("cannot make the file", path);
    PV_ALLOC(image, bytes);
    if (H5Fget_file_image(file, image, (size_t)bytes) < 0) PV_TRY(pv_h5_fail("cannot make the file", path));
    st = pv_file_replace(path, keep, image, bytes);
done:
    free(image);
    return st;
}

/* HDF5 makes the file in memory: on a full disk it could neither finish it nor close it. */
pv_status pv_model_file_write(const char *path, int64_t keep, const pv_model_head *head, pv_model *model,
                              pv_optim *optim)
{
    uint64_t sum = 0;
    pv_status st = PV_OK;
    const hid_t in_memory = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(in_memory, IMAGE_STEP, 0);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, in_memory);
    if (file < 0) st = pv_h5_fail("cannot make the file", path);
    H5Pclose(in_memory);
    if (st != PV_OK) return st;
    PV_TRY(write_head(file, head));
    PV_TRY(write_tensors(file, model));
    if (optim) PV_TRY(write_optim(file, optim, pv_model_count(model)));
    PV_TRY(pv_model_checksum(file, &sum));
    PV_TRY(pv_h5_write_int(file, "checksum", (int64_t)sum));
    st = save_image(file, path, keep);
done:
    H5Fclose(file);
    return st;
}

/* ---- reading, on rank 0 ---- */

/* Files of other makers, and early ones, have no checksum. */
static pv_status check_contents(hid_t file, const char *path)
{
    uint64_t sum = 0;
    int64_t kept = 0;
    char cause[NAME_BYTES + 64];
    if (H5Aexists(file, "checksum") <= 0) return PV_OK;
    pv_status st = pv_model_checksum(file, &sum);
    if (st == PV_OK) st = pv_h5_read_int(file, "checksum", &kept);
    if (st == PV_ERR_NOMEM || (st == PV_OK && sum == (uint64_t)kept)) return st;
    snprintf(cause, sizeof cause, "%s", pv_fail_message());
    if (st != PV_OK) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s", path, cause);
    return pv_fail(PV_ERR_DATA, "'%s' is damaged: what it holds does not agree with its checksum", path);
}

static pv_status open_model(const char *path, hid_t *file)
{
    if (access(path, R_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the model '%s': %s", path, strerror(errno));
    if (H5Fis_hdf5(path) <= 0)
        return pv_fail(PV_ERR_DATA, "'%s' is not a model: it is not an HDF5 file", path);
    if ((*file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) < 0)
        return pv_h5_fail_as(PV_ERR_DATA, "cannot open the model", path);
    return pv_h5_check_kind(*file, path, "model", MODEL_VERSION);
}

/* Reads a dataset whose shape must be `shape`; `where` names the file. */
static pv_status read_array(hid_t file, const char *where, const char *name, int rank, const int64_t *shape,
                            float *values)
{
    hsize_t dims[H5S_MAX_RANK] = {0};
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) return pv_fail(PV_ERR_DATA, "'%s' has no dataset '%s'", where, name);
    pv_status st = PV_OK;
    const hid_t space = H5Dget_space(dataset);
    const int found = H5Sget_simple_extent_dims(space, dims, NULL);
    bool same = found == rank;
    for (int i = 0; same && i < rank; i++)
        same = dims[i] == (hsize_t)shape[i];
    if (!same)
        st = pv_fail(PV_ERR_DATA,
                     "'%s': '%s' has %d dimensions (%lld x %lld), the model needs %d (%lld x %lld)", where,
                     name, found, (long long)dims[0], (long long)(found > 1 ? dims[1] : 1), rank,
                     (long long)(rank > 0 ? shape[0] : 1), (long long)(rank > 1 ? shape[1] : 1));
    else if (!pv_h5_is_own(dataset))
        st = pv_fail(PV_ERR_DATA, "'%s' is damaged: '%s' is kept in other files", where, name);
    else if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        st = pv_h5_fail("cannot read", name);
    H5Sclose(space);
    H5Dclose(dataset);
    return st;
}

static pv_status read_dims(hid_t file, const char *path, pv_arch *arch)
{
    hsize_t count = 0;
    const hid_t dataset = H5Dopen2(file, "/inr_dims", H5P_DEFAULT);
    if (dataset < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: it has no dataset '/inr_dims'", path);
    const hid_t space = H5Dget_space(dataset);
    pv_status st = PV_OK;
    if (!pv_h5_is_own(dataset) || H5Sget_simple_extent_ndims(space) != 1 ||
        H5Sget_simple_extent_dims(space, &count, NULL) < 0 || count < 2 || count > PV_INR_MAX_LAYERS + 1 ||
        H5Dread(dataset, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, arch->dims) < 0)
        st = pv_fail(PV_ERR_DATA, "'%s' is damaged: '/inr_dims' is not a list of layer widths", path);
    arch->layers = (int)count - 1;
    for (int i = 0; st == PV_OK && i <= arch->layers; i++)
        if (arch->dims[i] < 1 || arch->dims[i] > PV_INR_MAX_WIDTH)
            st = pv_fail(PV_ERR_DATA, "'%s' is damaged: '/inr_dims' has a width of %d", path, arch->dims[i]);
    H5Sclose(space);
    H5Dclose(dataset);
    return st;
}

/* Early models do not say it: they are of sines. */
static pv_status read_activation(hid_t file, const char *path, pv_arch *arch)
{
    char *name = NULL;
    if (H5Aexists(file, "inr_activation") <= 0) return PV_OK;
    pv_status st = pv_h5_read_text(file, "inr_activation", &name);
    if (st == PV_OK && (arch->activation = pv_activation_find(name)) < 0)
        st = pv_fail(PV_ERR_DATA, "'%s' is of INRs with the activation '%.100s', which this program lacks",
                     path, name);
    free(name);
    return st;
}

/* Once the widths are known. */
static pv_status read_encoding(hid_t file, const char *path, pv_arch *arch)
{
    char *text = NULL;
    if (H5Aexists(file, "inr_encoding") <= 0) return PV_OK;
    pv_status st = pv_h5_read_text(file, "inr_encoding", &text);
    if (st != PV_OK) return st;
    json_t *const words = json_loads(text, 0, NULL);
    st = words ? pv_encoding_from_json(words, path, arch)
               : pv_fail(PV_ERR_DATA, "'%s' is damaged: 'inr_encoding' is no JSON", path);
    json_decref(words);
    free(text);
    return st;
}

static pv_status read_state(hid_t file, pv_train_state *state)
{
    int64_t stream = 0;
    pv_status st;
    PV_TRY(pv_h5_read_int(file, "epoch", &state->epoch));
    PV_TRY(pv_h5_read_int(file, "batch", &state->batch));
    PV_TRY(pv_h5_read_real(file, "loss_sum", &state->loss_sum));
    PV_TRY(pv_h5_read_int(file, "correct", &state->correct));
    PV_TRY(pv_h5_read_int(file, "stream", &stream));
    PV_TRY(pv_h5_read_real(file, "best_val_accuracy", &state->best_merit));
    PV_TRY(pv_h5_read_int(file, "best_epoch", &state->best_epoch));
    state->stream = (uint64_t)stream;
done:
    return st;
}

/* Whether numbers that were read are finite, and above 0 where they divide. */
static pv_status check_numbers(const char *path, const char *name, bool divides, int64_t count,
                               const float *values)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]) || (divides && !(values[i] > 0)))
            return pv_fail(PV_ERR_DATA, "'%s' is damaged: '%s' holds %g at %lld, where a %s number has to be",
                           path, name, (double)values[i], (long long)i, divides ? "positive" : "finite");
    return PV_OK;
}

/* What the model reads of rows.  Early models do not say it: they read them as they are. */
static pv_status read_features(hid_t file, const char *path, pv_reading *features)
{
    char *name = NULL;
    int found = PV_READING_RAW;
    if (H5Aexists(file, "features") <= 0) return PV_OK;
    pv_status st = pv_h5_read_text(file, "features", &name);
    while (st == PV_OK && pv_readings[found] && strcmp(pv_readings[found], name) != 0)
        found++;
    *features = (pv_reading)found;
    if (st == PV_OK && !pv_readings[found])
        st =
            pv_fail(PV_ERR_DATA, "'%s' reads '%.100s' of rows, which this program does not know", path, name);
    free(name);
    return st;
}

/* Reads `count` numbers of a row form. */
static pv_status read_row(hid_t file, const char *path, const char *name, bool divides, int64_t count,
                          float *row)
{
    const pv_status st = read_array(file, path, name, 1, &count, row);
    return st == PV_OK ? check_numbers(path, name, divides, count, row) : st;
}

static pv_status read_form(hid_t file, const char *path, pv_row_form *form)
{
    pv_status st;
    PV_TRY(read_row(file, path, "/norm/mean", false, form->width, form->mean));
    PV_TRY(read_row(file, path, "/norm/std", true, form->width, form->std));
    if (H5Lexists(file, "/reference", H5P_DEFAULT) > 0) {
        PV_ALLOC(form->reference, form->params);
        PV_TRY(read_row(file, path, "/reference", false, form->params, form->reference));
    }
done:
    return st;
}

static pv_status read_head(hid_t file, const char *path, pv_model_head *head)
{
    int64_t classes = 0, rows = 0;
    double w0 = 0, offset = 0;
    pv_row_form_opts opts = {0}; /* but for what is needed here, they stand in the config */
    pv_status st;
    PV_TRY(pv_h5_read_text(file, "config", &head->config));
    PV_TRY(pv_h5_read_int(file, "classes", &classes));
    PV_TRY(pv_h5_read_real(file, "inr_w0", &w0));
    PV_TRY(pv_h5_read_real(file, "inr_offset", &offset));
    PV_TRY(read_dims(file, path, &head->arch));
    PV_TRY(read_activation(file, path, &head->arch));
    PV_TRY(read_encoding(file, path, &head->arch));
    PV_TRY(read_state(file, &head->state));
    if (H5Aexists(file, "trained_rows") > 0) PV_TRY(pv_h5_read_int(file, "trained_rows", &rows));
    head->rows = (uint64_t)rows;
    if (classes < 1 || classes > INT32_MAX)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' is damaged: it has %lld classes", path, (long long)classes));
    head->classes = (int)classes;
    head->arch.w0 = (float)w0;
    head->arch.offset = (float)offset;
    PV_TRY(read_features(file, path, &opts.features));
    PV_TRY(pv_row_form_make(&opts, &head->arch, &head->form));
    st = read_form(file, path, &head->form);
done:
    return st;
}

/* Gives rank 0's head to all: its config, the plain part, then what else it points to. */
static pv_status share_head(const pv_comm *comm, pv_model_head *head)
{
    pv_model_head plain = *head;
    pv_status st = pv_share_text(comm, &head->config);
    if (st != PV_OK) return st;
    MPI_Bcast(&plain, sizeof plain, MPI_BYTE, 0, comm->world);
    if (comm->rank != 0) {
        *head = (pv_model_head){.config = head->config,
                                .arch = plain.arch,
                                .classes = plain.classes,
                                .rows = plain.rows,
                                .state = plain.state};
        PV_TRY(pv_row_form_make(&plain.form.opts, &plain.arch, &head->form));
        if (plain.form.reference) PV_ALLOC(head->form.reference, plain.form.params);
    }
done:
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    MPI_Bcast(head->form.mean, head->form.width, MPI_FLOAT, 0, comm->world);
    MPI_Bcast(head->form.std, head->form.width, MPI_FLOAT, 0, comm->world);
    if (head->form.reference) MPI_Bcast(head->form.reference, head->form.params, MPI_FLOAT, 0, comm->world);
    return PV_OK;
}

static pv_status open_and_check(const char *path, pv_model_file *file)
{
    errno = 0;
    pv_status st = open_model(path, &file->hdf5);
    if (st == PV_OK) st = read_head(file->hdf5, path, &file->head);
    if (st == PV_OK) st = check_contents(file->hdf5, path);
    return pv_h5_or_unreadable(st, path);
}

pv_status pv_model_file_open(const pv_comm *comm, const char *path, pv_model_file *out)
{
    *out = (pv_model_file){.comm = comm, .path = pv_strdup(path), .hdf5 = -1};
    pv_status st = out->path ? PV_OK : PV_ERR_NOMEM;
    if (st == PV_OK && comm->rank == 0) st = open_and_check(path, out);
    st = pv_agree(comm, st);
    if (st == PV_OK) st = share_head(comm, &out->head);
    if (st != PV_OK) pv_model_file_close(out);
    return st;
}

void pv_model_file_close(pv_model_file *file)
{
    if (file->path && file->hdf5 >= 0) H5Fclose(file->hdf5);
    free(file->path);
    pv_model_head_free(&file->head);
    *file = (pv_model_file){.hdf5 = -1};
}

/* The model that a file's tensors are looked up in. */
typedef struct known_tensors {
    const pv_model_tensor *tensors;
    int count;
    char stranger[NAME_BYTES];
} known_tensors;

/* Stops at a name that is not among the known. */
static herr_t look_up(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    known_tensors *known = context;
    (void)group;
    (void)info;
    for (int t = 0; t < known->count; t++)
        if (strcmp(known->tensors[t].name, name) == 0) return 0;
    snprintf(known->stranger, sizeof known->stranger, "%s", name);
    return 1;
}

/* A tensor too many means that the file is of a model with other settings, as one too few does. */
static pv_status refuse_strangers(hid_t file, const char *path, const pv_model_tensor *tensors, int count)
{
    known_tensors known = {.tensors = tensors, .count = count};
    const hid_t group = H5Gopen2(file, "/model", H5P_DEFAULT);
    H5G_info_t info = {0};
    if (group < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: '/model' is not a group", path);
    if (H5Gget_info(group, &info) >= 0 && info.nlinks > (hsize_t)count)
        H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, look_up, &known);
    H5Gclose(group);
    return known.stranger[0] == '\0'
               ? PV_OK
               : pv_fail(PV_ERR_DATA, "'%s' has the tensor '%s', which the model of its config has not", path,
                         known.stranger);
}

static pv_status read_tensors(hid_t file, const char *path, pv_model *model, pv_optim *optim)
{
    const pv_model_tensor *tensors;
    const int count = pv_model_tensors(model, &tensors);
    const int64_t params = pv_model_count(model);
    int64_t steps = 0;
    char name[NAME_BYTES];
    pv_status st = PV_OK;
    for (int t = 0; t < count; t++) {
        snprintf(name, sizeof name, "/model/%s", tensors[t].name);
        PV_TRY(read_array(file, path, name, tensors[t].rank, tensors[t].shape, tensors[t].values));
        if (tensors[t].gradients) /* what is measured may leave float, and divides then */
            PV_TRY(check_numbers(path, name, false, tensors[t].count, tensors[t].values));
    }
    PV_TRY(refuse_strangers(file, path, tensors, count));
    for (int slot = 0; optim && slot < pv_optim_slots(optim); slot++) {
        snprintf(name, sizeof name, "/optimizer/%s", pv_optim_slot_name(optim, slot));
        PV_TRY(read_array(file, path, name, 1, &params, pv_optim_slot(optim, slot)));
    }
    if (optim) {
        PV_TRY(pv_h5_read_int(file, "optimizer_steps", &steps));
        pv_optim_set_steps(optim, steps);
    }
done:
    return st;
}

static void share_reals(const pv_comm *comm, pv_real *values, int64_t count)
{
    enum { CHUNK = 1 << 26 };
    for (int64_t first = 0; first < count; first += CHUNK)
        MPI_Bcast(values + first, (int)(count - first < CHUNK ? count - first : CHUNK), MPI_FLOAT, 0,
                  comm->world);
}

pv_status pv_model_file_load(const pv_model_file *file, pv_model *model, pv_optim *optim)
{
    const pv_comm *const comm = file->comm;
    pv_status st = PV_OK;
    errno = 0;
    if (comm->rank == 0)
        st = pv_h5_or_unreadable(read_tensors(file->hdf5, file->path, model, optim), file->path);
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    const pv_model_tensor *tensors;
    const int count = pv_model_tensors(model, &tensors);
    for (int t = 0; t < count; t++)
        share_reals(comm, tensors[t].values, tensors[t].count);
    if (!optim) return PV_OK;
    for (int slot = 0; slot < pv_optim_slots(optim); slot++)
        share_reals(comm, pv_optim_slot(optim, slot), pv_model_count(model));
    int64_t steps = pv_optim_steps(optim);
    MPI_Bcast(&steps, 1, MPI_INT64_T, 0, comm->world);
    pv_optim_set_steps(optim, steps);
    return PV_OK;
}
