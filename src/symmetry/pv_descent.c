/* One descent of weight matching.  The values of pairs of units are kept from visit to visit. */
#include "pv_descent.h"
#include "base/pv_mem.h"
#include "pv_assign.h"
#include "pv_match_kernels.h"
#include "pv_pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a sweep must gain, relative to the objective, to be followed by another: above rounding. */
#define LEAST_GAIN 1e-7
/* A descent is given up when what it has gained at the last visit of every layer, once more, and this,
 * relative to the objective, would not bring it to the best one. */
#define HOPE 0.01

/* A feature of B's units: [n] of where its neighbour's unit 0 leads to or comes from, those of the other
 * units behind it. */
typedef struct feature {
    const float *theirs;
    int32_t unit; /* of the symmetry, that moves and flips it; -1: none does */
} feature;

/* One hidden layer: features of A's units [n][k] (incoming weights, bias, outgoing weights), so that the
 * value of pairing two units is a scalar product.  The values are kept, and brought up to date by the
 * features that have changed: late in a descent few do.  Where phases count, or signs of an even activation,
 * those of the incoming and of the outgoing weights are kept apart, and a pair is worth what it is at its
 * best turn. */
typedef struct layer {
    int units, inputs, outputs, features, stride;
    int first_unit, first_param; /* in the symmetry; in a row: the matrix, then the bias */
    float *mine;                 /* [n][k] of A */
    feature *made_of;            /* [k] of B */
    float *values;               /* [n][stride] of the pairs; apart, of their incoming weights */
    float *outgoing, *best;      /* [n][stride] if apart: of their outgoing weights, at the best turn */
    bool has_values;             /* with B's features standing as `source` and `sign` say: */
    int32_t *source;       /* [k] which of B's; the neighbouring layers' state when they were added up */
    int8_t *sign;          /* [k] */
    pv_assign_start start; /* the last assignment */
    bool is_settled;       /* no neighbour has moved since */
} layer;

struct pv_descent {
    pv_arch arch;
    pv_memory memory; /* of the arrays */
    bool signs, phases;
    bool apart; /* pairs are worth what they are at their best turn */
    double period;
    int max_sweeps, hidden, params;
    layer layers[PV_INR_MAX_LAYERS];
    const pv_match_kernels *kernels;
    pv_assign *assign;
    const float *mine;    /* A's row, borrowed since pv_descent_begin */
    float *theirs;        /* B's row; this and `incoming` may be read past their ends by the lanes */
    float *incoming;      /* B's matrices transposed: [d_{l-1}][d_l], at the offsets of the row */
    pv_match_term *terms; /* [2 k] */
    float *aligned;       /* [P] */
    int32_t *chosen;      /* [n] */
    pv_symmetry state;
};

static int round_up(int n)
{
    return (n + PV_MATCH_LANES - 1) / PV_MATCH_LANES * PV_MATCH_LANES;
}

static void make_layer(pv_memory *memory, bool apart, layer *it)
{
    const int64_t pairs = (int64_t)it->units * it->stride;
    PV_TAKE(memory, (int64_t)it->units * it->features, &it->mine);
    PV_TAKE(memory, it->features, &it->made_of);
    PV_TAKE(memory, pairs, &it->values);
    if (apart) PV_TAKE(memory, pairs, &it->outgoing, &it->best);
    PV_TAKE(memory, it->features, &it->source);
    PV_TAKE(memory, it->features, &it->sign);
    PV_TAKE(memory, it->units, &it->start.columns);
    PV_TAKE(memory, it->units, &it->start.price);
}

/* Where the features of B's units are found. */
static void find_features(pv_descent *d, int l)
{
    const layer *it = &d->layers[l];
    const float *const bias = d->theirs + it->first_param + it->inputs * it->units;
    const bool in_moves = l > 0, out_moves = l + 1 < d->hidden;
    feature *at = it->made_of;
    for (int c = 0; c < it->inputs; c++)
        *at++ = (feature){d->incoming + it->first_param + (in_moves ? 0 : c * it->units),
                          in_moves ? it[-1].first_unit + c : -1};
    *at++ = (feature){bias, -1};
    for (int o = 0; o < it->outputs; o++)
        *at++ = (feature){bias + it->units + (out_moves ? 0 : o * it->units),
                          out_moves ? it[1].first_unit + o : -1};
}

/* The layers and their place in a row; the most units and the most features of one. */
static void make_layers(pv_descent *d, int *widest, int *most)
{
    const int *const dims = d->arch.dims;
    int first_param = 0;
    *widest = *most = 1;
    for (int l = 0; l < d->hidden; l++) {
        layer *const it = &d->layers[l];
        const int units = dims[l + 1], features = dims[l] + 1 + dims[l + 2];
        *it = (layer){.units = units,
                      .inputs = dims[l],
                      .outputs = dims[l + 2],
                      .features = features,
                      .stride = round_up(units),
                      .first_unit = pv_symmetry_offset(&d->arch, l),
                      .first_param = first_param};
        first_param += (it->inputs + 1) * units;
        make_layer(&d->memory, d->apart, it);
        *widest = units > *widest ? units : *widest;
        *most = features > *most ? features : *most;
    }
}

pv_status pv_descent_new(const pv_arch *arch, bool signs, bool phases, int max_sweeps, pv_descent **out)
{
    int widest, most;
    pv_status st;
    *out = NULL;
    pv_descent *d = pv_alloc(1, sizeof *d);
    if (!d) return PV_ERR_NOMEM;
    d->arch = *arch;
    d->signs = signs;
    d->phases = phases;
    d->apart = phases || (signs && pv_arch_activation(arch)->even);
    d->period = pv_symmetry_period(arch);
    d->max_sweeps = max_sweeps;
    d->hidden = arch->layers - 1;
    d->params = pv_arch_params(arch);
    d->kernels = PV_ISA_CHOOSE(pv_match_kernels);
    make_layers(d, &widest, &most);
    PV_TAKE(&d->memory, d->params + PV_MATCH_LANES, &d->theirs, &d->incoming);
    PV_TAKE(&d->memory, d->params, &d->aligned);
    PV_TAKE(&d->memory, 2 * most, &d->terms);
    PV_TAKE(&d->memory, widest, &d->chosen);
    d->assign = pv_assign_new(widest, &d->memory);
    PV_TRY(pv_memory_status(&d->memory));
    for (int l = 0; l < d->hidden; l++)
        find_features(d, l);
    PV_TRY(pv_symmetry_make(arch, &d->state));
    *out = d;
    return PV_OK;
done:
    pv_descent_free(d);
    return st;
}

void pv_descent_free(pv_descent *d)
{
    if (!d) return;
    pv_memory_free(&d->memory);
    pv_symmetry_free(&d->state);
    free(d);
}

static void load_mine(pv_descent *d, const float *a)
{
    for (int l = 0; l < d->hidden; l++) {
        const layer *it = &d->layers[l];
        const float *in = a + it->first_param, *bias = in + it->inputs * it->units;
        const float *out = bias + it->units;
        for (int u = 0; u < it->units; u++) {
            float *const mine = it->mine + (int64_t)u * it->features;
            memcpy(mine, in + u * it->inputs, sizeof *mine * (size_t)it->inputs);
            mine[it->inputs] = bias[u];
            for (int o = 0; o < it->outputs; o++)
                mine[it->inputs + 1 + o] = out[o * it->units + u];
        }
    }
}

static void load_theirs(pv_descent *d, const float *b)
{
    memcpy(d->theirs, b, sizeof *b * (size_t)d->params);
    for (int l = 0; l < d->hidden; l++) {
        const layer *it = &d->layers[l];
        const float *in = b + it->first_param;
        float *const turned = d->incoming + it->first_param;
        for (int u = 0; u < it->units; u++)
            for (int c = 0; c < it->inputs; c++)
                turned[c * it->units + u] = in[u * it->inputs + c];
    }
}

void pv_descent_begin(pv_descent *d, const float *a, const float *b)
{
    d->mine = a;
    load_mine(d, a);
    load_theirs(d, b);
    pv_symmetry_identity(&d->arch, &d->state);
    for (int l = 0; l < d->hidden; l++)
        d->layers[l].has_values = d->layers[l].start.is_set = d->layers[l].is_settled = false;
}

const pv_symmetry *pv_descent_state(const pv_descent *d)
{
    return &d->state;
}

void pv_descent_apply(const pv_descent *d, const pv_symmetry *symmetry, float *out)
{
    pv_symmetry_apply(&d->arch, symmetry, d->theirs, out);
}

/* By how much the squares of the hidden biases are larger in `row` than in B. */
static double growth_of_biases(const pv_descent *d, const float *row)
{
    double sum = 0;
    for (int l = 0; l < d->hidden; l++) {
        const layer *it = &d->layers[l];
        const int first = it->first_param + it->inputs * it->units;
        for (int p = first; p < first + it->units; p++)
            sum += (double)(row[p] + d->theirs[p]) * (double)(row[p] - d->theirs[p]);
    }
    return sum;
}

/* Where no phase moves, a sign may have: it leaves squares as they are. */
double pv_descent_objective(pv_descent *d, const pv_symmetry *symmetry)
{
    pv_descent_apply(d, symmetry, d->aligned);
    const double product = pv_match_objective(&d->arch, d->mine, d->aligned);
    return d->phases ? product - growth_of_biases(d, d->aligned) / 2 : product;
}

static pv_match_term term_of(const layer *it, int f, float factor)
{
    return (pv_match_term){it->made_of[f].theirs + it->source[f] * it->units, f, factor};
}

/* The factor that the neighbouring layer's state gives to a feature. */
static int8_t sign_of(const pv_descent *d, const layer *it, int f)
{
    const int32_t unit = it->made_of[f].unit;
    if (unit < 0) return 1;
    return f < it->inputs ? pv_symmetry_outgoing(&d->state, unit) : d->state.sign[unit];
}

/* Notes how the features first .. end - 1 stand and lists what has to be added to the values: of a feature
 * that has changed what it is now, less what it was.  Returns the number of terms; *anew: they make up the
 * values alone. */
static int list_terms(pv_descent *d, int l, int first, int end, bool *anew)
{
    layer *const it = &d->layers[l];
    int count = 0;
    for (int f = first; f < end; f++) {
        const int32_t unit = it->made_of[f].unit, source = unit < 0 ? 0 : d->state.source[unit];
        const int8_t sign = sign_of(d, it, f);
        if (it->has_values && source == it->source[f] && sign == it->sign[f]) continue;
        if (it->has_values && it->sign[f] != 0) d->terms[count++] = term_of(it, f, -(float)it->sign[f]);
        it->source[f] = source;
        it->sign[f] = sign;
        if (sign != 0) d->terms[count++] = term_of(it, f, (float)sign);
    }
    *anew = !it->has_values || count > end - first;
    if (!*anew) return count;
    count = 0;
    for (int f = first; f < end; f++)
        if (it->sign[f] != 0) d->terms[count++] = term_of(it, f, (float)it->sign[f]);
    return count;
}

/* Brings the values of some features up to date. */
static void add_features(pv_descent *d, int l, int first, int end, float *values)
{
    const layer *it = &d->layers[l];
    bool anew;
    const int terms = list_terms(d, l, first, end, &anew);
    d->kernels->add(it->units, it->stride, it->features, it->mine, terms, d->terms, anew, values);
}

/* With phases: A's unit u and B's unit v. */
static pv_pair pair_of(const layer *it, int u, int v)
{
    const int64_t at = (int64_t)u * it->stride + v;
    return (pv_pair){it->values[at], it->outgoing[at], it->mine[u * it->features + it->inputs],
                     it->made_of[it->inputs].theirs[v]};
}

/* The values that the assignment makes as large as it can. */
static const float *value_pairs(pv_descent *d, int l)
{
    layer *const it = &d->layers[l];
    add_features(d, l, 0, d->phases ? it->inputs : d->apart ? it->inputs + 1 : it->features, it->values);
    if (d->apart) add_features(d, l, it->inputs + 1, it->features, it->outgoing);
    it->has_values = it->is_settled = true;
    if (!d->apart) return it->values;
    for (int u = 0; u < it->units; u++) {
        const int64_t row = (int64_t)u * it->stride;
        for (int v = 0; v < it->units && !d->phases;
             v++) /* an even activation: the incoming ones turn alone */
            it->best[row + v] = fabsf(it->values[row + v]) + it->outgoing[row + v];
        if (!d->phases) continue;
        pv_pair_values(it->units, it->values + row, it->outgoing + row,
                       it->mine[u * it->features + it->inputs], it->made_of[it->inputs].theirs,
                       (float)d->period, d->signs, it->best + row);
    }
    return it->best;
}

/* Takes the assignment over; returns whether a unit has moved. */
static bool take_columns(pv_descent *d, int l)
{
    const layer *it = &d->layers[l];
    int32_t *const source = d->state.source + it->first_unit;
    int8_t *const sign = d->state.sign + it->first_unit;
    int32_t *const phase = d->state.phase + it->first_unit;
    bool moved = false;
    for (int u = 0; u < it->units; u++) {
        const int32_t from = it->start.columns[u];
        int32_t turn = 0;
        int8_t now = d->signs && it->values[u * it->stride + from] < 0 ? -1 : 1;
        if (d->phases) pv_pair_turn(pair_of(it, u, from), d->period, d->signs, &now, &turn);
        moved = moved || source[u] != from || sign[u] != now || phase[u] != turn;
        source[u] = from;
        sign[u] = now;
        phase[u] = turn;
    }
    return moved;
}

/* The values of the pairs that the layer's part of the state makes. */
static double value_of_state(const pv_descent *d, int l)
{
    const layer *it = &d->layers[l];
    const int begin = it->first_unit;
    double sum = 0;
    for (int u = 0; u < it->units; u++) {
        const int32_t source = d->state.source[begin + u];
        const int8_t sign = d->state.sign[begin + u];
        const int64_t at = (int64_t)u * it->stride + source;
        if (d->phases)
            sum += pv_pair_value(pair_of(it, u, source), d->period, sign, d->state.phase[begin + u]);
        else
            sum += sign * (double)it->values[at] + (d->apart && sign != 0 ? (double)it->outgoing[at] : 0);
    }
    return sum;
}

double pv_descent_visit(pv_descent *d, int l)
{
    layer *const it = &d->layers[l];
    const float *const values = value_pairs(d, l);
    const double before = value_of_state(d, l);
    const double after =
        pv_assign_max(d->assign, it->units, values, it->stride, d->signs && !d->apart, &it->start);
    if (isnan(after) || !take_columns(d, l)) return 0;
    if (l > 0) d->layers[l - 1].is_settled = false;
    if (l + 1 < d->hidden) d->layers[l + 1].is_settled = false;
    return after - before;
}

static void swap(int32_t *a, int32_t *b)
{
    const int32_t kept = *a;
    *a = *b;
    *b = kept;
}

/* A layer whose neighbours stand as they stood need not be visited. */
double pv_descent_run(pv_descent *d, int first, double best, pv_rng *rng)
{
    const int hidden = d->hidden;
    int32_t order[PV_INR_MAX_LAYERS];
    int visits = 0, sweeps = 0;
    double stood[PV_INR_MAX_LAYERS]; /* the objective before each of the last visits */
    double objective = pv_descent_objective(d, &d->state);
    for (bool gains = true; gains && sweeps < d->max_sweeps; sweeps++) {
        const double begin = objective;
        pv_rng_shuffle(rng, hidden, order);
        for (int i = 0; first >= 0 && i < hidden; i++)
            if (order[i] == first) swap(&order[i], &order[0]);
        first = -1;
        for (int i = 0; i < hidden; i++) {
            if (d->layers[order[i]].is_settled) continue;
            stood[visits++ % hidden] = objective;
            objective += pv_descent_visit(d, order[i]);
            if (visits < hidden) continue;
            const double latest = objective - stood[visits % hidden];
            if (objective + latest + HOPE * fabs(objective) < best) return objective;
        }
        gains = objective - begin > LEAST_GAIN * fabs(objective);
    }
    return objective;
}

void pv_descent_reset(pv_descent *d)
{
    pv_symmetry_identity(&d->arch, &d->state);
    for (int l = 0; l < d->hidden; l++)
        d->layers[l].is_settled = false;
}

void pv_descent_kick(pv_descent *d, const pv_symmetry *state, pv_rng *rng)
{
    const int l = (int)pv_rng_below(rng, (uint64_t)d->hidden), units = d->layers[l].units;
    const int moved = (units + 1) / 2;
    pv_symmetry_copy(&d->arch, state, &d->state);
    int32_t *const source = d->state.source + d->layers[l].first_unit, *const chosen = d->chosen;
    for (int u = 0; u < units; u++)
        chosen[u] = u;
    for (int i = 0; i < moved; i++) {
        const int other = i + (int)pv_rng_below(rng, (uint64_t)(units - i));
        swap(&chosen[i], &chosen[other]);
        if (i > 0) swap(&source[chosen[i]], &source[chosen[i - 1]]);
    }
    for (int i = 0; i < d->hidden; i++) /* only the neighbours have to be looked at again */
        d->layers[i].is_settled = d->hidden > 1 && i != l - 1 && i != l + 1;
}

/* Those after it count for nothing yet: the order that B has them in, which has no meaning, would be taken
 * for knowledge otherwise. */
void pv_descent_assign_forward(pv_descent *d)
{
    const int units = pv_symmetry_units(&d->arch);
    for (int u = 0; u < units; u++)
        d->state.sign[u] = 0;
    for (int l = 0; l < d->hidden; l++)
        pv_descent_visit(d, l);
    for (int u = 0; u < units; u++) /* rows so large that no value is finite */
        if (d->state.sign[u] == 0) d->state.sign[u] = 1;
}
