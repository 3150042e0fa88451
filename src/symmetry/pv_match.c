#include "symmetry/pv_match.h"
#include "base/pv_mem.h"
#include "pv_match_kernels.h"
#include "pv_match_steps.h"
#include "pv_assign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a sweep must gain, relative to the objective, to be followed by another: above the rounding of floats. */
#define LEAST_GAIN 1e-7
/* A descent is given up when what it has gained at the last visit of every layer, once more, and this, relative to the
 * objective, would not bring it to the best one. */
#define HOPE 0.01

/* A feature of B's units: [n] of where its neighbour's unit 0 leads to or comes from, those of the other units behind it. */
typedef struct feature {
    const float *theirs;
    int32_t unit; /* of the symmetry, that moves and flips it; -1: none does */
} feature;

/* One hidden layer: features of A's units [n][k] (incoming weights, bias, outgoing weights), so that the value of pairing
 * two units is a scalar product.  The values are kept, and brought up to date by the features that have changed: late in a
 * descent few do. */
typedef struct layer {
    int units, inputs, outputs, features, stride;
    int first_unit, first_param; /* in the symmetry; in a row: the matrix, then the bias */
    float *mine;                 /* [n][k] of A */
    feature *made_of;            /* [k] of B */
    float *values;               /* [n][stride] of the pairs */
    bool has_values;             /* with B's features standing as `source` and `sign` say: */
    int32_t *source;       /* [k] which of B's; the neighbouring layers' state when they were added up */
    int8_t *sign;          /* [k] */
    pv_assign_start start; /* the last assignment */
    bool is_settled;       /* no neighbour has moved since */
} layer;

struct pv_matcher {
    pv_arch arch;
    pv_match_opts opts;
    int hidden, params, starts;
    layer layers[PV_INR_MAX_LAYERS];
    const pv_match_kernels *kernels;
    pv_assign *assign;
    float *theirs;        /* B's row; this and `incoming` may be read past their ends by the lanes */
    float *incoming;      /* B's matrices transposed: [d_{l-1}][d_l], at the offsets of the row */
    pv_match_term *terms; /* [2 k] */
    float *aligned;       /* [P] */
    int32_t *chosen;      /* [n] */
    pv_symmetry state, best;
};

static int round_up(int n)
{
    return (n + PV_MATCH_LANES - 1) / PV_MATCH_LANES * PV_MATCH_LANES;
}

/* Enough to do as well as the published descents nearly always; found by trial. */
static int usual_starts(int hidden)
{
    return hidden == 2 ? 3 : 8;
}

static pv_status make_layer(layer *it)
{
    pv_status st = PV_OK;
    PV_ALLOC(it->mine, (int64_t)it->units * it->features);
    PV_ALLOC(it->made_of, it->features);
    PV_ALLOC(it->values, (int64_t)it->units * it->stride);
    PV_ALLOC(it->source, it->features);
    PV_ALLOC(it->sign, it->features);
    PV_ALLOC(it->start.columns, it->units);
    PV_ALLOC(it->start.price, it->units);
done:
    return st;
}

static void free_layer(layer *it)
{
    free(it->mine);
    free(it->made_of);
    free(it->values);
    free(it->source);
    free(it->sign);
    free(it->start.columns);
    free(it->start.price);
}

/* Where the features of B's units are found. */
static void find_features(pv_matcher *m, int l)
{
    const layer *it = &m->layers[l];
    const float *const bias = m->theirs + it->first_param + it->inputs * it->units;
    const bool in_moves = l > 0, out_moves = l + 1 < m->hidden;
    feature *at = it->made_of;
    for (int c = 0; c < it->inputs; c++)
        *at++ = (feature){m->incoming + it->first_param + (in_moves ? 0 : c * it->units),
                          in_moves ? it[-1].first_unit + c : -1};
    *at++ = (feature){bias, -1};
    for (int o = 0; o < it->outputs; o++)
        *at++ = (feature){bias + it->units + (out_moves ? 0 : o * it->units),
                          out_moves ? it[1].first_unit + o : -1};
}

pv_status pv_matcher_new(const pv_arch *arch, const pv_match_opts *opts, pv_matcher **out)
{
    int widest = 1, most = 1, first_param = 0;
    pv_status st;
    *out = NULL;
    if (opts->max_sweeps < 1 || opts->starts < 0)
        return pv_fail(
            PV_ERR_CONFIG,
            "weight matching takes at least one sweep and no negative number of starts, not %d and %d",
            opts->max_sweeps, opts->starts);
    pv_matcher *m = pv_alloc(1, sizeof *m);
    if (!m) return PV_ERR_NOMEM;
    m->arch = *arch;
    m->opts = *opts;
    m->hidden = arch->layers - 1;
    m->params = pv_arch_params(arch);
    m->starts = m->hidden < 2 ? 1 : opts->starts > 0 ? opts->starts : usual_starts(m->hidden);
    m->kernels = PV_ISA_CHOOSE(pv_match_kernels);
    for (int l = 0; l < m->hidden; l++) {
        layer *const it = &m->layers[l];
        const int units = arch->dims[l + 1], features = arch->dims[l] + 1 + arch->dims[l + 2];
        *it = (layer){.units = units,
                      .inputs = arch->dims[l],
                      .outputs = arch->dims[l + 2],
                      .features = features,
                      .stride = round_up(units),
                      .first_unit = pv_symmetry_offset(arch, l),
                      .first_param = first_param};
        first_param += (it->inputs + 1) * units;
        PV_TRY(make_layer(it));
        widest = units > widest ? units : widest;
        most = features > most ? features : most;
    }
    PV_ALLOC(m->theirs, m->params + PV_MATCH_LANES);
    PV_ALLOC(m->incoming, m->params + PV_MATCH_LANES);
    PV_ALLOC(m->aligned, m->params);
    PV_ALLOC(m->terms, 2 * most);
    PV_ALLOC(m->chosen, widest);
    for (int l = 0; l < m->hidden; l++)
        find_features(m, l);
    PV_TRY(pv_assign_new(widest, &m->assign));
    PV_TRY(pv_symmetry_make(arch, &m->state));
    PV_TRY(pv_symmetry_make(arch, &m->best));
    *out = m;
    return PV_OK;
done:
    pv_matcher_free(m);
    return st;
}

void pv_matcher_free(pv_matcher *m)
{
    if (!m) return;
    for (int l = 0; l < m->hidden; l++)
        free_layer(&m->layers[l]);
    free(m->theirs);
    free(m->incoming);
    free(m->aligned);
    free(m->terms);
    free(m->chosen);
    pv_assign_free(m->assign);
    pv_symmetry_free(&m->state);
    pv_symmetry_free(&m->best);
    free(m);
}

static void load_mine(pv_matcher *m, const float *a)
{
    for (int l = 0; l < m->hidden; l++) {
        const layer *it = &m->layers[l];
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

static void load_theirs(pv_matcher *m, const float *b)
{
    memcpy(m->theirs, b, sizeof *b * (size_t)m->params);
    for (int l = 0; l < m->hidden; l++) {
        const layer *it = &m->layers[l];
        const float *in = b + it->first_param;
        float *const turned = m->incoming + it->first_param;
        for (int u = 0; u < it->units; u++)
            for (int c = 0; c < it->inputs; c++)
                turned[c * it->units + u] = in[u * it->inputs + c];
    }
}

void pv_match_begin(pv_matcher *m, const float *a, const float *b)
{
    load_mine(m, a);
    load_theirs(m, b);
    pv_symmetry_identity(&m->arch, &m->state);
    for (int l = 0; l < m->hidden; l++)
        m->layers[l].has_values = m->layers[l].start.is_set = m->layers[l].is_settled = false;
}

const pv_symmetry *pv_match_state(const pv_matcher *m)
{
    return &m->state;
}

static pv_match_term term_of(const layer *it, int f, float factor)
{
    return (pv_match_term){it->made_of[f].theirs + it->source[f] * it->units, f, factor};
}

/* Notes how the features stand and lists what has to be added to the values: of a feature that has changed what it is now,
 * less what it was.  Returns the number of terms; *anew: they make up the values alone. */
static int list_terms(pv_matcher *m, int l, bool *anew)
{
    layer *const it = &m->layers[l];
    int count = 0;
    for (int f = 0; f < it->features; f++) {
        const int32_t unit = it->made_of[f].unit, source = unit < 0 ? 0 : m->state.source[unit];
        const int8_t sign = unit < 0 ? 1 : m->state.sign[unit];
        if (it->has_values && source == it->source[f] && sign == it->sign[f]) continue;
        if (it->has_values && it->sign[f] != 0) m->terms[count++] = term_of(it, f, -(float)it->sign[f]);
        it->source[f] = source;
        it->sign[f] = sign;
        if (sign != 0) m->terms[count++] = term_of(it, f, (float)sign);
    }
    *anew = !it->has_values || count > it->features;
    if (!*anew) return count;
    count = 0;
    for (int f = 0; f < it->features; f++)
        if (it->sign[f] != 0) m->terms[count++] = term_of(it, f, (float)it->sign[f]);
    return count;
}

/* Takes the assignment over; returns whether a unit has moved. */
static bool take_columns(pv_matcher *m, int l)
{
    const layer *it = &m->layers[l];
    int32_t *const source = m->state.source + it->first_unit;
    int8_t *const sign = m->state.sign + it->first_unit;
    bool moved = false;
    for (int u = 0; u < it->units; u++) {
        const int32_t from = it->start.columns[u];
        const int8_t now = m->opts.signs && it->values[u * it->stride + from] < 0 ? -1 : 1;
        moved = moved || source[u] != from || sign[u] != now;
        source[u] = from;
        sign[u] = now;
    }
    return moved;
}

/* The values of the pairs that the layer's part of the state makes. */
static double value_of_state(const pv_matcher *m, int l)
{
    const layer *it = &m->layers[l];
    const int begin = it->first_unit;
    double sum = 0;
    for (int u = 0; u < it->units; u++)
        sum += m->state.sign[begin + u] * (double)it->values[u * it->stride + m->state.source[begin + u]];
    return sum;
}

double pv_match_visit(pv_matcher *m, int l)
{
    layer *const it = &m->layers[l];
    bool anew;
    const int terms = list_terms(m, l, &anew);
    m->kernels->add(it->units, it->stride, it->features, it->mine, terms, m->terms, anew, it->values);
    it->has_values = it->is_settled = true;
    const double before = value_of_state(m, l);
    const double after =
        pv_assign_max_again(m->assign, it->units, it->values, it->stride, m->opts.signs, &it->start);
    if (isnan(after) || !take_columns(m, l)) return 0;
    if (l > 0) m->layers[l - 1].is_settled = false;
    if (l + 1 < m->hidden) m->layers[l + 1].is_settled = false;
    return after - before;
}

static void swap_ints(int *a, int *b)
{
    const int kept = *a;
    *a = *b;
    *b = kept;
}

/* A random order of the hidden layers. */
static void draw_order(pv_rng *rng, int count, int *order)
{
    for (int l = 0; l < count; l++)
        order[l] = l;
    for (int l = count - 1; l > 0; l--) {
        swap_ints(&order[l], &order[pv_rng_below(rng, (uint64_t)l + 1)]);
    }
}

static double objective_of_state(const pv_matcher *m, const float *a)
{
    pv_symmetry_apply(&m->arch, &m->state, m->theirs, m->aligned);
    return pv_match_objective(&m->arch, a, m->aligned);
}

static void unsettle(pv_matcher *m)
{
    for (int l = 0; l < m->hidden; l++)
        m->layers[l].is_settled = false;
}

/* Sweeps over the layers from a state of this `objective`, the first sweep from layer `first` unless that is -1, until
 * nothing is gained or there is little hope of `best`.  A layer whose neighbours stand as they stood need not be visited. */
static pv_match_result descend(pv_matcher *m, double objective, int first, double best, pv_rng *rng)
{
    int order[PV_INR_MAX_LAYERS], visits = 0, sweeps = 0;
    double stood[PV_INR_MAX_LAYERS]; /* the objective before each of the last visits */
    for (bool gains = true; gains && sweeps < m->opts.max_sweeps; sweeps++) {
        const double begin = objective;
        draw_order(rng, m->hidden, order);
        for (int i = 0; first >= 0 && i < m->hidden; i++)
            if (order[i] == first) swap_ints(&order[i], &order[0]);
        first = -1;
        for (int i = 0; i < m->hidden; i++) {
            if (m->layers[order[i]].is_settled) continue;
            stood[visits++ % m->hidden] = objective;
            objective += pv_match_visit(m, order[i]);
            if (visits < m->hidden) continue;
            const double latest = objective - stood[visits % m->hidden];
            if (objective + latest + HOPE * fabs(objective) < best)
                return (pv_match_result){objective, sweeps};
        }
        gains = objective - begin > LEAST_GAIN * fabs(objective);
    }
    return (pv_match_result){objective, sweeps};
}

/* Moves half of the units of one layer round: far enough to leave a local optimum, near enough to find a better
 * one.  Only the neighbours have to be looked at again. */
static void kick(pv_matcher *m, pv_rng *rng)
{
    const int l = (int)pv_rng_below(rng, (uint64_t)m->hidden), units = m->layers[l].units;
    const int moved = (units + 1) / 2;
    int32_t *const source = m->state.source + m->layers[l].first_unit, *const chosen = m->chosen;
    for (int u = 0; u < units; u++)
        chosen[u] = u;
    for (int i = 0; i < moved; i++) {
        const int other = i + (int)pv_rng_below(rng, (uint64_t)(units - i));
        const int32_t kept = chosen[i];
        chosen[i] = chosen[other];
        chosen[other] = kept;
        if (i == 0) continue;
        const int32_t unit = source[chosen[i]];
        source[chosen[i]] = source[chosen[i - 1]];
        source[chosen[i - 1]] = unit;
    }
    for (int i = 0; i < m->hidden; i++)
        m->layers[i].is_settled = m->hidden > 1 && i != l - 1 && i != l + 1;
}

/* Assigns the layers in order, each by what is fixed and the layers before it: those after it count for nothing yet.  The
 * order that B has them in, which has no meaning, would be taken for knowledge otherwise. */
static void assign_forward(pv_matcher *m)
{
    const int units = pv_symmetry_units(&m->arch);
    for (int u = 0; u < units; u++)
        m->state.sign[u] = 0;
    for (int l = 0; l < m->hidden; l++)
        pv_match_visit(m, l);
    for (int u = 0; u < units; u++) /* rows so large that no value is finite */
        if (m->state.sign[u] == 0) m->state.sign[u] = 1;
}

/* The descent with this number, 0 the first, from the best state so far in `best`. */
static pv_match_result start_descent(pv_matcher *m, const float *a, int number, const pv_match_result *best,
                                     const pv_symmetry *state, pv_rng *rng)
{
    if (number == 0) {
        assign_forward(m);
        return descend(m, objective_of_state(m, a), -1, -INFINITY, rng);
    }
    if (number <= m->hidden) {
        pv_symmetry_identity(&m->arch, &m->state);
        unsettle(m);
        return descend(m, pv_match_objective(&m->arch, a, m->theirs), number - 1, best->objective, rng);
    }
    pv_symmetry_copy(&m->arch, state, &m->state);
    kick(m, rng);
    return descend(m, objective_of_state(m, a), -1, best->objective, rng);
}

pv_match_result pv_match(pv_matcher *m, const float *a, const float *b, pv_rng *rng, pv_symmetry *out)
{
    pv_match_result best = {-INFINITY, 0};
    pv_match_begin(m, a, b);
    for (int number = 0; number < m->starts; number++) {
        const pv_match_result found = start_descent(m, a, number, &best, out, rng);
        if (number > 0 && !(found.objective > best.objective)) continue;
        best = found;
        pv_symmetry_copy(&m->arch, &m->state, out);
    }
    pv_symmetry_copy(&m->arch, out, &m->state);
    best.objective = objective_of_state(m, a);
    return best;
}

pv_match_result pv_match_row(pv_matcher *m, const float *a, const float *b, pv_rng *rng, float *out_row)
{
    const pv_match_result result = pv_match(m, a, b, rng, &m->best);
    pv_symmetry_apply(&m->arch, &m->best, m->theirs, out_row);
    return result;
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

static void mean_without(const double *sum, const float *row, double count, int params, float *mean)
{
    for (int p = 0; p < params; p++)
        mean[p] = (float)((sum[p] - (row ? (double)row[p] : 0)) / count);
}

static void add_row(double *sum, const float *row, double factor, int params)
{
    for (int p = 0; p < params; p++)
        sum[p] += factor * (double)row[p];
}

pv_status pv_match_to_mean(pv_matcher *m, int64_t n, int passes, pv_rng *rng, float *rows, float *mean)
{
    double *sum = NULL;
    pv_status st;
    PV_ALLOC(sum, m->params);
    st = PV_OK;
    for (int pass = 0; pass < passes; pass++)
        for (int64_t i = 0; i < n; i++) {
            float *const row = rows + i * m->params;
            const double others = pass > 0 ? (double)n - 1 : (double)i;
            if (others > 0) {
                mean_without(sum, pass > 0 ? row : NULL, others, m->params, mean);
                if (pass > 0) add_row(sum, row, -1, m->params);
                pv_match_row(m, mean, row, rng, row);
            }
            if (pass == 0 || others > 0) add_row(sum, row, 1, m->params);
        }
    if (n > 0) mean_without(sum, NULL, (double)n, m->params, mean);
done:
    free(sum);
    return st;
}
