/* Small helpers around HDF5 that turn its failures into pv_status with a message. */
#include "parallel/pv_h5.h"
#include "base/pv_file.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"
#include "parallel/pv_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REASON_BYTES = 512, PATH_BYTES = 1024, FULL_BYTES = 1 << 20 };

/* Belongs to the process, as HDF5's state does. */
static bool given_up;

static herr_t innermost(unsigned depth, const H5E_error2_t *error, void *context)
{
    (void)depth;
    *(const char **)context = error->desc;
    return 0;
}

/* The path of the file that holds an object. */
static const char *path_of(hid_t object, char path[PATH_BYTES])
{
    return H5Fget_name(object, path, PATH_BYTES) < 0 ? "?" : path;
}

/* Takes HDF5's words for what just failed; its next call would wipe them out. */
static void take_reason(char reason[REASON_BYTES])
{
    const char *words = NULL;
    snprintf(reason, REASON_BYTES, "HDF5 gave no reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, innermost, &words);
    if (words && *words) snprintf(reason, REASON_BYTES, "%s", words);
    H5Eclear2(H5E_DEFAULT);
}

pv_status pv_h5_fail_as(pv_status status, const char *what, const char *where)
{
    char reason[REASON_BYTES];
    take_reason(reason);
    return pv_fail(status, "%s '%s': %s", what, where, reason);
}

pv_status pv_h5_fail(const char *what, const char *where)
{
    return pv_h5_fail_as(PV_ERR_HDF5, what, where);
}

/* Likewise for an object of an open file: names the file, and the object as `name`.  MPI-IO does not tell
 * why it moved less than asked, but leaves the system's `cause`, 0 for none. */
static pv_status fail_within(hid_t object, const char *what, const char *name, int cause)
{
    char reason[REASON_BYTES];
    take_reason(reason);
    return pv_fail(PV_ERR_HDF5, "'%s': %s '%s': %s", path_of(object, (char[PATH_BYTES]){0}), what, name,
                   cause != 0 ? strerror(cause) : reason);
}

/* A full disk shows by what is left, too. */
static pv_status fail_to_write(hid_t object, const char *what, const char *name, int cause)
{
    char path[PATH_BYTES] = "";
    given_up = true;
    const int64_t left = pv_file_free_space(path_of(object, path));
    return fail_within(object, what, name, left >= 0 && left < FULL_BYTES ? ENOSPC : cause);
}

void pv_h5_give_up(void)
{
    given_up = true;
}

bool pv_h5_given_up(const pv_comm *comm)
{
    int any = given_up;
    MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, comm->world);
    given_up = any;
    return any;
}

bool pv_h5_cannot_read(int cause)
{
    static const int causes[] = {EIO,    ESTALE, ETIMEDOUT, EREMOTEIO, ENOTCONN,
                                 EMFILE, ENFILE, ENOMEM,    EACCES,    EPERM};
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        if (cause == causes[i]) return true;
    return false;
}

pv_status pv_h5_or_unreadable(pv_status status, const char *path)
{
    const int cause = errno;
    if (status != PV_ERR_DATA || !pv_h5_cannot_read(cause)) return status;
    return pv_fail(PV_ERR_IO, "cannot read '%s': %s", path, strerror(cause));
}

void pv_h5_begin(void)
{
    H5dont_atexit(); /* MPICH's MPI_Abort calls exit: what is left open must not be closed there */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5Lunregister(H5L_TYPE_EXTERNAL);
}

static pv_status set_hints(char *words, MPI_Info info)
{
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *const sign = strchr(word, '=');
        if (!sign || sign == word || sign[1] == '\0' || sign - word > MPI_MAX_INFO_KEY ||
            strlen(sign + 1) > MPI_MAX_INFO_VAL)
            return pv_fail(PV_ERR_CONFIG, "storage.hints: '%s' is not of the form key=value", word);
        *sign = '\0';
        MPI_Info_set(info, word, sign + 1);
    }
    return PV_OK;
}

pv_status pv_h5_hints(const char *text, MPI_Info *info)
{
    *info = MPI_INFO_NULL;
    if (text[strspn(text, " ")] == '\0') return PV_OK;
    char *words = pv_strdup(text);
    if (!words) return PV_ERR_NOMEM;
    MPI_Info_create(info);
    const pv_status st = set_hints(words, *info);
    if (st != PV_OK) MPI_Info_free(info);
    free(words);
    return st;
}

/* By this rank alone: one that cannot would leave the others waiting within MPI-IO. */
static pv_status try_open(const char *path, bool writing)
{
    const int fd = open(path, (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        return pv_fail(PV_ERR_IO, "cannot open '%s' for %s: %s", path, writing ? "writing" : "reading",
                       strerror(errno));
    close(fd);
    return PV_OK;
}

pv_status pv_h5_open(const pv_comm *comm, const char *path, bool writing, const char *hints, hid_t *file)
{
    MPI_Info info = MPI_INFO_NULL;
    *file = -1;
    pv_status st = try_open(path, writing);
    if (st == PV_OK) st = pv_h5_hints(hints, &info);
    if ((st = pv_agree(comm, st)) != PV_OK) {
        if (info != MPI_INFO_NULL) MPI_Info_free(&info);
        return st;
    }
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, comm->world, info);
    pv_watch watch;
    pv_meter_begin(PV_METER_FILES);
    pv_watch_begin(&watch, comm, "opening", path);
    *file = H5Fopen(path, writing ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    pv_watch_end(&watch);
    pv_meter_end();
    st = *file < 0 ? pv_h5_fail("cannot open", path) : PV_OK;
    H5Pclose(access);
    if (info != MPI_INFO_NULL) MPI_Info_free(&info);
    st = pv_agree(comm, st);
    if (st != PV_OK && *file >= 0) { /* another rank failed in MPI-IO */
        given_up = true;
        *file = -1;
    }
    return st;
}

pv_status pv_h5_close(const pv_comm *comm, hid_t file, const char *path)
{
    if (pv_h5_given_up(comm)) return PV_ERR_HDF5;
    pv_watch watch;
    pv_meter_begin(PV_METER_FILES);
    pv_watch_begin(&watch, comm, "closing", path);
    const pv_status st = H5Fclose(file) < 0 ? pv_h5_fail("cannot close", path) : PV_OK;
    pv_watch_end(&watch);
    pv_meter_end();
    given_up = st != PV_OK;
    return st;
}

pv_status pv_h5_close_alone(hid_t file, const char *path)
{
    if (!given_up && H5Fclose(file) >= 0) return PV_OK;
    const pv_status st = given_up ? PV_ERR_HDF5 : pv_h5_fail("cannot close", path);
    given_up = true;
    return st;
}

static pv_status write_scalar(hid_t object, const char *name, hid_t type, const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    errno = 0;
    const herr_t wrote = attribute < 0 ? -1 : H5Awrite(attribute, type, value);
    const pv_status st = wrote < 0 ? fail_to_write(object, "cannot write the attribute", name, errno) : PV_OK;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return st;
}

pv_status pv_h5_write_text(hid_t object, const char *name, const char *text)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    const size_t length = strlen(text);
    H5Tset_size(type, length > 0 ? length : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    const pv_status st = write_scalar(object, name, type, text);
    H5Tclose(type);
    return st;
}

pv_status pv_h5_write_int(hid_t object, const char *name, int64_t value)
{
    return write_scalar(object, name, H5T_NATIVE_INT64, &value);
}

pv_status pv_h5_write_real(hid_t object, const char *name, double value)
{
    return write_scalar(object, name, H5T_NATIVE_DOUBLE, &value);
}

static pv_status open_attribute(hid_t object, const char *name, hid_t *attribute)
{
    if (H5Aexists(object, name) <= 0)
        return pv_fail(PV_ERR_DATA, "'%s': the attribute '%s' is missing",
                       path_of(object, (char[PATH_BYTES]){0}), name);
    *attribute = H5Aopen(object, name, H5P_DEFAULT);
    return *attribute < 0 ? fail_within(object, "cannot open the attribute", name, 0) : PV_OK;
}

static pv_status read_string(hid_t attribute, hid_t type, const char *name, char **text)
{
    const bool variable = H5Tis_variable_str(type) > 0;
    char *borrowed = NULL;
    if (!variable && !(*text = pv_alloc((int64_t)H5Tget_size(type) + 1, 1))) return PV_ERR_NOMEM;
    if (H5Aread(attribute, type, variable ? (void *)&borrowed : *text) < 0) {
        free(*text);
        *text = NULL;
        return fail_within(attribute, "cannot read the attribute", name, 0);
    }
    if (variable) *text = pv_strdup(borrowed ? borrowed : "");
    H5free_memory(borrowed);
    return *text ? PV_OK : PV_ERR_NOMEM;
}

pv_status pv_h5_read_text(hid_t object, const char *name, char **text)
{
    hid_t attribute = -1;
    *text = NULL;
    pv_status st = open_attribute(object, name, &attribute);
    if (st != PV_OK) return st;
    const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1)
        st = pv_fail(PV_ERR_DATA, "'%s': the attribute '%s' is not a string",
                     path_of(object, (char[PATH_BYTES]){0}), name);
    else
        st = read_string(attribute, type, name, text);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return st;
}

static pv_status read_number(hid_t object, const char *name, hid_t type, void *value)
{
    hid_t attribute = -1;
    pv_status st = open_attribute(object, name, &attribute);
    if (st != PV_OK) return st;
    const hid_t space = H5Aget_space(attribute);
    if (H5Sget_simple_extent_npoints(space) != 1 || H5Aread(attribute, type, value) < 0)
        st = pv_fail(PV_ERR_DATA, "'%s': the attribute '%s' is not a number",
                     path_of(object, (char[PATH_BYTES]){0}), name);
    H5Sclose(space);
    H5Aclose(attribute);
    return st;
}

pv_status pv_h5_read_int(hid_t object, const char *name, int64_t *value)
{
    return read_number(object, name, H5T_NATIVE_INT64, value);
}

pv_status pv_h5_read_real(hid_t object, const char *name, double *value)
{
    return read_number(object, name, H5T_NATIVE_DOUBLE, value);
}

pv_status pv_h5_write_kind(hid_t file, const char *kind, int version)
{
    const pv_status st = pv_h5_write_text(file, "polyview_kind", kind);
    return st == PV_OK ? pv_h5_write_int(file, "polyview_version", version) : st;
}

pv_status pv_h5_check_kind(hid_t file, const char *path, const char *kind, int version)
{
    char *found = NULL;
    int64_t written = 0;
    pv_status st = PV_OK;
    if (pv_h5_read_text(file, "polyview_kind", &found) != PV_OK || strcmp(found, kind) != 0)
        st = pv_fail(PV_ERR_DATA, "'%s' is not a %s: its attribute polyview_kind is %s", path, kind,
                     found ? found : "missing");
    else if (pv_h5_read_int(file, "polyview_version", &written) != PV_OK || written != version)
        st = pv_fail(PV_ERR_DATA, "'%s' has format version %lld; this program reads version %d", path,
                     (long long)written, version);
    free(found);
    return st;
}

pv_status pv_h5_create(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, hid_t *out)
{
    const hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE), link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_layout(create, H5D_CONTIGUOUS);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    H5Pset_create_intermediate_group(link, 1);
    *out = H5Dcreate2(file, name, type, space, link, create, H5P_DEFAULT);
    const pv_status st = *out < 0 ? fail_to_write(file, "cannot create the dataset", name, 0) : PV_OK;
    H5Pclose(link);
    H5Pclose(create);
    H5Sclose(space);
    return st;
}

bool pv_h5_is_own(hid_t dataset)
{
    const hid_t create = H5Dget_create_plist(dataset);
    const bool own = H5Pget_layout(create) != H5D_VIRTUAL && H5Pget_external_count(create) == 0;
    H5Pclose(create);
    return own;
}

int pv_h5_dims(hid_t dataset, int most, hsize_t *dims)
{
    const hid_t space = H5Dget_space(dataset);
    const int rank = H5Sget_simple_extent_ndims(space);
    memset(dims, 0, sizeof *dims * (size_t)most);
    if (rank > 0 && rank <= most) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    return rank;
}

/* Why a dataset cannot be read: a filter that this HDF5 lacks, the system's `cause`, or what HDF5 says.  Its
 * search for the filter leaves an errno of its own, that of no file. */
static pv_status fail_to_read(hid_t dataset, const char *name, int cause)
{
    char reason[REASON_BYTES], path[PATH_BYTES] = "";
    take_reason(reason);
    const hid_t create = H5Dget_create_plist(dataset);
    const int filters = H5Pget_nfilters(create);
    pv_status st = PV_OK;
    for (int i = 0; st == PV_OK && i < filters; i++) {
        char filter[64] = "";
        unsigned flags;
        size_t values = 0;
        const H5Z_filter_t id =
            H5Pget_filter2(create, (unsigned)i, &flags, &values, NULL, sizeof filter, filter, NULL);
        if (id >= 0 && H5Zfilter_avail(id) == 0)
            st = pv_fail(
                PV_ERR_DATA,
                "'%s': '%s' is compressed by a filter that is not installed here (number %d%s%s): write it "
                "uncompressed, or by gzip",
                path_of(dataset, path), name, id, *filter ? ", " : "", filter);
    }
    H5Pclose(create);
    H5Eclear2(H5E_DEFAULT);
    if (st != PV_OK) return st;
    return pv_fail(PV_ERR_HDF5, "'%s': cannot read from '%s': %s", path_of(dataset, path), name,
                   pv_h5_cannot_read(cause) ? strerror(cause) : reason);
}

/* Writes `from` to the box, or else reads it into `to`. */
static pv_status move_box(hid_t dataset, const char *name, hid_t type, int rank, const hsize_t *start,
                          const hsize_t *count, const void *from, void *to)
{
    for (int i = 0; i < rank; i++)
        if (count[i] == 0) return PV_OK;
    const hid_t memory = H5Screate_simple(rank, count, NULL), file = H5Dget_space(dataset);
    pv_status st = PV_OK;
    H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL);
    pv_meter_begin(PV_METER_FILES);
    errno = 0;
    /* MPI-IO has been seen to lose the error of a read: what the system said counts too. */
    const herr_t moved = from ? H5Dwrite(dataset, type, memory, file, H5P_DEFAULT, from)
                              : H5Dread(dataset, type, memory, file, H5P_DEFAULT, to);
    if (moved < 0 || pv_h5_cannot_read(errno))
        st = from ? fail_to_write(dataset, "cannot write to", name, errno)
                  : fail_to_read(dataset, name, errno);
    pv_meter_end();
    H5Sclose(memory);
    H5Sclose(file);
    return st;
}

pv_status pv_h5_write_box(hid_t dataset, const char *name, hid_t type, int rank, const hsize_t *start,
                          const hsize_t *count, const void *data)
{
    return move_box(dataset, name, type, rank, start, count, data, NULL);
}

pv_status pv_h5_read_box(hid_t dataset, const char *name, hid_t type, int rank, const hsize_t *start,
                         const hsize_t *count, void *data)
{
    return move_box(dataset, name, type, rank, start, count, NULL, data);
}
