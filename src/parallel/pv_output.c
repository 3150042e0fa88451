/* What stands where an output is to go. */
#include "parallel/pv_output.h"
#include "parallel/pv_h5.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_png(const char *path)
{
    static const unsigned char signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char start[sizeof signature];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool is = fd >= 0 && read(fd, start, sizeof start) == (ssize_t)sizeof start &&
                    memcmp(start, signature, sizeof start) == 0;
    if (fd >= 0) close(fd);
    return is;
}

/* What an HDF5 file says that it is; NULL where it says nothing.  The caller frees it. */
static char *kind_of(const char *path)
{
    char *kind = NULL;
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) return NULL;
    if (pv_h5_read_text(file, "polyview_kind", &kind) != PV_OK) kind = NULL;
    H5Fclose(file);
    return kind;
}

static bool is_among(const char *kind, const char *const *kinds)
{
    for (; *kinds; kinds++)
        if (strcmp(kind, *kinds) == 0) return true;
    return false;
}

static pv_status check(const char *key, const char *path, const char *const *kinds)
{
    struct stat at;
    if (stat(path, &at) != 0 || !S_ISREG(at.st_mode) || at.st_size == 0) return PV_OK;
    const bool png = is_png(path), hdf5 = !png && H5Fis_hdf5(path) > 0;
    char *said = hdf5 ? kind_of(path) : NULL;
    const char *kind = png ? PV_OUTPUT_PNG : said ? said : hdf5 ? "HDF5 file of another maker" : "other file";
    pv_status st = PV_OK;
    if (!is_among(kind, kinds))
        st =
            pv_fail(PV_ERR_USAGE,
                    "%s: '%s' would be replaced, and is not an earlier output of this kind (it is: %s): name "
                    "another file, or take that one away",
                    key, path, kind);
    free(said);
    return st;
}

pv_status pv_output_check(const pv_comm *comm, const char *key, const char *path, const char *const *kinds)
{
    return pv_agree(comm, comm->rank == 0 ? check(key, path, kinds) : PV_OK);
}
