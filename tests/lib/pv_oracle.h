/* Reads the golden vectors: HDF5 files of cases, each with config attributes and float64 data. */
#ifndef PV_ORACLE_H
#define PV_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_oracle pv_oracle;

/* Opens <directory>/<file>, the directory being $POLYVIEW_ORACLE, else tests/oracle/data.  Ends the program
 * with a message when it cannot: a test without its oracle must not pass. */
pv_oracle *pv_oracle_open(const char *file);
/* The same of a file that is in tests/oracle/data only. */
pv_oracle *pv_oracle_open_own(const char *file);
void pv_oracle_close(pv_oracle *oracle);

/* The names of the cases ("case000", in order); a subset file has gaps. */
int pv_oracle_cases(const pv_oracle *oracle);
const char *pv_oracle_case(const pv_oracle *oracle, int index);

/* A config value cfg_<key> of a case. */
int64_t pv_oracle_int(const pv_oracle *oracle, const char *name, const char *key);
double pv_oracle_real(const pv_oracle *oracle, const char *name, const char *key);
void pv_oracle_text(const pv_oracle *oracle, const char *name, const char *key, char *text, int size);
/* A list of integers, e.g. dims; returns how many. */
int pv_oracle_ints(const pv_oracle *oracle, const char *name, const char *key, int *values, int capacity);

bool pv_oracle_has(const pv_oracle *oracle, const char *name, const char *path);
/* A dataset <case>/<path> as doubles (integers converted); *count its size.  The caller frees it. */
double *pv_oracle_read(const pv_oracle *oracle, const char *name, const char *path, int64_t *count);

/* How many values the datasets of a group <case>/<group> hold together. */
int64_t pv_oracle_values(const pv_oracle *oracle, const char *name, const char *group);

/* The largest |a - b| / (1 + |b|) over n values, b the truth; +inf if a value is not finite. */
double pv_oracle_distance(int64_t n, const double *a, const double *b);
/* ||a - b|| / max(||b||, floor). */
double pv_oracle_relative_l2(int64_t n, const double *a, const double *b, double floor);

#endif
