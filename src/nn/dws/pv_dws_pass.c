/* What a DWS layer's pass does with words: copies of margins, joint products, and the sweeps with theirs. */
#include "pv_dws_pass.h"

#include <string.h>

bool pv_dws_pass_can(const pv_dws_layer_opts *opts)
{
    const bool whole = opts->out % PV_WORDS_GROUP == 0 && (opts->in == 1 || opts->in % PV_WORDS_GROUP == 0);
    return PV_ISA_CHOOSE(pv_words_kernels)->pack && whole && opts->fc_layers == 1 &&
           opts->set_layer == PV_SET_DS && opts->reduction == PV_POOL_MAX && !opts->skip;
}

/* Whether a list has one row a sample.  Of so few the gradients of weights are left until all samples have
 * passed, for a square takes 32. */
static bool is_late(const pv_dws_map *list)
{
    return list->positions == 1;
}

/* Takes the form of one end of a list, of rows of `width`, and what is gathered for it. */
static void take_form(const pv_dws_map *list, int width, int max_count, int max_batch, pv_memory *memory,
                      pv_real **form, pv_real **late)
{
    if (!list) return;
    const int64_t rows = (int64_t)(is_late(list) ? max_batch : max_count) * list->positions;
    PV_TAKE(memory, pv_words_whole(rows) * width / 2, form);
    if (is_late(list)) PV_TAKE(memory, rows * width / 2, late);
}

static void reserve_forms(pv_dws_layer *layer, int max_count, int max_batch, pv_memory *memory)
{
    pv_dws_narrow *narrow = &layer->narrow;
    const int in = layer->opts.in, out = layer->opts.out;
    int widest = 0;
    for (int m = 0; m < layer->count; m++) {
        widest = layer->maps[m].in > widest ? layer->maps[m].in : widest;
        widest = layer->maps[m].out > widest ? layer->maps[m].out : widest;
    }
    const int64_t spare = (int64_t)PV_WORDS_SPARE * widest;
    if (layer->picks) PV_TAKE(memory, (int64_t)max_count * out * out / 2 + spare, &narrow->picked);
    for (int margin = 0; margin < PV_MARGIN_COUNT; margin++) {
        const int64_t entries = layer->space->total[margin] * max_count;
        PV_TAKE(memory, entries * in / 2 + spare, &narrow->x[margin]);
        PV_TAKE(memory, entries * out / 2 + spare, &narrow->dy[margin]);
        for (int t = 0; t < layer->space->tensors; t++) {
            const pv_dws_map *from = layer->from[t][margin], *into = layer->into[t][margin];
            take_form(from, from ? from->in : 0, max_count, max_batch, memory, &narrow->pairs[t][margin],
                      &narrow->late_x[t][margin]);
            take_form(into, into ? into->out : 0, max_count, max_batch, memory, &narrow->turned[t][margin],
                      &narrow->late_dy[t][margin]);
        }
    }
}

void pv_dws_pass_reserve(pv_dws_layer *layer, int max_count, int max_batch)
{
    pv_memory *memory = layer->params->memory;
    layer->narrow.own = layer->params->squares;
    layer->narrow.words = PV_ISA_CHOOSE(pv_words_kernels);
    layer->narrow.kernels = PV_ISA_CHOOSE(pv_dws_narrow_kernels);
    layer->narrow.back = PV_ISA_CHOOSE(pv_dws_narrow_back_kernels);
    if (layer->opts.in == 1) return;
    reserve_forms(layer, max_count, max_batch, memory);
    for (pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++) {
        const int64_t values = (int64_t)map->in * map->out;
        PV_TAKE(memory, values / 2, &map->forward_pairs, &map->backward_pairs);
        PV_TAKE(memory, values, &map->raw);
    }
}

void pv_dws_pass_pack(pv_dws_layer *layer)
{
    pv_dws_layer_pack(layer);
    if (layer->kept != PV_DWS_WORDS) return;
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++) {
        layer->narrow.words->pack_pairs(map->in, map->out, map->forward, map->forward_pairs);
        layer->narrow.words->pack_pairs(map->out, map->in, map->backward, map->backward_pairs);
    }
}

/* Copies margins, and tensors of a set that are floats, as words. */
static void copy_as_words(const pv_dws_layer *layer, const pv_dws_margins *margins, int count,
                          const pv_real *set, pv_real *const *words)
{
    const pv_dws_space *space = layer->space;
    const int f = margins->features;
    for (int margin = PV_MARGIN_ROW; margin < PV_MARGIN_COUNT; margin++)
        layer->narrow.words->pack(space->total[margin] * count * f, margins->pooled[margin], words[margin]);
    for (int t = 0; t < space->tensors; t++) {
        const int64_t at = pv_dws_at(space, t, PV_MARGIN_FULL, count, 0, f);
        if (!layer->entrywise[t])
            layer->narrow.words->pack(pv_dws_entries(space, t, PV_MARGIN_FULL) * count * f, set + at,
                                      words[PV_MARGIN_FULL] + at / 2);
    }
}

/* The copy of one margin. */
static pv_real *copy_of(const pv_dws_layer *layer, int tensor, pv_dws_margin margin, int count, int f,
                        pv_real *const *words)
{
    return words[margin] + pv_dws_at(layer->space, tensor, margin, count, 0, f) / 2;
}

static void joint_forward(pv_dws_layer *layer, const pv_dws_map *first, int count, pv_real *y)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    pv_words_term terms[PV_DWS_JOINT_MAX];
    int n = 0;
    for (const pv_dws_map *map = first; map; map = map->next_into)
        terms[n++] = (pv_words_term){copy_of(layer, map->source, map->from, count, layer->opts.in, narrow->x),
                                     map->forward_pairs, map->in};
    narrow->words->product(narrow->own, (int64_t)count * first->positions, first->out, n, terms,
                           first->to != PV_MARGIN_FULL,
                           pv_dws_spread_to(&layer->target, count, first->target, first->to, y));
}

void pv_dws_pass_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y,
                         const pv_dws_moments *moments)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    const int tensors = layer->space->tensors;
    if (layer->kept != PV_DWS_WORDS) {
        pv_dws_layer_forward(layer, count, x, y, moments);
        return;
    }
    pv_dws_layer_start(layer, count);
    copy_as_words(layer, &layer->source, count, x, narrow->x);
    for (int t = 0; t < tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++)
            if (layer->into[t][margin]) joint_forward(layer, layer->into[t][margin], count, y);
    for (int t = 0; t < tensors; t++) {
        const pv_dws_map *map = layer->entrywise[t];
        pv_dws_narrow_product product = {.own = narrow->own};
        if (map) {
            product.terms = map->in;
            product.x = x + pv_dws_at(layer->space, t, PV_MARGIN_FULL, count, 0, layer->opts.in);
            product.w = map->forward_pairs;
        }
        pv_dws_layer_combine(layer, count, t, &product, true, y, moments);
    }
}

void pv_dws_pass_backward_begin(pv_dws_layer *layer)
{
    pv_dws_layer_backward_begin(layer);
    if (layer->kept != PV_DWS_WORDS) return;
    layer->narrow.late = 0;
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++)
        memset(map->raw, 0, sizeof *map->raw * (size_t)map->in * (size_t)map->out);
}

/* Adds to the gradients of the maps of a list, whose forms are there. */
static void weights_backward(pv_dws_layer *layer, const pv_dws_map *first, int64_t rows)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    for (const pv_dws_map *map = first; map; map = map->next_from)
        narrow->words->outer(narrow->own, map->out, map->in, rows, narrow->turned[map->target][map->to],
                             narrow->pairs[map->source][map->from], map->raw);
}

/* The lists that were left until all samples have passed. */
static void late_backward(pv_dws_layer *layer)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    for (int t = 0; t < layer->space->tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++) {
            const pv_dws_map *from = layer->from[t][margin], *into = layer->into[t][margin];
            if (from && is_late(from))
                narrow->words->pair(narrow->late, from->in, narrow->late_x[t][margin],
                                    narrow->pairs[t][margin]);
            if (into && is_late(into))
                narrow->words->turn(narrow->late, into->out, narrow->late_dy[t][margin],
                                    narrow->turned[t][margin]);
        }
    for (int t = 0; t < layer->space->tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++) {
            const pv_dws_map *first = layer->from[t][margin];
            if (first && is_late(first)) weights_backward(layer, first, narrow->late);
        }
}

void pv_dws_pass_backward_end(pv_dws_layer *layer)
{
    pv_dws_layer_backward_end(layer);
    if (layer->kept != PV_DWS_WORDS) return;
    late_backward(layer);
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++)
        layer->params->kernels->add_row(1, map->in * map->out, (pv_real)map->scale, map->raw,
                                        pv_nn_gradients(layer->params, map->stack.linear[0].weight));
}

/* What products of gradients need of one margin, of the input and of the output's gradient: its form, or, of
 * late lists, the rows themselves. */
static void make_forms(pv_dws_layer *layer, int tensor, pv_dws_margin margin, int count)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    const pv_dws_map *from = layer->from[tensor][margin], *into = layer->into[tensor][margin];
    const pv_real *x = copy_of(layer, tensor, margin, count, layer->opts.in, narrow->x),
                  *dy = copy_of(layer, tensor, margin, count, layer->opts.out, narrow->dy);
    if (from && is_late(from))
        memcpy(narrow->late_x[tensor][margin] + narrow->late * from->in / 2, x,
               sizeof *x * (size_t)(count * from->in / 2));
    else if (from)
        narrow->words->pair((int64_t)count * from->positions, from->in, x, narrow->pairs[tensor][margin]);
    if (into && is_late(into))
        memcpy(narrow->late_dy[tensor][margin] + narrow->late * into->out / 2, dy,
               sizeof *dy * (size_t)(count * into->out / 2));
    else if (into)
        narrow->words->turn((int64_t)count * into->positions, into->out, dy, narrow->turned[tensor][margin]);
}

static void joint_backward(pv_dws_layer *layer, const pv_dws_map *first, int count, pv_real *dx)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    const int64_t rows = (int64_t)count * first->positions;
    pv_words_term terms[PV_DWS_JOINT_MAX];
    int n = 0;
    if (!is_late(first)) weights_backward(layer, first, rows);
    for (const pv_dws_map *map = first; map; map = map->next_from)
        terms[n++] = (pv_words_term){copy_of(layer, map->target, map->to, count, layer->opts.out, narrow->dy),
                                     map->backward_pairs, map->out};
    narrow->words->product(narrow->own, rows, first->in, n, terms, first->from != PV_MARGIN_FULL,
                           pv_dws_spread_to(&layer->source, count, first->source, first->from, dx));
}

/* The entrywise map of a tensor whose output's gradient comes as picks: that of its weight, and in
 * layer->picked_dx those of the entries. */
static void picks_backward(pv_dws_layer *layer, const pv_dws_map *map, const pv_dws_picks *picks,
                           const pv_real *x)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    const int line = map->in / 2;
    for (int64_t i = 0; i < picks->count; i++)
        memcpy(layer->picked_x + i * line, x + picks->entry[i] * line, sizeof *x * (size_t)line);
    narrow->words->pack(picks->count * map->out, picks->dy, narrow->picked);
    narrow->words->outer_words(narrow->own, map->out, map->in, picks->count, narrow->picked, layer->picked_x,
                               map->raw);
    const pv_words_term term = {narrow->picked, map->backward_pairs, map->out};
    narrow->words->product(narrow->own, picks->count, map->in, 1, &term, false, layer->picked_dx);
}

/* The rest of a tensor with an entrywise map. */
static void entrywise_backward(pv_dws_layer *layer, int t, int count, const pv_dws_part *part,
                               const pv_dws_gate *gate, const pv_real *dy, pv_real *dx)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    const pv_dws_map *map = layer->entrywise[t];
    pv_dws_picks picked = {.count = 0};
    const bool picks = layer->picks && layer->picks[t].entry;
    if (picks) {
        picked = layer->picks[t];
        picks_backward(layer, map, &picked, gate->x);
        picked.dy = layer->picked_dx;
    } else {
        narrow->words->outer_words(narrow->own, map->out, map->in, (int64_t)count * map->positions, dy,
                                   gate->x, map->raw);
    }
    const pv_dws_narrow_product product = {
        .own = narrow->own, .terms = map->out, .x = dy, .w = map->backward_pairs};
    narrow->back->deactivate(&part->block, &product, picks ? &picked : NULL, gate, &part->spread, dx);
}

void pv_dws_pass_backward(pv_dws_layer *layer, int count, const pv_real *x, const pv_real *dy, pv_real *dx,
                          const pv_dws_exit *out)
{
    const pv_dws_narrow *narrow = &layer->narrow;
    const int tensors = layer->space->tensors;
    if (layer->kept != PV_DWS_WORDS) {
        pv_dws_layer_backward(layer, count, x, dy, dx, out);
        return;
    }
    pv_dws_layer_biases_backward(layer, count);
    copy_as_words(layer, &layer->source, count, x, narrow->x);
    copy_as_words(layer, &layer->target, count, dy, narrow->dy);
    pv_dws_margins_clear(&layer->source, count);
    for (int t = 0; t < tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++)
            make_forms(layer, t, (pv_dws_margin)margin, count);
    layer->narrow.late += count;
    for (int t = 0; t < tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++)
            if (layer->from[t][margin]) joint_backward(layer, layer->from[t][margin], count, dx);
    for (int t = 0; t < tensors; t++) {
        const pv_dws_part part = pv_dws_part_of(&layer->source, count, t);
        pv_dws_gate gate = pv_dws_layer_gate(&part, t, x, out);
        pv_dws_settle(&layer->source, &part);
        if (layer->entrywise[t]) {
            gate.best.row = copy_of(layer, t, PV_MARGIN_ROW, count, layer->opts.in, narrow->x);
            gate.best.col = copy_of(layer, t, PV_MARGIN_COL, count, layer->opts.in, narrow->x);
            entrywise_backward(layer, t, count, &part, &gate, dy + part.at, dx + part.at);
        } else {
            layer->source.back->deactivate(&part.block, &gate, &part.spread, dx + part.at);
        }
    }
}
