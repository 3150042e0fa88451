/* Architectures: limits, comparison, layout of a row, the encoding of coordinates, words in files. */
#include "inr/pv_arch.h"

#include "base/pv_rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Fills arch->fourier and its d_0. */
static void draw_encoding(const pv_inr_opts *opts, int inputs, uint64_t seed, pv_arch *arch)
{
    pv_rng rng = pv_rng_open(seed, PV_RNG_ENCODING, 0, 0);
    arch->fourier = (pv_fourier){.count = opts->frequencies, .inputs = inputs};
    for (int i = 0; i < opts->frequencies * inputs; i++)
        arch->fourier.frequency[i] = (float)(opts->sigma * pv_rng_normal(&rng));
    arch->dims[0] = 2 * opts->frequencies;
}

static bool equal_encodings(const pv_fourier *a, const pv_fourier *b)
{
    if (a->count != b->count || (a->count > 0 && a->inputs != b->inputs)) return false;
    for (int i = 0; i < a->count * a->inputs; i++)
        if (a->frequency[i] != b->frequency[i]) return false;
    return true;
}

pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, uint64_t seed, pv_arch *arch)
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
    if (inputs < 1 || inputs > PV_INR_MOST_INPUTS)
        return pv_fail(PV_ERR_CONFIG, "the signal has %d coordinates, an INR takes 1..%d", inputs,
                       PV_INR_MOST_INPUTS);
    if (outputs < 1 || outputs > PV_INR_MOST_OUTPUTS)
        return pv_fail(PV_ERR_CONFIG, "the signal has %d channels, an INR gives 1..%d", outputs,
                       PV_INR_MOST_OUTPUTS);
    *arch = (pv_arch){.layers = (int)opts->hidden_count + 1,
                      .activation =
                          opts->activation.plugin ? pv_activation_find(opts->activation.plugin->name) : 0,
                      .w0 = (float)opts->w0,
                      .offset = (float)opts->offset};
    arch->dims[0] = inputs;
    for (unsigned l = 0; l < opts->hidden_count; l++)
        arch->dims[l + 1] = opts->hidden[l];
    arch->dims[arch->layers] = outputs;
    if (opts->encoding == PV_ENCODING_FOURIER) draw_encoding(opts, inputs, seed, arch);
    return PV_OK;
}

bool pv_arch_equal(const pv_arch *a, const pv_arch *b)
{
    if (a->layers != b->layers || a->activation != b->activation || a->w0 != b->w0 || a->offset != b->offset)
        return false;
    for (int i = 0; i <= a->layers; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return equal_encodings(&a->fourier, &b->fourier);
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

int pv_arch_inputs(const pv_arch *arch)
{
    return arch->fourier.count > 0 ? arch->fourier.inputs : arch->dims[0];
}

void pv_arch_encode(const pv_arch *arch, int n, const float *coords, float *features)
{
    const double turn = 2 * 3.14159265358979323846;
    const pv_fourier *const fourier = &arch->fourier;
    if (fourier->count == 0) {
        memcpy(features, coords, sizeof *coords * (size_t)n * (size_t)arch->dims[0]);
        return;
    }
    for (int i = 0; i < n; i++, coords += fourier->inputs, features += 2 * fourier->count)
        for (int f = 0; f < fourier->count; f++) {
            double turns = 0;
            for (int c = 0; c < fourier->inputs; c++)
                turns += (double)fourier->frequency[f * fourier->inputs + c] * (double)coords[c];
            features[f] = (float)cos(turn * turns);
            features[fourier->count + f] = (float)sin(turn * turns);
        }
}

json_t *pv_encoding_to_json(const pv_arch *arch)
{
    const pv_fourier *const fourier = &arch->fourier;
    if (fourier->count == 0) return NULL;
    json_t *const rows = json_array();
    for (int f = 0; f < fourier->count; f++) {
        json_t *const row = json_array();
        for (int c = 0; c < fourier->inputs; c++)
            json_array_append_new(row, json_real((double)fourier->frequency[f * fourier->inputs + c]));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:s, s:o}", "kind", "fourier", "frequencies", rows);
}

/* Whether they are frequencies of the first layer of `arch`, which has them then. */
static bool take_frequencies(const json_t *rows, pv_arch *arch)
{
    const size_t count = json_array_size(rows), inputs = json_array_size(json_array_get(rows, 0));
    if (count < 1 || count > PV_INR_MOST_FREQUENCIES || 2 * (int)count != arch->dims[0]) return false;
    if (inputs < 1 || inputs > PV_INR_MOST_INPUTS) return false;
    arch->fourier = (pv_fourier){.count = (int)count, .inputs = (int)inputs};
    for (size_t f = 0; f < count; f++) {
        const json_t *const row = json_array_get(rows, f);
        if (json_array_size(row) != inputs) return false;
        for (size_t c = 0; c < inputs; c++) {
            const json_t *const number = json_array_get(row, c);
            float *const to = &arch->fourier.frequency[f * inputs + c];
            *to = (float)json_number_value(number);
            if (!json_is_number(number) || !isfinite(*to)) return false;
        }
    }
    return true;
}

pv_status pv_encoding_from_json(const json_t *words, const char *where, pv_arch *arch)
{
    const char *const kind = json_string_value(json_object_get(words, "kind"));
    arch->fourier = (pv_fourier){0};
    if (!words) return PV_OK;
    if (!kind || strcmp(kind, "fourier") != 0)
        return pv_fail(PV_ERR_DATA, "'%s' holds INRs with an encoding that this program lacks: '%.100s'",
                       where, kind ? kind : "?");
    if (!take_frequencies(json_object_get(words, "frequencies"), arch))
        return pv_fail(PV_ERR_DATA, "'%s' holds INRs whose frequencies do not suit their first layer", where);
    return PV_OK;
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
    return json_pack("{s:o, s:f, s:f, s:s, s:o*}", "dims", pv_arch_dims_json(arch), "w0", (double)arch->w0,
                     "offset", (double)arch->offset, "activation", pv_arch_activation(arch)->formula,
                     "encoding", pv_encoding_to_json(arch));
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
    if (st == PV_OK) st = pv_encoding_from_json(json_object_get(root, "encoding"), where, arch);
done:
    json_decref(root);
    return st;
}
