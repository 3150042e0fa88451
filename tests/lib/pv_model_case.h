/* A model held against a case of the oracle: its tensors, rows of INRs, and gradients. */
#ifndef PV_MODEL_CASE_H
#define PV_MODEL_CASE_H

#include "nn/pv_model.h"
#include "pv_oracle.h"

enum { PV_CASE_DIMS = 17 };

typedef struct pv_model_case {
    const pv_oracle *oracle;
    const char *name;
    pv_model *model;
    const pv_model_tensor *tensors;
    int count, dims[PV_CASE_DIMS], layers, classes, batch;
    int64_t weights; /* of the INR */
    pv_real *rows, *drows, *logits, *dlogits;
    int32_t *labels;
    double floor; /* of a gradient: what is smaller counts as this long */
} pv_model_case;

/* Counts a statement and prints it, with what it was judged by. */
void pv_case_check(bool holds, const char *name, const char *statement, double error);
/* Prints how many there were; the exit status. */
int pv_case_end(void);

/* Makes a model of a case whose dimensions and classes stand under these keys, and its buffers.  Ends the
 * program if it cannot.  Owner: pv_model_case_close. */
void pv_model_case_open(pv_model_case *c, const pv_oracle *oracle, const char *name,
                        const pv_model_opts *opts, const char *dims, const char *classes);
void pv_model_case_close(pv_model_case *c);

/* Checks that our tensors have the published names and sizes, and that there are no others; takes their
 * values. */
void pv_model_case_load(const pv_model_case *c);
/* Takes the published rows and labels of a folder. */
void pv_model_case_input(const pv_model_case *c, const char *folder);

/* <folder><leaf> as doubles.  Owner: the caller. */
double *pv_model_case_read(const pv_model_case *c, const char *folder, const char *leaf, int64_t *count);
/* The distance of n values from the published ones. */
double pv_model_case_distance(const pv_model_case *c, const char *path, int64_t n, const pv_real *mine);

/* The largest relative distance of the gradients of any tensor, naming those beyond `tolerance`, and of those
 * of the rows. */
double pv_model_case_gradients(const pv_model_case *c, double tolerance);
double pv_model_case_row_gradients(const pv_model_case *c);

#endif
