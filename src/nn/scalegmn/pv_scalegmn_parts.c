/* Perceptrons, their even parts, and maps that are odd in hidden units. */
#include "pv_scalegmn_parts.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 96 };

void pv_scalegmn_work_reserve(pv_scalegmn_work *w)
{
    const int64_t values = (int64_t)PV_SCALEGMN_ROWS * w->width;
    pv_memory *const memory = w->set->memory;
    PV_TAKE(memory, 2 * values, &w->pair.before, &w->pair.after, &w->pair.slope, &w->pair.dafter);
    PV_TAKE(memory, values, &w->plain.before, &w->plain.after, &w->plain.slope, &w->plain.dafter);
    PV_TAKE(memory, PV_DROPOUT_DRAWS(2 * values), &w->draws);
    PV_TAKE(memory, values, &w->first, &w->dfirst, &w->odd, &w->dodd, &w->factor);
}

void pv_scalegmn_drop(const pv_scalegmn_work *w, const pv_scalegmn_place *place, int site, int64_t n,
                      pv_real *x)
{
    pv_dropout_apply(&w->dropout, place->pass, place->site + site, place->sample, n, x);
}

/* ---- perceptrons ---- */

/* `parts` times the features, each padded on its own. */
static const int *parts_map(const pv_scalegmn_work *w, int parts)
{
    int *map = pv_take(w->set->memory, (int64_t)parts * w->width, sizeof *map);
    for (int i = 0; map && i < parts * w->width; i++)
        map[i] = i % w->width < w->features ? i / w->width * w->features + i % w->width : -1;
    return map;
}

static pv_packed_linear linear_new(const pv_scalegmn_work *w, const char *name, int in, int out, bool bias)
{
    const pv_linear linear =
        pv_linear_new(w->set->params, name, in * w->features, out * w->features, bias, PV_LINEAR_PYTORCH);
    return pv_packed_linear_new(w->set, &linear, in * w->width, parts_map(w, in), out * w->width,
                                parts_map(w, out));
}

pv_scalegmn_mlp pv_scalegmn_mlp_new(const pv_scalegmn_work *w, const char *name, int in, int out)
{
    char full[NAME];
    pv_scalegmn_mlp mlp = {.first = {0}};
    snprintf(full, sizeof full, "%.64s.fc.0", name);
    mlp.first = linear_new(w, full, in, 1, true);
    if (out) {
        snprintf(full, sizeof full, "%.64s.fc.1", name);
        mlp.last = linear_new(w, full, 1, out, true);
    }
    snprintf(full, sizeof full, "%.64s.ln.0", name);
    mlp.norm = pv_packed_norm_add(w->set, full, w->features, true);
    return mlp;
}

static void activate(const pv_scalegmn_work *w, const pv_packed_norm *norm, const pv_scalegmn_hidden *h,
                     int64_t rows, const pv_scalegmn_place *place)
{
    const int64_t values = rows * w->width;
    pv_packed_norm_forward(norm, rows, h->before, h->after);
    w->kernels->silu_slope(values, h->after, h->after, h->slope);
    if (!place->pass->training || w->dropout.rate <= 0) return;
    const pv_real scale = (pv_real)pv_dropout_scale(&w->dropout);
    const uint32_t keep = pv_dropout_threshold(&w->dropout);
    pv_dropout_draw(place->pass, place->site, place->sample, values, w->draws);
    w->dense->dropout(values, w->draws, keep, scale, h->after);
    if (place->backward) w->dense->dropout(values, w->draws, keep, scale, h->slope);
}

void pv_scalegmn_mlp_finish(const pv_scalegmn_work *w, const pv_scalegmn_mlp *mlp, int64_t rows,
                            const pv_scalegmn_place *place, pv_real *y)
{
    activate(w, &mlp->norm, &w->plain, rows, place);
    if (mlp->last.weight) pv_packed_forward(&mlp->last, rows, w->plain.after, false, y);
}

void pv_scalegmn_mlp_unfinish(const pv_scalegmn_work *w, const pv_scalegmn_mlp *mlp, int64_t rows,
                              const pv_real *dy)
{
    if (mlp->last.weight) pv_packed_backward(&mlp->last, rows, w->plain.after, dy, false, w->plain.dafter);
    w->kernels->multiply(rows * w->width, w->plain.slope, w->plain.dafter);
    pv_packed_norm_backward(&mlp->norm, rows, w->plain.before, w->plain.dafter);
}

static pv_packed_linear without_bias(const pv_packed_linear *linear)
{
    pv_packed_linear unbiased = *linear;
    unbiased.bias = NULL;
    return unbiased;
}

/* ---- even parts ---- */

/* Both signs share the products: rho's first map of -x is that of x with the other sign but for the bias, and
 * the last map is of the sum.  From w->first to that sum, in pair.after. */
static void even_run(const pv_scalegmn_work *w, const pv_scalegmn_mlp *rho, int64_t rows,
                     const pv_scalegmn_place *place)
{
    const pv_scalegmn_hidden *const h = &w->pair;
    const int64_t values = rows * w->width;
    w->kernels->both_signs(rows, w->width, w->first, rho->first.bias->values, h->before);
    activate(w, &rho->norm, h, 2 * rows, place);
    w->kernels->add(values, h->after + values, h->after);
}

/* From the sum's gradient in pair.dafter to w->dfirst. */
static void even_run_back(const pv_scalegmn_work *w, const pv_scalegmn_mlp *rho, int64_t rows)
{
    pv_real *const d = w->pair.dafter;
    const int64_t values = rows * w->width;
    w->kernels->multiply_both(values, w->pair.slope, d);
    pv_packed_norm_backward(&rho->norm, 2 * rows, w->pair.before, d);
    w->dense->sum_rows(2 * rows, w->width, 1, d, rho->first.bias->gradients);
    for (int64_t i = 0; i < values; i++)
        w->dfirst[i] = d[i] - d[values + i];
}

void pv_scalegmn_even_forward(const pv_scalegmn_work *w, const pv_scalegmn_mlp *rho, int64_t rows,
                              const pv_scalegmn_place *place, const pv_real *x, pv_real *y)
{
    const pv_packed_linear first = without_bias(&rho->first);
    pv_packed_forward(&first, rows, x, false, w->first);
    even_run(w, rho, rows, place);
    pv_packed_forward(&rho->last, rows, w->pair.after, false, y);
    w->dense->add_row(rows, rho->last.out, 1, rho->last.bias->values, y);
}

void pv_scalegmn_even_backward(const pv_scalegmn_work *w, const pv_scalegmn_mlp *rho, int64_t rows,
                               const pv_real *x, const pv_real *dy, bool add, pv_real *dx)
{
    const pv_packed_linear first = without_bias(&rho->first);
    pv_packed_backward(&rho->last, rows, w->pair.after, dy, false, w->pair.dafter);
    w->dense->sum_rows(rows, rho->last.out, 1, dy, rho->last.bias->gradients);
    even_run_back(w, rho, rows);
    pv_packed_backward(&first, rows, x, w->dfirst, add, dx);
}

/* ---- invariants ---- */

static pv_packed *joint_new(const pv_scalegmn_work *w, int rows, int cols)
{
    pv_packed *const p = pv_take(w->set->memory, 1, sizeof *p);
    if (!p) return NULL;
    *p = (pv_packed){.rows = rows, .cols = cols};
    PV_TAKE(w->set->memory, (int64_t)rows * cols, &p->values, &p->transposed, &p->gradients);
    return p;
}

pv_scalegmn_invariant pv_scalegmn_invariant_new(const pv_scalegmn_work *w, const char *name, int in)
{
    char full[NAME];
    pv_scalegmn_invariant g = {.joint = {.kernels = w->dense, .in = w->width, .out = w->width}};
    snprintf(full, sizeof full, "%.64s.phi", name);
    g.phi = pv_scalegmn_mlp_new(w, full, in, 1);
    snprintf(full, sizeof full, "%.64s.rho", name);
    g.rho = pv_scalegmn_mlp_new(w, full, in, in);
    g.joint.weight = joint_new(w, w->width, w->width);
    g.joint.bias = joint_new(w, 1, w->width);
    return g;
}

/* P (C s + 2 c) + p = (P C) s + (2 P c + p). */
void pv_scalegmn_invariant_join(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g)
{
    const pv_packed *const p = g->phi.first.weight, *const c = g->rho.last.weight;
    pv_packed *const joint = g->joint.weight;
    const pv_product_term term = pv_product_of(p->values, c->values, w->width, p->cols);
    w->dense->matrix->product(w->width, w->width, 1, &term, 0, joint->values);
    w->dense->matrix->transpose(w->width, w->width, joint->values, w->width, joint->transposed, w->width);
    for (int i = 0; i < w->width; i++) {
        pv_real sum = 0;
        for (int k = 0; k < p->cols; k++)
            sum += p->values[(int64_t)i * p->cols + k] * g->rho.last.bias->values[k];
        g->joint.bias->values[i] = g->phi.first.bias->values[i] + 2 * sum;
    }
}

void pv_scalegmn_invariant_clear(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g)
{
    const size_t width = (size_t)w->width;
    memset(g->joint.weight->gradients, 0, sizeof(pv_real) * width * width);
    memset(g->joint.bias->gradients, 0, sizeof(pv_real) * width);
}

void pv_scalegmn_invariant_part(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g)
{
    const pv_packed *const p = g->phi.first.weight, *const c = g->rho.last.weight;
    const pv_real *const dbias = g->joint.bias->gradients, *const cbias = g->rho.last.bias->values;
    const pv_product_term term = pv_product_of(g->joint.weight->gradients, c->transposed, p->cols, w->width);
    w->dense->matrix->product(w->width, p->cols, 1, &term, 1, p->gradients);
    w->dense->matrix->outer(p->cols, w->width, w->width, PV_OUTER_BLOCK, 1, p->values,
                            g->joint.weight->gradients, c->gradients);
    for (int i = 0; i < w->width; i++) {
        const int64_t row = (int64_t)i * p->cols;
        w->dense->add_row(1, p->cols, 2 * dbias[i], cbias, p->gradients + row);
        w->dense->add_row(1, p->cols, 2 * dbias[i], p->values + row, g->rho.last.bias->gradients);
        g->phi.first.bias->gradients[i] += dbias[i];
    }
}

/* From w->first on. */
static void invariant_run(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g, int64_t rows,
                          const pv_scalegmn_place *place, pv_real *y)
{
    pv_scalegmn_place behind = *place;
    behind.site++;
    even_run(w, &g->rho, rows, place);
    pv_packed_forward(&g->joint, rows, w->pair.after, false, w->plain.before);
    pv_scalegmn_mlp_finish(w, &g->phi, rows, &behind, y);
}

/* To w->dfirst. */
static void invariant_run_back(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g, int64_t rows,
                               const pv_real *dy)
{
    pv_scalegmn_mlp_unfinish(w, &g->phi, rows, dy);
    pv_packed_backward(&g->joint, rows, w->pair.after, w->plain.dafter, false, w->pair.dafter);
    even_run_back(w, &g->rho, rows);
}

void pv_scalegmn_invariant_forward(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g, int64_t rows,
                                   const pv_scalegmn_place *place, const pv_real *x, pv_real *y)
{
    const pv_packed_linear first = without_bias(&g->rho.first);
    pv_packed_forward(&first, rows, x, false, w->first);
    invariant_run(w, g, rows, place, y);
}

void pv_scalegmn_invariant_backward(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g, int64_t rows,
                                    const pv_real *x, const pv_real *dy, pv_real *dx)
{
    const pv_packed_linear first = without_bias(&g->rho.first);
    invariant_run_back(w, g, rows, dy);
    pv_packed_backward(&first, rows, x, w->dfirst, false, dx);
}

/* rho's first map, the joint one, phi's last. */
double pv_scalegmn_invariant_flops(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g)
{
    return 2.0 * w->features * w->features * (g->rho.first.in / w->width + 2);
}

/* ---- maps ---- */

pv_scalegmn_map pv_scalegmn_map_new(const pv_scalegmn_work *w, const char *name, int in, bool inputs,
                                    bool outputs)
{
    char full[NAME];
    pv_scalegmn_map map = {.odd = {0}};
    snprintf(full, sizeof full, "%.64s.eq_layers.0.W", name);
    map.odd = linear_new(w, full, in, 1, false);
    snprintf(full, sizeof full, "%.64s.eq_layers.0.g.g1", name);
    map.invariant = pv_scalegmn_invariant_new(w, full, in);
    snprintf(full, sizeof full, "%.64s.eq_layers_in.0.rho", name);
    if (inputs) map.other[PV_SCALEGMN_INPUT] = pv_scalegmn_mlp_new(w, full, in, 1);
    snprintf(full, sizeof full, "%.64s.eq_layers_last.0.rho", name);
    if (outputs) map.other[PV_SCALEGMN_OUTPUT] = pv_scalegmn_mlp_new(w, full, in, 1);
    return map;
}

static pv_packed_linear first_of(const pv_scalegmn_map *map, pv_scalegmn_role role)
{
    return without_bias(role == PV_SCALEGMN_HIDDEN ? &map->invariant.rho.first : &map->other[role].first);
}

void pv_scalegmn_map_open(const pv_scalegmn_map *map, pv_scalegmn_role role, int64_t rows, const pv_real *x,
                          pv_real *first, pv_real *odd)
{
    const pv_packed_linear linear = first_of(map, role);
    pv_packed_forward(&linear, rows, x, false, first);
    if (role == PV_SCALEGMN_HIDDEN) pv_packed_forward(&map->odd, rows, x, false, odd);
}

void pv_scalegmn_map_open_backward(const pv_scalegmn_map *map, pv_scalegmn_role role, int64_t rows,
                                   const pv_real *x, const pv_real *dfirst, const pv_real *dodd, pv_real *dx)
{
    const pv_packed_linear linear = first_of(map, role);
    pv_packed_backward(&linear, rows, x, dfirst, false, dx);
    if (role == PV_SCALEGMN_HIDDEN) pv_packed_backward(&map->odd, rows, x, dodd, true, dx);
}

static void other_run(const pv_scalegmn_work *w, const pv_scalegmn_mlp *mlp, int64_t rows,
                      const pv_scalegmn_place *place, pv_real *y)
{
    memcpy(w->plain.before, w->first, sizeof *y * (size_t)rows * (size_t)w->width);
    w->dense->add_row(rows, w->width, 1, mlp->first.bias->values, w->plain.before);
    pv_scalegmn_mlp_finish(w, mlp, rows, place, y);
}

void pv_scalegmn_map_close(const pv_scalegmn_work *w, const pv_scalegmn_map *map, pv_scalegmn_role role,
                           int64_t rows, const pv_scalegmn_place *place, pv_real *y)
{
    if (role != PV_SCALEGMN_HIDDEN) {
        other_run(w, &map->other[role], rows, place, y);
        return;
    }
    invariant_run(w, &map->invariant, rows, place, y);
    w->kernels->multiply(rows * w->width, w->odd, y);
}

void pv_scalegmn_map_close_backward(const pv_scalegmn_work *w, const pv_scalegmn_map *map,
                                    pv_scalegmn_role role, int64_t rows, const pv_scalegmn_place *place,
                                    const pv_real *dy)
{
    const int64_t values = rows * w->width;
    const size_t bytes = sizeof *dy * (size_t)values;
    if (role != PV_SCALEGMN_HIDDEN) {
        const pv_scalegmn_mlp *const mlp = &map->other[role];
        other_run(w, mlp, rows, place, w->factor);
        pv_scalegmn_mlp_unfinish(w, mlp, rows, dy);
        w->dense->sum_rows(rows, w->width, 1, w->plain.dafter, mlp->first.bias->gradients);
        memcpy(w->dfirst, w->plain.dafter, bytes);
        return;
    }
    invariant_run(w, &map->invariant, rows, place, w->factor);
    memcpy(w->dodd, dy, bytes);
    w->kernels->multiply(values, w->factor, w->dodd);
    w->kernels->multiply(values, dy, w->odd); /* of the factor */
    invariant_run_back(w, &map->invariant, rows, w->odd);
}

/* The joint map and phi's last, or the perceptron's. */
double pv_scalegmn_close_flops(const pv_scalegmn_work *w, pv_scalegmn_role role)
{
    return 2.0 * w->features * w->features * (role == PV_SCALEGMN_HIDDEN ? 2 : 1);
}

double pv_scalegmn_map_flops(const pv_scalegmn_work *w, const pv_scalegmn_map *map, pv_scalegmn_role role)
{
    const double open = (role == PV_SCALEGMN_HIDDEN ? 2.0 : 1.0) * map->odd.in / w->width;
    return 2.0 * w->features * w->features * open + pv_scalegmn_close_flops(w, role);
}
