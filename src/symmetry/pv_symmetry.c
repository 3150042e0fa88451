/* Elements of the symmetry group: made, composed, drawn, applied; the one of a row's canonical form. */
#include "symmetry/pv_symmetry.h"
#include "base/pv_mem.h"

#include <math.h>
#include <string.h>

unsigned pv_symmetry_kinds(const pv_arch *arch)
{
    const pv_activation *activation = pv_arch_activation(arch);
    return (activation->odd || activation->even ? PV_SYMMETRY_SIGNS : 0) |
           (activation->antiperiod > 0 ? PV_SYMMETRY_PHASES : 0) |
           (activation->scales ? PV_SYMMETRY_SCALES : 0);
}

double pv_symmetry_period(const pv_arch *arch)
{
    const pv_activation *activation = pv_arch_activation(arch);
    return activation->antiperiod / (activation->uses_w0 ? (double)arch->w0 : 1);
}

int pv_symmetry_offset(const pv_arch *arch, int layer)
{
    int units = 0;
    for (int l = 0; l < layer; l++)
        units += arch->dims[l + 1];
    return units;
}

int pv_symmetry_units(const pv_arch *arch)
{
    return pv_symmetry_offset(arch, arch->layers - 1);
}

pv_status pv_symmetry_make(const pv_arch *arch, pv_symmetry *out)
{
    const int units = pv_symmetry_units(arch);
    pv_status st;
    *out = (pv_symmetry){.even = pv_arch_activation(arch)->even};
    PV_ALLOC(out->source, units);
    PV_ALLOC(out->sign, units);
    PV_ALLOC(out->phase, units);
    PV_ALLOC(out->scale, units);
    pv_symmetry_identity(arch, out);
    return PV_OK;
done:
    pv_symmetry_free(out);
    return st;
}

void pv_symmetry_free(pv_symmetry *symmetry)
{
    PV_FREE(symmetry->source, symmetry->sign, symmetry->phase, symmetry->scale);
    *symmetry = (pv_symmetry){0};
}

void pv_symmetry_identity(const pv_arch *arch, pv_symmetry *symmetry)
{
    int unit = 0;
    for (int l = 0; l + 1 < arch->layers; l++)
        for (int u = 0; u < arch->dims[l + 1]; u++, unit++) {
            symmetry->source[unit] = u;
            symmetry->sign[unit] = 1;
            symmetry->phase[unit] = 0;
            symmetry->scale[unit] = 1;
        }
}

void pv_symmetry_copy(const pv_arch *arch, const pv_symmetry *from, pv_symmetry *to)
{
    const size_t units = (size_t)pv_symmetry_units(arch);
    memcpy(to->source, from->source, units * sizeof *to->source);
    memcpy(to->sign, from->sign, units * sizeof *to->sign);
    memcpy(to->phase, from->phase, units * sizeof *to->phase);
    memcpy(to->scale, from->scale, units * sizeof *to->scale);
}

/* second(first(h)) = s2 (s1 h + k1 pi / w0) + k2 pi / w0; no activation has phases and scales. */
void pv_symmetry_compose(const pv_arch *arch, const pv_symmetry *first, const pv_symmetry *second,
                         pv_symmetry *out)
{
    int begin = 0;
    for (int l = 0; l + 1 < arch->layers; begin += arch->dims[l + 1], l++)
        for (int u = begin; u < begin + arch->dims[l + 1]; u++) {
            const int v = begin + second->source[u];
            out->source[u] = first->source[v];
            out->sign[u] = (int8_t)(second->sign[u] * first->sign[v]);
            out->phase[u] = second->sign[u] * first->phase[v] + second->phase[u];
            out->scale[u] = second->scale[u] * first->scale[v];
        }
}

void pv_symmetry_invert(const pv_arch *arch, const pv_symmetry *symmetry, pv_symmetry *out)
{
    int begin = 0;
    for (int l = 0; l + 1 < arch->layers; begin += arch->dims[l + 1], l++)
        for (int u = 0; u < arch->dims[l + 1]; u++) {
            const int v = begin + symmetry->source[begin + u];
            out->source[v] = u;
            out->sign[v] = symmetry->sign[begin + u];
            out->phase[v] = -symmetry->sign[begin + u] * symmetry->phase[begin + u];
            out->scale[v] = 1 / symmetry->scale[begin + u];
        }
}

/* The columns of a matrix as the layer before it moves them: where they come from, and their factors. */
typedef struct moved_columns {
    int32_t source[PV_INR_MAX_WIDTH];
    float factor[PV_INR_MAX_WIDTH];
} moved_columns;

static void list_columns(const pv_symmetry *symmetry, int before, int count, moved_columns *out)
{
    for (int c = 0; c < count; c++) {
        out->source[c] = before < 0 ? c : symmetry->source[before + c];
        out->factor[c] =
            before < 0 ? 1.0F
                       : (float)pv_symmetry_outgoing(symmetry, before + c) / symmetry->scale[before + c];
    }
}

void pv_symmetry_apply(const pv_arch *arch, const pv_symmetry *symmetry, const float *row, float *out)
{
    const double period = pv_symmetry_period(arch);
    moved_columns moved;
    int before = -1, own = 0; /* where the units of the layer before, and of this one, begin */
    for (int l = 0; l < arch->layers; l++) {
        const int ins = arch->dims[l], outs = arch->dims[l + 1];
        const float *const bias = row + (int64_t)ins * outs;
        float *const new_bias = out + (int64_t)ins * outs;
        const bool hidden = l + 1 < arch->layers;
        list_columns(symmetry, before, ins, &moved);
        for (int u = 0; u < outs; u++) {
            const float *const from = row + (int64_t)ins * (hidden ? symmetry->source[own + u] : u);
            const float own_factor =
                hidden ? (float)symmetry->sign[own + u] * symmetry->scale[own + u] : 1.0F;
            const float shift = hidden ? (float)(symmetry->phase[own + u] * period) : 0.0F;
            for (int c = 0; c < ins; c++)
                out[u * ins + c] = own_factor * moved.factor[c] * from[moved.source[c]];
            new_bias[u] = own_factor * bias[hidden ? symmetry->source[own + u] : u] + shift;
        }
        before = own;
        own += outs;
        row = bias + outs;
        out = new_bias + outs;
    }
}

double pv_match_objective(const pv_arch *arch, const float *a, const float *b)
{
    enum { SUMS = 8 }; /* side by side: one sum would wait for each addition */
    const int count = pv_arch_params(arch) - arch->dims[arch->layers];
    double sum[SUMS] = {0};
    int i = 0;
    for (; i + SUMS <= count; i += SUMS)
        for (int s = 0; s < SUMS; s++)
            sum[s] += (double)a[i + s] * (double)b[i + s];
    for (int s = 0; i < count; i++, s++)
        sum[s] += (double)a[i] * (double)b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void pv_symmetry_draw_permutation(const pv_arch *arch, pv_rng *rng, pv_symmetry *symmetry)
{
    int begin = 0;
    for (int l = 0; l + 1 < arch->layers; begin += arch->dims[l + 1], l++)
        pv_rng_shuffle(rng, arch->dims[l + 1], symmetry->source + begin);
}

void pv_symmetry_draw_signs(const pv_arch *arch, double p, pv_rng *rng, pv_symmetry *symmetry)
{
    const int units = pv_symmetry_units(arch);
    for (int u = 0; u < units; u++)
        symmetry->sign[u] = pv_rng_uniform(rng) < p ? -1 : 1;
}

void pv_symmetry_draw_phases(const pv_arch *arch, int low, int high, pv_rng *rng, pv_symmetry *symmetry)
{
    const int units = pv_symmetry_units(arch);
    for (int u = 0; u < units; u++)
        symmetry->phase[u] = low + (int)pv_rng_below(rng, (uint64_t)(high - low) + 1);
}

void pv_symmetry_draw_scales(const pv_arch *arch, double most, pv_rng *rng, pv_symmetry *symmetry)
{
    const int units = pv_symmetry_units(arch);
    for (int u = 0; u < units; u++)
        symmetry->scale[u] = (float)exp(pv_rng_range(rng, -log(most), log(most)));
}

/* Whether the first incoming weight of a unit that is not 0 is negative. */
static bool leads_negative(const float *weights, int count)
{
    for (int c = 0; c < count; c++)
        if (weights[c] != 0) return weights[c] < 0;
    return false;
}

/* Whether the sign of a unit is to be flipped.  Its incoming weights only count where its bias is exactly 0;
 * they are looked at as they stand once the layer before has its canonical signs. */
static bool flips(const float *weights, int ins, float bias, const moved_columns *columns)
{
    float moved[PV_INR_MAX_WIDTH];
    if (bias != 0) return bias < 0;
    for (int c = 0; c < ins; c++)
        moved[c] = columns->factor[c] * weights[columns->source[c]];
    return leads_negative(moved, ins);
}

/* By how many multiples of `period` a bias lies outside the range of -period / 2 to period / 2.  One that
 * rounding has put just outside stays: else it would be moved from one end to the other and back; so does one
 * that is too large to have a phase. */
static int periods_outside(double bias, double period)
{
    const double slack = 1 + 1e-4;
    const bool outside = fabs(bias) > period / 2 * slack && fabs(bias) < PV_SYMMETRY_MOST_PHASES * period;
    return outside ? (int)floor(bias / period + 0.5) : 0;
}

/* What makes the norm of a unit's incoming weights and its bias 1; 1 where rounding has put it just off, or
 * there is no such factor. */
static float scale_to_norm(const float *weights, int ins, float bias, const moved_columns *columns)
{
    const double slack = 1e-5;
    double square = (double)bias * (double)bias;
    for (int c = 0; c < ins; c++) {
        const double moved = (double)(columns->factor[c] * weights[columns->source[c]]);
        square += moved * moved;
    }
    const float scale = (float)(1 / sqrt(square));
    return isfinite(scale) && scale > 0 && fabs(sqrt(square) - 1) > slack ? scale : 1;
}

void pv_symmetry_canonical(const pv_arch *arch, const float *row, pv_canonical what, pv_symmetry *out)
{
    const double period = pv_symmetry_period(arch);
    const int turn = what & PV_CANONICAL_PHASE ? 1 : what & PV_CANONICAL_TURN ? 2 : 0; /* in periods */
    moved_columns columns;
    int before = -1, begin = 0;
    pv_symmetry_identity(arch, out);
    for (int l = 0; l + 1 < arch->layers; l++) {
        const int ins = arch->dims[l], outs = arch->dims[l + 1];
        const float *const bias = row + (int64_t)ins * outs;
        list_columns(out, before, ins, &columns);
        for (int u = 0; u < outs; u++) {
            const int k = turn ? turn * periods_outside((double)bias[u], turn * period) : 0;
            const float moved = bias[u] + (float)(-k * period); /* as pv_symmetry_apply rounds it */
            const bool flip = what & PV_CANONICAL_SIGN && flips(row + (int64_t)u * ins, ins, moved, &columns);
            out->sign[begin + u] = flip ? -1 : 1;
            out->phase[begin + u] = flip ? k : -k;
            if (what & PV_CANONICAL_SCALE)
                out->scale[begin + u] = scale_to_norm(row + (int64_t)u * ins, ins, bias[u], &columns);
        }
        before = begin;
        begin += outs;
        row = bias + outs;
    }
}
