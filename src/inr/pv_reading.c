/* Rows as models read them. */
#include "inr/pv_reading.h"

#include <math.h>
#include <string.h>

enum { PHASOR = 2 }; /* numbers of one */

const char *const pv_readings[] = {[PV_READING_RAW] = "raw", [PV_READING_PHASOR] = "phasor", NULL};

pv_status pv_reading_check(const pv_arch *arch, pv_reading reading)
{
    if (reading == PV_READING_RAW || pv_arch_activation(arch)->antiperiod > 0) return PV_OK;
    return pv_fail(PV_ERR_CONFIG, "model.features: the activation %s has no phases: take raw",
                   pv_arch_activation(arch)->plugin.name);
}

int pv_reading_bias(const pv_arch *arch, pv_reading reading, int layer)
{
    return reading == PV_READING_PHASOR && layer + 1 < arch->layers ? PHASOR : 1;
}

int pv_reading_layout(const pv_arch *arch, pv_reading reading, pv_arch_tensor *tensors)
{
    const int count = pv_arch_layout(arch, tensors);
    int offset = 0;
    for (int t = 0; t < count; t++) {
        tensors[t].offset = offset;
        if (t % 2) tensors[t].cols = pv_reading_bias(arch, reading, t / 2);
        offset += tensors[t].rows * tensors[t].cols;
    }
    return count;
}

int pv_reading_count(const pv_arch *arch, pv_reading reading)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const pv_arch_tensor *const last = tensors + pv_reading_layout(arch, reading, tensors) - 1;
    return last->offset + last->rows * last->cols;
}

/* From the last tensor to the first, and each from its end: nothing is written over that is still to be
 * read. */
void pv_reading_make(const pv_arch *arch, pv_reading reading, const float *row, float *out)
{
    const pv_activation *const activation = pv_arch_activation(arch);
    const double w0 = activation->uses_w0 ? (double)arch->w0 : 1;
    pv_arch_tensor from[2 * PV_INR_MAX_LAYERS], to[2 * PV_INR_MAX_LAYERS];
    const int count = pv_arch_layout(arch, from);
    if (reading == PV_READING_RAW) {
        if (out != row) memcpy(out, row, sizeof *out * (size_t)pv_arch_params(arch));
        return;
    }
    pv_reading_layout(arch, reading, to);
    for (int t = count - 1; t >= 0; t--) {
        const bool hidden = t + 2 < count;
        for (int i = from[t].rows * from[t].cols - 1; i >= 0; i--) {
            const float value = row[from[t].offset + i];
            float *const there = out + to[t].offset;
            if (to[t].cols == from[t].cols) {
                there[i] = hidden ? (float)(w0 * (double)value) : value;
            } else {
                const double angle = M_PI / activation->antiperiod * w0 * (double)value;
                there[PHASOR * i] = (float)cos(angle);
                there[PHASOR * i + 1] = (float)sin(angle);
            }
        }
    }
}
