/* Reads the reference vectors of tests/oracle/data. */
#include "pv_oracle.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CASES = 64, NAME_BYTES = 32, PATH_BYTES = 512 };

struct pv_oracle {
    hid_t file;
    int cases;
    char names[MAX_CASES][NAME_BYTES];
};

static void must(bool holds, const char *what, const char *where)
{
    if (holds) return;
    printf("not ok - oracle: %s: %s\n", what, where);
    exit(1);
}

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    (void)group;
    (void)info;
    pv_oracle *oracle = context;
    if (strncmp(name, "case", 4) == 0 && oracle->cases < MAX_CASES)
        snprintf(oracle->names[oracle->cases++], NAME_BYTES, "%s", name);
    return 0;
}

static const char own_data[] = "tests/oracle/data";

static pv_oracle *open_in(const char *directory, const char *file)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    pv_oracle *oracle = calloc(1, sizeof *oracle);
    must(oracle != NULL, "no memory", path);
    oracle->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    must(oracle->file >= 0, "cannot open", path);
    H5Literate(oracle->file, H5_INDEX_NAME, H5_ITER_INC, NULL, collect, oracle);
    must(oracle->cases > 0, "no cases", path);
    return oracle;
}

pv_oracle *pv_oracle_open(const char *file)
{
    const char *directory = getenv("POLYVIEW_ORACLE");
    return open_in(directory ? directory : own_data, file);
}

pv_oracle *pv_oracle_open_own(const char *file)
{
    return open_in(own_data, file);
}

void pv_oracle_close(pv_oracle *oracle)
{
    H5Fclose(oracle->file);
    free(oracle);
}

int pv_oracle_cases(const pv_oracle *oracle)
{
    return oracle->cases;
}

const char *pv_oracle_case(const pv_oracle *oracle, int index)
{
    return oracle->names[index];
}

static hid_t open_key(const pv_oracle *oracle, const char *name, const char *key)
{
    char attribute[PATH_BYTES];
    snprintf(attribute, sizeof attribute, "cfg_%s", key);
    const hid_t attr = H5Aopen_by_name(oracle->file, name, attribute, H5P_DEFAULT, H5P_DEFAULT);
    must(attr >= 0, "no such config key", key);
    return attr;
}

int64_t pv_oracle_int(const pv_oracle *oracle, const char *name, const char *key)
{
    int64_t value = 0;
    const hid_t attr = open_key(oracle, name, key);
    must(H5Aread(attr, H5T_NATIVE_INT64, &value) >= 0, "not an integer", key);
    H5Aclose(attr);
    return value;
}

double pv_oracle_real(const pv_oracle *oracle, const char *name, const char *key)
{
    double value = 0;
    const hid_t attr = open_key(oracle, name, key);
    must(H5Aread(attr, H5T_NATIVE_DOUBLE, &value) >= 0, "not a number", key);
    H5Aclose(attr);
    return value;
}

void pv_oracle_text(const pv_oracle *oracle, const char *name, const char *key, char *text, int size)
{
    const hid_t attr = open_key(oracle, name, key);
    const hid_t stored = H5Aget_type(attr);
    const size_t length = H5Tget_size(stored);
    char *buffer = calloc(length + 1, 1);
    must(H5Aread(attr, stored, buffer) >= 0, "not a string", key);
    snprintf(text, (size_t)size, "%s", buffer);
    free(buffer);
    H5Tclose(stored);
    H5Aclose(attr);
}

int pv_oracle_ints(const pv_oracle *oracle, const char *name, const char *key, int *values, int capacity)
{
    const hid_t attr = open_key(oracle, name, key);
    const hid_t space = H5Aget_space(attr);
    const int count = (int)H5Sget_simple_extent_npoints(space);
    must(count <= capacity, "too many values", key);
    must(H5Aread(attr, H5T_NATIVE_INT, values) >= 0, "not integers", key);
    H5Sclose(space);
    H5Aclose(attr);
    return count;
}

bool pv_oracle_has(const pv_oracle *oracle, const char *name, const char *path)
{
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s/%s", name, path);
    for (char *slash = strchr(full, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool there = H5Lexists(oracle->file, full, H5P_DEFAULT) > 0;
        *slash = '/';
        if (!there) return false;
    }
    return H5Lexists(oracle->file, full, H5P_DEFAULT) > 0;
}

double *pv_oracle_read(const pv_oracle *oracle, const char *name, const char *path, int64_t *count)
{
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s/%s", name, path);
    const hid_t dataset = H5Dopen2(oracle->file, full, H5P_DEFAULT);
    must(dataset >= 0, "no such dataset", full);
    const hid_t space = H5Dget_space(dataset);
    *count = H5Sget_simple_extent_npoints(space);
    double *values = malloc(sizeof(double) * (size_t)(*count + 1));
    must(values && H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0,
         "cannot read", full);
    H5Sclose(space);
    H5Dclose(dataset);
    return values;
}

double pv_oracle_distance(int64_t n, const double *a, const double *b)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i])) return INFINITY;
        worst = fmax(worst, fabs(a[i] - b[i]) / (1 + fabs(b[i])));
    }
    return worst;
}

double pv_oracle_relative_l2(int64_t n, const double *a, const double *b, double floor)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i])) return INFINITY;
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(error) / fmax(sqrt(norm), floor);
}

static herr_t add_values(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    (void)info;
    const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
    must(dataset >= 0, "cannot open", name);
    const hid_t space = H5Dget_space(dataset);
    *(int64_t *)context += H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    H5Dclose(dataset);
    return 0;
}

int64_t pv_oracle_values(const pv_oracle *oracle, const char *name, const char *group)
{
    char path[PATH_BYTES];
    int64_t count = 0;
    snprintf(path, sizeof path, "%s/%s", name, group);
    H5Literate_by_name(oracle->file, path, H5_INDEX_NAME, H5_ITER_INC, NULL, add_values, &count, H5P_DEFAULT);
    return count;
}
