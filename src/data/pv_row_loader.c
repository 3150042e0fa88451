/* Rows from a store, checked and in their form. */
#include "pv_row_loader.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Objects whose marks, and whose rows, one read takes: rows are worked on while they are in the cache. */
enum { MARKS = 4096, ROWS = 256 };

/* Beyond it no INR computes anything, and one such row would leave nothing of the others when it is
 * normalised with them. */
static const float MOST_WEIGHT = 1e9F;

/* Whether the activation has the symmetries that the form is to remove; an error names the key. */
static pv_status check_form(const pv_row_form *form, const pv_match_opts *match, const pv_arch *arch)
{
    const unsigned kinds = pv_symmetry_kinds(arch);
    const char *name = pv_arch_activation(arch)->plugin.name;
    if (form->opts.canonical & ~kinds)
        return pv_fail(PV_ERR_CONFIG, "train.canonical: the activation of these INRs allows no such form");
    if (match->signs && !(kinds & PV_SYMMETRY_SIGNS))
        return pv_fail(PV_ERR_CONFIG, "train.%s: units of activation %s may not change their signs; give %s",
                       form->opts.align == PV_ALIGN_SIGNED ? "align" : "align_signs", name,
                       form->opts.align == PV_ALIGN_SIGNED ? "permutation" : "false");
    if (match->phases && !(kinds & PV_SYMMETRY_PHASES))
        return pv_fail(PV_ERR_CONFIG, "train.align_phases: units of activation %s have no phases", name);
    return PV_OK;
}

pv_status pv_row_loader_open(pv_row_loader *loader)
{
    const pv_row_form *form = loader->form;
    const pv_arch *arch = pv_store_arch(loader->store);
    pv_status st = PV_OK;
    PV_TRY(pv_symmetry_make(arch, &loader->symmetry));
    if (loader->frames) PV_TRY(pv_matcher_new(arch, &loader->frames->match, &loader->framer));
    if (!form) return PV_OK;
    const pv_match_opts opts = pv_row_form_match(&form->opts);
    PV_TRY(check_form(form, &opts, arch));
    PV_ALLOC(loader->before, form->params);
    if (form->opts.align != PV_ALIGN_NONE) PV_TRY(pv_matcher_new(arch, &opts, &loader->matcher));
done:
    return st;
}

void pv_row_loader_close(pv_row_loader *loader)
{
    free(loader->before);
    pv_symmetry_free(&loader->symmetry);
    pv_matcher_free(loader->matcher);
    pv_matcher_free(loader->framer);
}

/* Returns whether it may have changed the row. */
static bool shape_row(pv_row_loader *loader, int64_t object, int64_t view, float *row)
{
    const pv_row_form *form = loader->form;
    const pv_arch *arch = pv_store_arch(loader->store);
    if (!form) return false;
    const size_t bytes = sizeof *row * (size_t)form->params;
    if (form->opts.canonical != PV_CANONICAL_NONE) {
        memcpy(loader->before, row, bytes);
        pv_symmetry_canonical(arch, loader->before, pv_row_form_canonical(&form->opts), &loader->symmetry);
        pv_symmetry_apply(arch, &loader->symmetry, loader->before, row);
    }
    if (loader->matcher && form->reference) {
        pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, (uint64_t)object, (uint64_t)view);
        memcpy(loader->before, row, bytes);
        pv_match_row(loader->matcher, form->reference, loader->before, &rng, row);
    }
    return form->opts.canonical != PV_CANONICAL_NONE || loader->matcher;
}

/* How many objects from object i of the split on, below `end`, are neighbours in the store: what one read
 * takes. */
static int64_t run_of(const pv_row_loader *loader, int64_t i, int64_t end)
{
    int64_t run = 1;
    while (i + run < end && run < MARKS && loader->ids[i + run] == loader->ids[i] + run)
        run++;
    return run;
}

/* Names the first refused row of the split, and says how many there are. */
static pv_status fail_refused(const pv_row_loader *loader)
{
    int64_t refused = 0, first_view = 0, first_object = 0;
    for (int64_t view = loader->first_view; view < loader->first_view + loader->views; view++)
        for (int64_t i = 0; i < loader->objects;) {
            uint8_t status[MARKS];
            const int64_t run = run_of(loader, i, loader->objects);
            const pv_status st = pv_store_read_status(loader->store, view, loader->ids[i], run, status);
            if (st != PV_OK) return st;
            for (int64_t r = 0; r < run; r++, i++)
                if (status[r] == PV_ROW_REFUSED && refused++ == 0) {
                    first_view = view;
                    first_object = loader->ids[i];
                }
        }
    return pv_fail(PV_ERR_DATA,
                   "'%s': this split holds %lld refused row(s), the first is view %lld of object %lld: fit "
                   "them with a higher fit.restarts and `polyview fit --retry-refused`, or use other views",
                   pv_store_path(loader->store), (long long)refused, (long long)first_view,
                   (long long)first_object);
}

static bool is_wild(const float *row, int params)
{
    int tame = 0;
    for (int i = 0; i < params; i++)
        tame += fabsf(row[i]) <= MOST_WEIGHT;
    return tame < params;
}

/* The frame of a row, behind it. */
static void find_frame(pv_row_loader *loader, int64_t object, int64_t view, float *row)
{
    const pv_arch *arch = pv_store_arch(loader->store);
    pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, (uint64_t)object, (uint64_t)view);
    pv_match(loader->framer, loader->frames->reference, row, &rng, &loader->symmetry);
    pv_frame_pack(arch, &loader->symmetry, row + pv_store_params(loader->store));
}

/* Checks a row, brings it into its form and counts it in: view v of object i of the split. */
static pv_status take_row(pv_row_loader *loader, int64_t v, int64_t i, uint8_t status, uint64_t checksum,
                          float *row)
{
    const size_t bytes = sizeof *row * (size_t)pv_store_params(loader->store);
    const int64_t view = loader->first_view + v, object = loader->ids[i];
    if (status == PV_ROW_REFUSED) return fail_refused(loader);
    if (status != PV_ROW_FITTED)
        return pv_fail(PV_ERR_DATA, "'%s': view %lld of object %lld is not fitted: run `polyview fit` first",
                       pv_store_path(loader->store), (long long)view, (long long)object);
    if (loader->verify && pv_checksum(row, bytes) != checksum)
        return pv_fail(PV_ERR_DATA,
                       "'%s': view %lld of object %lld fails its checksum: see `polyview verify`",
                       pv_store_path(loader->store), (long long)view, (long long)object);
    if (is_wild(row, pv_store_params(loader->store))) {
        const int64_t number = view * pv_store_objects(loader->store) + object;
        if (loader->wild++ == 0 || number < loader->first_wild) loader->first_wild = number;
        return PV_OK;
    }
    const bool changed = shape_row(loader, object, view, row);
    if (loader->frames) find_frame(loader, object, view, row);
    const struct {
        int64_t sample, label;
        uint64_t row;
    } what = {i * loader->views + v, loader->labels[i], changed ? pv_checksum(row, bytes) : checksum};
    loader->identity += pv_checksum(&what, sizeof what);
    return PV_OK;
}

/* Takes rows that lie side by side apart, for their frames. */
static void spread(int64_t count, int64_t params, int64_t stride, float *rows)
{
    for (int64_t r = count - 1; r > 0 && stride > params; r--)
        memmove(rows + r * stride, rows + r * params, sizeof *rows * (size_t)params);
}

/* Reads of the `left` rows of a run as many as one read takes. */
static pv_status read_block(const pv_row_loader *loader, int64_t view, int64_t object, int64_t left,
                            int64_t stride, float *rows)
{
    const int64_t count = left < ROWS ? left : ROWS;
    pv_status st = pv_stop_check();
    if (st == PV_OK) st = pv_store_read_rows(loader->store, view, object, count, rows);
    if (st == PV_OK) spread(count, pv_store_params(loader->store), stride, rows);
    return st;
}

pv_status pv_row_loader_read(pv_row_loader *loader, int64_t v, int64_t first, int64_t count, float *rows)
{
    const int64_t view = loader->first_view + v;
    const int64_t stride =
        pv_store_params(loader->store) + (loader->frames ? pv_frame_words(pv_store_arch(loader->store)) : 0);
    uint8_t status[MARKS];
    uint64_t checksums[MARKS];
    int64_t run = 0;
    pv_status st = PV_OK;
    for (int64_t i = first; i < first + count; i += run) {
        const int64_t object = loader->ids[i];
        run = run_of(loader, i, first + count);
        PV_TRY(pv_store_read_status(loader->store, view, object, run, status));
        PV_TRY(pv_store_read_checksums(loader->store, view, object, run, checksums));
        for (int64_t r = 0; r < run; r++, rows += stride) {
            if (r % ROWS == 0) PV_TRY(read_block(loader, view, object + r, run - r, stride, rows));
            PV_TRY(take_row(loader, v, i + r, status[r], checksums[r], rows));
        }
    }
done:
    return st;
}

pv_status pv_row_loader_sum(const pv_row_loader *loader, int64_t first, int64_t count, uint64_t *sum)
{
    uint64_t checksums[MARKS];
    int64_t run = 0;
    for (int64_t view = loader->first_view; view < loader->first_view + loader->views; view++)
        for (int64_t i = first; i < first + count; i += run) {
            run = run_of(loader, i, first + count);
            const pv_status st = pv_store_read_checksums(loader->store, view, loader->ids[i], run, checksums);
            if (st != PV_OK) return st;
            for (int64_t r = 0; r < run; r++) {
                const uint64_t what[] = {(uint64_t)view, (uint64_t)loader->ids[i + r],
                                         (uint64_t)loader->labels[i + r], checksums[r]};
                *sum += pv_checksum(what, sizeof what);
            }
        }
    return PV_OK;
}
