/* Architectures: limits, comparison, layout of a row, words in files. */
#include "inr/pv_arch.h"

#include <math.h>
#include <stdio.h>

enum { MAX_INPUTS = 3, MAX_OUTPUTS = 4 };

pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, pv_arch *arch)
{
    if (opts->hidden_count > PV_INR_MAX_LAYERS - 1)
        return pv_fail(PV_ERR_CONFIG, "inr.hidden: %u hidden layers, at most %d are allowed",
                       opts->hidden_count, PV_INR_MAX_LAYERS - 1);
    for (unsigned l = 0; l < opts->hidden_count; l++)
        if (opts->hidden[l] < 1 || opts->hidden[l] > PV_INR_MAX_WIDTH)
            return pv_fail(PV_ERR_CONFIG, "inr.hidden: the width %d is outside 1..%d", opts->hidden[l],
                           PV_INR_MAX_WIDTH);
    if (!((float)opts->w0 > 0) || !isfinite((float)opts->w0))
        return pv_fail(PV_ERR_CONFIG, "inr.w0: %g is not a positive number", opts->w0);
    if (!isfinite((float)opts->offset))
        return pv_fail(PV_ERR_CONFIG, "inr.offset: %g is not finite", opts->offset);
    if (inputs < 1 || inputs > MAX_INPUTS)
        return pv_fail(PV_ERR_CONFIG, "the signal has %d coordinates, an INR takes 1..%d", inputs,
                       MAX_INPUTS);
    if (outputs < 1 || outputs > MAX_OUTPUTS)
        return pv_fail(PV_ERR_CONFIG, "the signal has %d channels, an INR gives 1..%d", outputs, MAX_OUTPUTS);
    *arch = (pv_arch){.layers = (int)opts->hidden_count + 1,
                      .activation =
                          opts->activation.plugin ? pv_activation_find(opts->activation.plugin->name) : 0,
                      .w0 = (float)opts->w0,
                      .offset = (float)opts->offset};
    arch->dims[0] = inputs;
    for (unsigned l = 0; l < opts->hidden_count; l++)
        arch->dims[l + 1] = opts->hidden[l];
    arch->dims[arch->layers] = outputs;
    return PV_OK;
}

bool pv_arch_equal(const pv_arch *a, const pv_arch *b)
{
    if (a->layers != b->layers || a->activation != b->activation || a->w0 != b->w0 || a->offset != b->offset)
        return false;
    for (int i = 0; i <= a->layers; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

const pv_activation *pv_arch_activation(const pv_arch *arch)
{
    return pv_activation_at(arch->activation);
}

int pv_arch_params(const pv_arch *arch)
{
    int params = 0;
    for (int l = 0; l < arch->layers; l++)
        params += arch->dims[l + 1] * (arch->dims[l] + 1);
    return params;
}

int pv_arch_layout(const pv_arch *arch, pv_arch_tensor *tensors)
{
    int offset = 0;
    for (int l = 0; l < arch->layers; l++) {
        const int rows = arch->dims[l + 1], cols = arch->dims[l];
        pv_arch_tensor *weight = &tensors[2 * l], *bias = &tensors[2 * l + 1];
        *weight = (pv_arch_tensor){.offset = offset, .rows = rows, .cols = cols};
        *bias = (pv_arch_tensor){.offset = offset + rows * cols, .rows = rows, .cols = 1};
        snprintf(weight->name, sizeof weight->name, "seq.%d.weight", l);
        snprintf(bias->name, sizeof bias->name, "seq.%d.bias", l);
        offset += rows * cols + rows;
    }
    return 2 * arch->layers;
}

json_t *pv_arch_dims_json(const pv_arch *arch)
{
    json_t *dims = json_array();
    for (int i = 0; i <= arch->layers; i++)
        json_array_append_new(dims, json_integer(arch->dims[i]));
    return dims;
}

json_t *pv_arch_to_json(const pv_arch *arch)
{
    return json_pack("{s:o, s:f, s:f, s:s}", "dims", pv_arch_dims_json(arch), "w0", (double)arch->w0,
                     "offset", (double)arch->offset, "activation", pv_arch_activation(arch)->formula);
}

static pv_status read_dims(const json_t *dims, const char *where, pv_arch *arch)
{
    const size_t count = json_array_size(dims);
    if (count < 2 || count > PV_INR_MAX_LAYERS + 1)
        return pv_fail(PV_ERR_DATA, "'%s': the attribute 'arch' has %zu layer widths, expected 2 to %d",
                       where, count, PV_INR_MAX_LAYERS + 1);
    arch->layers = (int)count - 1;
    for (size_t i = 0; i < count; i++) {
        const json_int_t width = json_integer_value(json_array_get(dims, i));
        if (width < 1 || width > PV_INR_MAX_WIDTH)
            return pv_fail(PV_ERR_DATA, "'%s': the attribute 'arch' has a layer of width %lld", where,
                           (long long)width);
        arch->dims[i] = (int)width;
    }
    return PV_OK;
}

pv_status pv_arch_from_json(const char *text, const char *where, pv_arch *arch)
{
    json_t *root = json_loads(text, 0, NULL);
    const json_t *w0 = json_object_get(root, "w0"), *offset = json_object_get(root, "offset");
    const json_t *activation = json_object_get(root, "activation");
    pv_status st;
    *arch = (pv_arch){.w0 = (float)json_number_value(w0), .offset = (float)json_number_value(offset)};
    if (!json_is_array(json_object_get(root, "dims")) || !json_is_number(w0) || !json_is_number(offset) ||
        !isfinite(arch->w0) || !isfinite(arch->offset) || (activation && !json_is_string(activation)))
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s': the attribute 'arch' is not an INR architecture: %.200s", where,
                       text));
    PV_TRY(read_dims(json_object_get(root, "dims"), where, arch));
    if (activation && (arch->activation = pv_activation_find(json_string_value(activation))) < 0)
        st = pv_fail(PV_ERR_DATA, "'%s' holds INRs with the activation '%.100s', which this program lacks",
                     where, json_string_value(activation));
done:
    json_decref(root);
    return st;
}
