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
    PV_TAKE(memory, PV_SCALEGMN_PARTS * values, &w->even, &w->deven);
    PV_TAKE(memory, values, &w->factor, &w->odd);
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
    pv_scalegmn_drop(w, place, 0, values, h->after);
    if (place->backward) pv_scalegmn_drop(w, place, 0, values, h->slope);
}

static void deactivate(const pv_scalegmn_work *w, const pv_packed_norm *norm, const pv_scalegmn_hidden *h,
                       int64_t rows)
{
    w->kernels->multiply(rows * w->width, h->slope, h->dafter);
    pv_packed_norm_backward(norm, rows, h->before, h->dafter);
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
    deactivate(w, &mlp->norm, &w->plain, rows);
}

static void mlp_forward(const pv_scalegmn_work *w, const pv_scalegmn_mlp *mlp, int64_t rows,
                        const pv_scalegmn_place *place, const pv_real *x, pv_real *y)
{
    pv_packed_forward(&mlp->first, rows, x, false, w->plain.before);
    pv_scalegmn_mlp_finish(w, mlp, rows, place, y);
}

static void mlp_backward(const pv_scalegmn_work *w, const pv_scalegmn_mlp *mlp, int64_t rows,
                         const pv_real *x, const pv_real *dy, pv_real *dx)
{
    pv_scalegmn_mlp_unfinish(w, mlp, rows, dy);
    pv_packed_backward(&mlp->first, rows, x, w->plain.dafter, false, dx);
}

/* ---- even parts ---- */

/* Both share the products: rho's first map of -x is that of x with the other sign but for the bias, and the
 * last map is of the sum. */
void pv_scalegmn_even_forward(const pv_scalegmn_work *w, const pv_scalegmn_mlp *rho, int64_t rows,
                              const pv_scalegmn_place *place, const pv_real *x, pv_real *y)
{
    const pv_scalegmn_hidden *const h = &w->pair;
    const int64_t values = rows * w->width;
    pv_packed_linear unbiased = rho->first;
    unbiased.bias = NULL;
    pv_packed_forward(&unbiased, rows, x, false, h->before);
    for (int64_t i = 0; i < values; i++)
        h->before[values + i] = -h->before[i];
    w->dense->add_row(2 * rows, w->width, 1, rho->first.bias->values, h->before);
    activate(w, &rho->norm, h, 2 * rows, place);
    w->kernels->add(values, h->after + values, h->after);
    pv_packed_forward(&rho->last, rows, h->after, false, y);
    w->dense->add_row(rows, rho->last.out, 1, rho->last.bias->values, y);
}

void pv_scalegmn_even_backward(const pv_scalegmn_work *w, const pv_scalegmn_mlp *rho, int64_t rows,
                               const pv_real *x, const pv_real *dy, bool add, pv_real *dx)
{
    const pv_scalegmn_hidden *const h = &w->pair;
    const int64_t values = rows * w->width;
    pv_packed_linear unbiased = rho->first;
    unbiased.bias = NULL;
    pv_packed_backward(&rho->last, rows, h->after, dy, false, h->dafter);
    w->dense->sum_rows(rows, rho->last.out, 1, dy, rho->last.bias->gradients);
    memcpy(h->dafter + values, h->dafter, sizeof *dy * (size_t)values);
    deactivate(w, &rho->norm, h, 2 * rows);
    w->dense->sum_rows(2 * rows, w->width, 1, h->dafter, rho->first.bias->gradients);
    for (int64_t i = 0; i < values; i++)
        h->dafter[i] -= h->dafter[values + i];
    pv_packed_backward(&unbiased, rows, x, h->dafter, add, dx);
}

/* ---- invariants ---- */

pv_scalegmn_invariant pv_scalegmn_invariant_new(const pv_scalegmn_work *w, const char *name, int in)
{
    char full[NAME];
    pv_scalegmn_invariant g = {.phi = {.first = {0}}};
    snprintf(full, sizeof full, "%.64s.phi", name);
    g.phi = pv_scalegmn_mlp_new(w, full, in, 1);
    snprintf(full, sizeof full, "%.64s.rho", name);
    g.rho = pv_scalegmn_mlp_new(w, full, in, in);
    return g;
}

void pv_scalegmn_invariant_forward(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g, int64_t rows,
                                   const pv_scalegmn_place *place, const pv_real *x, pv_real *y)
{
    pv_scalegmn_place behind = *place;
    behind.site++;
    pv_scalegmn_even_forward(w, &g->rho, rows, place, x, w->even);
    mlp_forward(w, &g->phi, rows, &behind, w->even, y);
}

void pv_scalegmn_invariant_backward(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g, int64_t rows,
                                    const pv_real *x, const pv_real *dy, bool add, pv_real *dx)
{
    mlp_backward(w, &g->phi, rows, w->even, dy, w->deven);
    pv_scalegmn_even_backward(w, &g->rho, rows, x, w->deven, add, dx);
}

double pv_scalegmn_invariant_flops(const pv_scalegmn_work *w, const pv_scalegmn_invariant *g)
{
    const double parts = (double)(2 * (g->rho.first.in / w->width) + g->phi.first.in / w->width + 1);
    return 2 * parts * w->features * w->features;
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

void pv_scalegmn_map_forward(const pv_scalegmn_work *w, const pv_scalegmn_map *map, pv_scalegmn_role role,
                             int64_t rows, const pv_scalegmn_place *place, const pv_real *x, pv_real *y)
{
    if (role != PV_SCALEGMN_HIDDEN) {
        mlp_forward(w, &map->other[role], rows, place, x, y);
        return;
    }
    pv_scalegmn_invariant_forward(w, &map->invariant, rows, place, x, w->factor);
    pv_packed_forward(&map->odd, rows, x, false, y);
    w->kernels->multiply(rows * w->width, w->factor, y);
}

void pv_scalegmn_map_backward(const pv_scalegmn_work *w, const pv_scalegmn_map *map, pv_scalegmn_role role,
                              int64_t rows, const pv_scalegmn_place *place, const pv_real *x, pv_real *dy,
                              pv_real *dx)
{
    const int64_t values = rows * w->width;
    if (role != PV_SCALEGMN_HIDDEN) {
        mlp_forward(w, &map->other[role], rows, place, x, w->factor);
        mlp_backward(w, &map->other[role], rows, x, dy, dx);
        return;
    }
    pv_scalegmn_invariant_forward(w, &map->invariant, rows, place, x, w->factor);
    pv_packed_forward(&map->odd, rows, x, false, w->odd);
    w->kernels->multiply(values, dy, w->odd);    /* of the factor */
    w->kernels->multiply(values, w->factor, dy); /* of the linear map */
    pv_packed_backward(&map->odd, rows, x, dy, false, dx);
    pv_scalegmn_invariant_backward(w, &map->invariant, rows, x, w->odd, true, dx);
}

double pv_scalegmn_map_flops(const pv_scalegmn_work *w, const pv_scalegmn_map *map, pv_scalegmn_role role)
{
    const double square = 2.0 * w->features * w->features;
    if (role != PV_SCALEGMN_HIDDEN) return square * (1 + map->odd.in / w->width);
    return square * (map->odd.in / w->width) + pv_scalegmn_invariant_flops(w, &map->invariant);
}
