/* The registry of a model's tensors: modules register them by name in PyTorch's state_dict order while the
 * model is built; closing it lays out the flat parameter and gradient vectors. */
#ifndef PV_NN_PARAMS_H
#define PV_NN_PARAMS_H

#include "base/pv_mem.h"
#include "nn/core/pv_nn_kernels.h"

typedef struct pv_model_tensor {
    const char *name; /* "layers.layers.0.bias_to_bias.layers.0_0.layer.set_layer.Gamma.0.weight" */
    int rank;
    int64_t shape[4]; /* PyTorch's */
    int64_t count;
    pv_real *values;    /* in the parameter vector, or in a buffer */
    pv_real *gradients; /* NULL for a buffer (running_mean, running_var, num_batches_tracked) */
    bool constant;      /* a buffer that is drawn once and never changes: as fixed as a parameter in use */
} pv_model_tensor;

/* How pv_nn_params_init fills a tensor. */
typedef enum pv_init_kind { PV_INIT_CONSTANT, PV_INIT_NORMAL, PV_INIT_UNIFORM } pv_init_kind;
typedef struct pv_init {
    pv_init_kind kind;
    double value; /* the constant, the standard deviation, or the bound of U(-bound, bound) */
} pv_init;

enum { PV_NN_NAME = 160 }; /* bytes of the longest tensor name */

typedef struct pv_nn_params {
    pv_memory *memory;
    const pv_nn_kernels *kernels; /* chosen once, for everyone who computes with these tensors */
    /* What `kernels` points to once products may be narrow, and the products that it has. */
    pv_nn_kernels own;
    pv_matrix_kernels products;
    bool squares; /* the processor multiplies them */
    int count, trained, capacity;
    int stages;                  /* of a pass */
    struct pv_nn_entry *entries; /* in the order of registration */
    pv_model_tensor *tensors;    /* trained ones first, then buffers */
    pv_real *values, *gradients; /* flat vectors of `length` */
    int64_t length;
    char prefix[PV_NN_NAME]; /* of the names of tensors that are registered */
    bool failed;
} pv_nn_params;

/* Everything is taken from `memory`, which outlives the registry. */
void pv_nn_params_open(pv_nn_params *params, pv_memory *memory);

/* Lets pv_nn_params_begin choose products with operands of bfloat16.  Before anything else is told what the
 * kernels are; `params` must stay where it is.  A build of doubles has no such products: nothing changes. */
void pv_nn_params_narrow(pv_nn_params *params);

/* Before and after whatever uses `kernels`: the products of kernels->matrix have operands of bfloat16, if
 * they may and it is asked for, or of float. */
void pv_nn_params_begin(pv_nn_params *params, bool narrow);
void pv_nn_params_end(pv_nn_params *params);

/* Registers a tensor; the name is copied.  Returns its id; failures are reported by pv_nn_params_close.
 * Shapes   rank <= 2; rank 0 is one number. */
int pv_nn_params_add(pv_nn_params *params, const char *name, int rank, int64_t rows, int64_t cols,
                     bool trained, pv_init init);

/* What stands before the names of all tensors that are registered from here on in this stage. */
void pv_nn_params_prefix(pv_nn_params *params, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is registered from here on belongs to the next stage of a pass, and has no prefix; there is one stage
 * to begin with. */
void pv_nn_params_next_stage(pv_nn_params *params);

/* Registers a buffer that is drawn once and then stays as it is. */
int pv_nn_params_add_constant(pv_nn_params *params, const char *name, int64_t rows, int64_t cols,
                              pv_init init);

/* Allocates the vectors; from here on ids resolve.  Errors: PV_ERR_NOMEM, PV_ERR_INTERNAL (name too long). */
pv_status pv_nn_params_close(pv_nn_params *params);

pv_real *pv_nn_values(const pv_nn_params *params, int id);
pv_real *pv_nn_gradients(const pv_nn_params *params, int id);

/* Where the gradients of stage `stage` begin in the flat vector: a stage has all up to the next one's. */
int64_t pv_nn_stage_begin(const pv_nn_params *params, int stage);

/* Draws every tensor anew.  Random: PV_RNG_MODEL_INIT, (number in `tensors`, 0). */
void pv_nn_params_init(pv_nn_params *params, uint64_t seed);

#endif
