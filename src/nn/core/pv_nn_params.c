/* Tensors by name, laid out in two flat vectors when all are known. */
#include "nn/core/pv_nn_params.h"
#include "base/pv_rng.h"
#include "nn/core/pv_narrow_kernels.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct pv_nn_entry {
    char name[PV_NN_NAME];
    int rank, number; /* number: its place in `tensors` */
    int stage;
    int64_t rows, cols, count;
    bool trained, constant;
    pv_init init;
} pv_nn_entry;

void pv_nn_params_open(pv_nn_params *params, pv_memory *memory)
{
    *params = (pv_nn_params){.memory = memory, .kernels = PV_ISA_CHOOSE(pv_nn_kernels), .stages = 1};
}

void pv_nn_params_narrow(pv_nn_params *params)
{
    if (!PV_ISA_CHOOSE(pv_narrow_kernels)->plain.product) return;
    params->own = *params->kernels;
    params->squares = pv_cpu_multiplies_squares();
    params->products = *params->own.matrix;
    params->own.matrix = &params->products;
    params->kernels = &params->own;
}

void pv_nn_params_begin(pv_nn_params *params, bool narrow)
{
    if (params->kernels != &params->own) return;
    const pv_narrow_kernels *kernels = PV_ISA_CHOOSE(pv_narrow_kernels);
    const pv_matrix_kernels *wide = PV_ISA_CHOOSE(pv_nn_kernels)->matrix;
    params->products = !narrow ? *wide : params->squares ? kernels->own : kernels->plain;
    if (params->squares) kernels->begin();
}

void pv_nn_params_end(pv_nn_params *params)
{
    if (params->kernels == &params->own && params->squares) PV_ISA_CHOOSE(pv_narrow_kernels)->end();
}

static bool grow(pv_nn_params *params)
{
    const int capacity = params->capacity ? 2 * params->capacity : 256;
    pv_nn_entry *entries = pv_take(params->memory, capacity, sizeof *entries);
    if (!entries) return false;
    if (params->count) memcpy(entries, params->entries, sizeof *entries * (size_t)params->count);
    params->entries = entries;
    params->capacity = capacity;
    return true;
}

int pv_nn_params_add(pv_nn_params *params, const char *name, int rank, int64_t rows, int64_t cols,
                     bool trained, pv_init init)
{
    if (params->count == params->capacity && !grow(params)) return -1;
    pv_nn_entry *entry = &params->entries[params->count];
    *entry = (pv_nn_entry){.rank = rank,
                           .stage = params->stages - 1,
                           .rows = rows,
                           .cols = cols,
                           .trained = trained,
                           .init = init};
    entry->count = (rank > 0 ? rows : 1) * (rank > 1 ? cols : 1);
    if (snprintf(entry->name, PV_NN_NAME, "%s%s", params->prefix, name) >= PV_NN_NAME) params->failed = true;
    params->trained += trained;
    return params->count++;
}

int pv_nn_params_add_constant(pv_nn_params *params, const char *name, int64_t rows, int64_t cols,
                              pv_init init)
{
    const int id = pv_nn_params_add(params, name, 2, rows, cols, false, init);
    if (id >= 0) params->entries[id].constant = true;
    return id;
}

void pv_nn_params_prefix(pv_nn_params *params, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(params->prefix, sizeof params->prefix, format, arguments);
    va_end(arguments);
}

void pv_nn_params_next_stage(pv_nn_params *params)
{
    params->stages++;
    params->prefix[0] = '\0';
}

pv_status pv_nn_params_close(pv_nn_params *params)
{
    if (params->failed) return pv_fail(PV_ERR_INTERNAL, "a tensor name is longer than %d", PV_NN_NAME - 1);
    int64_t buffers = 0;
    for (int i = 0; i < params->count; i++)
        *(params->entries[i].trained ? &params->length : &buffers) += params->entries[i].count;
    PV_TAKE(params->memory, params->length, &params->values, &params->gradients);
    pv_real *buffer = pv_take(params->memory, buffers, sizeof(pv_real));
    params->tensors = pv_take(params->memory, params->count, sizeof *params->tensors);
    if (params->memory->failed) return pv_memory_status(params->memory);

    int64_t offset = 0;
    int trained = 0, other = params->trained;
    for (int i = 0; i < params->count; i++) {
        pv_nn_entry *entry = &params->entries[i];
        entry->number = entry->trained ? trained++ : other++;
        pv_model_tensor *tensor = &params->tensors[entry->number];
        *tensor = (pv_model_tensor){
            .name = entry->name, .rank = entry->rank, .count = entry->count, .constant = entry->constant};
        if (entry->rank > 0) tensor->shape[0] = entry->rows;
        if (entry->rank > 1) tensor->shape[1] = entry->cols;
        tensor->values = entry->trained ? params->values + offset : buffer;
        tensor->gradients = entry->trained ? params->gradients + offset : NULL;
        if (entry->trained)
            offset += entry->count;
        else
            buffer += entry->count;
    }
    return PV_OK;
}

pv_real *pv_nn_values(const pv_nn_params *params, int id)
{
    return params->tensors[params->entries[id].number].values;
}

pv_real *pv_nn_gradients(const pv_nn_params *params, int id)
{
    return params->tensors[params->entries[id].number].gradients;
}

int64_t pv_nn_stage_begin(const pv_nn_params *params, int stage)
{
    for (int i = 0; i < params->count; i++)
        if (params->entries[i].trained && params->entries[i].stage >= stage)
            return pv_nn_gradients(params, i) - params->gradients;
    return params->length;
}

void pv_nn_params_init(pv_nn_params *params, uint64_t seed)
{
    for (int i = 0; i < params->count; i++) {
        const pv_nn_entry *entry = &params->entries[i];
        const pv_init init = entry->init;
        pv_real *values = params->tensors[entry->number].values;
        pv_rng rng = pv_rng_open(seed, PV_RNG_MODEL_INIT, (uint64_t)entry->number, 0);
        for (int64_t k = 0; k < entry->count; k++)
            values[k] =
                (pv_real)(init.kind == PV_INIT_CONSTANT ? init.value
                          : init.kind == PV_INIT_NORMAL ? init.value * pv_rng_normal(&rng)
                                                        : pv_rng_range(&rng, -init.value, init.value));
    }
}
