/* Named arrays of a user's data. */
#include "pv_array.h"
#include "base/pv_mem.h"
#include "pv_h5_array.h"
#include "pv_npy.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NPZ_ADVICE                                                                                           \
    "of .npz nothing is read: save each of its arrays by numpy.save as NAME.npy in the directory signal.path"

enum { PASS_NUMBERS = 1 << 17, NAMES_BYTES = 512 };

struct pv_array {
    pv_array_form form;
    pv_npy *npy; /* or else */
    pv_h5_array *h5;
    char *title;
};

static bool is_directory(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool ends_in(const char *name, const char *ending)
{
    const size_t bytes = strlen(name), end = strlen(ending);
    return bytes > end && strcmp(name + bytes - end, ending) == 0;
}

/* An array that lies in an archive is not taken for one that is missing. */
static pv_status open_npy(const char *path, const char *name, pv_array *array)
{
    char *file = NULL;
    pv_status st = PV_OK;
    if (asprintf(&file, "%s/%s.npy", path, name) < 0 || asprintf(&array->title, "'%s'", file) < 0) {
        st = pv_fail(PV_ERR_NOMEM, "no memory for the path '%s'", path);
    } else if (access(file, F_OK) == 0) {
        st = pv_npy_open(file, &array->npy, &array->form);
    } else {
        memcpy(file + strlen(file) - 3, "npz", 3);
        if (access(file, F_OK) == 0) st = pv_fail(PV_ERR_DATA, "'%s' is an archive: " NPZ_ADVICE, file);
    }
    free(file);
    return st;
}

/* What to do with a file of numpy's where an HDF5 file is to be. */
static pv_status refuse_numpy(const char *path)
{
    static const char npy[6] = "\x93NUMPY", npz[4] = "PK\3\4";
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const int folder = name - path > 1 ? (int)(name - path) - 1 : (int)(name - path);
    char head[sizeof npy] = "";
    FILE *file = fopen(path, "rb");
    const size_t read = file ? fread(head, 1, sizeof head, file) : 0;
    if (file) fclose(file);
    if (read >= sizeof npz && memcmp(head, npz, sizeof npz) == 0)
        return pv_fail(PV_ERR_DATA, "'%s' is an archive: " NPZ_ADVICE, path);
    if (read < sizeof npy || memcmp(head, npy, sizeof npy) != 0) return PV_OK;
    if (!ends_in(name, ".npy"))
        return pv_fail(PV_ERR_DATA,
                       "'%s' is an array of numpy's: call it images.npy and set signal.path to its directory",
                       path);
    return pv_fail(
        PV_ERR_DATA,
        "'%s' is a single array: set signal.path to its directory '%.*s' and signal.images to '%.*s'", path,
        folder, path, (int)strlen(name) - 4, name);
}

static pv_status open_h5(const char *path, const char *name, const char *beside, pv_array *array)
{
    if (asprintf(&array->title, "'%s' of '%s'", name, path) < 0)
        return pv_fail(PV_ERR_NOMEM, "no memory for the path '%s'", path);
    const pv_status st = pv_h5_array_open(path, name, beside, &array->h5, &array->form);
    const pv_status numpy = st == PV_ERR_DATA ? refuse_numpy(path) : PV_OK;
    return numpy != PV_OK ? numpy : st;
}

pv_status pv_array_open(const char *path, const char *name, const char *beside, pv_array **out)
{
    pv_array *array;
    pv_status st;
    *out = NULL;
    PV_ALLOC(array, 1);
    PV_TRY(is_directory(path) ? open_npy(path, name, array) : open_h5(path, name, beside, array));
    if (array->npy || array->h5) {
        *out = array;
        array = NULL;
    }
done:
    pv_array_close(array);
    return st;
}

void pv_array_close(pv_array *array)
{
    if (!array) return;
    pv_npy_close(array->npy);
    pv_h5_array_close(array->h5);
    free(array->title);
    free(array);
}

const pv_array_form *pv_array_form_of(const pv_array *array)
{
    return &array->form;
}

const char *pv_array_title(const pv_array *array)
{
    return array->title;
}

pv_status pv_array_numbers(const pv_array *array, int64_t first, int64_t count, double *numbers)
{
    return array->npy ? pv_npy_numbers(array->npy, first, count, numbers)
                      : pv_h5_array_numbers(array->h5, first, count, numbers);
}

pv_status pv_array_text(const pv_array *array, int64_t row, char *text, size_t size)
{
    return array->npy ? pv_npy_text(array->npy, row, text, size)
                      : pv_h5_array_text(array->h5, row, text, size);
}

pv_status pv_array_pass(const pv_array *array, pv_array_take *take, void *context)
{
    const int64_t rows = array->form.rows, row = array->form.row;
    const int64_t piece = row < PASS_NUMBERS ? PASS_NUMBERS / row : 1;
    double *numbers = NULL;
    pv_status st;
    PV_ALLOC(numbers, (piece < rows ? piece : rows) * row);
    for (int64_t first = 0; first < rows; first += piece) {
        const int64_t count = rows - first < piece ? rows - first : piece;
        PV_TRY(pv_array_numbers(array, first, count, numbers));
        PV_TRY(take(context, first, count, numbers));
    }
    st = PV_OK;
done:
    free(numbers);
    return st;
}

/* The names of a directory's .npy files and archives, as those of an HDF5 file are told. */
static void directory_names(const char *path, char *text, size_t size)
{
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, NULL, alphasort);
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if ((ends_in(name, ".npy") || ends_in(name, ".npz")) && used + strlen(name) + 3 < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
        free(entries[i]);
    }
    free(entries);
}

pv_status pv_array_missing(const char *path, const char *name, const char *key)
{
    char names[NAMES_BYTES];
    const bool directory = is_directory(path);
    if (directory)
        directory_names(path, names, sizeof names);
    else
        pv_h5_array_names(path, names, sizeof names);
    return pv_fail(PV_ERR_DATA, "'%s' has no %s '%s%s' (config key %s); there are: %s%s", path,
                   directory ? "file" : "data set", name, directory ? ".npy" : "", key,
                   names[0] ? names : "none", directory && strstr(names, ".npz") ? "; " NPZ_ADVICE : "");
}
