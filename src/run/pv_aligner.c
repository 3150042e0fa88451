/* Aligns two INRs in every way and follows the loss along the line between them. */
#include "run/pv_aligner.h"
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "symmetry/pv_symmetry.h"

#include <string.h>

struct pv_aligner {
    pv_arch arch;
    int samples, params;
    const float *coords;
    pv_matcher *plain, *with_signs;
    pv_symmetry symmetry;
    float *first, *second; /* [P] the ends of the path */
    float *between;        /* [P] */
    float *values;         /* [n][d_M] */
};

int pv_aligner_ways(const pv_arch *arch)
{
    const unsigned kinds = pv_symmetry_kinds(arch);
    if (!(kinds & PV_SYMMETRY_SIGNS)) return PV_WAY_SIGNED;
    return kinds & PV_SYMMETRY_PHASES ? PV_WAYS : PV_WAY_CANONICAL;
}

const char *pv_aligner_way(int way)
{
    static const char *const names[PV_WAYS] = {"none", "permutation", "signed", "canonical_signed"};
    return names[way];
}

pv_status pv_aligner_new(const pv_arch *arch, int n, const float *coords, int max_sweeps, int starts,
                         pv_aligner **out)
{
    const pv_match_opts plain = {.max_sweeps = max_sweeps, .starts = starts},
                        with_signs = {.signs = true, .max_sweeps = max_sweeps, .starts = starts};
    pv_status st;
    *out = NULL;
    pv_aligner *a = pv_alloc(1, sizeof *a);
    if (!a) return PV_ERR_NOMEM;
    a->arch = *arch;
    a->samples = n;
    a->params = pv_arch_params(arch);
    a->coords = coords;
    PV_TRY(pv_matcher_new(arch, &plain, &a->plain));
    if (pv_aligner_ways(arch) > PV_WAY_SIGNED) PV_TRY(pv_matcher_new(arch, &with_signs, &a->with_signs));
    PV_TRY(pv_symmetry_make(arch, &a->symmetry));
    PV_ALLOC(a->first, a->params);
    PV_ALLOC(a->second, a->params);
    PV_ALLOC(a->between, a->params);
    PV_ALLOC(a->values, (int64_t)n * arch->dims[arch->layers]);
    *out = a;
    return PV_OK;
done:
    pv_aligner_free(a);
    return st;
}

void pv_aligner_free(pv_aligner *a)
{
    if (!a) return;
    pv_matcher_free(a->plain);
    pv_matcher_free(a->with_signs);
    pv_symmetry_free(&a->symmetry);
    PV_FREE(a->first, a->second, a->between, a->values, a);
}

static pv_status loss_between(pv_aligner *a, double lambda, const float *values, double *loss)
{
    const int count = a->samples * a->arch.dims[a->arch.layers];
    double sum = 0;
    for (int p = 0; p < a->params; p++)
        a->between[p] = (float)((1 - lambda) * (double)a->first[p] + lambda * (double)a->second[p]);
    const pv_status st = pv_inr_eval(&a->arch, a->between, a->samples, a->coords, a->values);
    for (int i = 0; st == PV_OK && i < count; i++) {
        const double difference = (double)a->values[i] - (double)values[i];
        sum += difference * difference;
    }
    *loss = sum / count;
    return st;
}

/* The path from `first` to `second`. */
static pv_status follow_path(pv_aligner *a, const float *values, pv_alignment_score *score)
{
    const int last = PV_PATH_POINTS - 1;
    score->objective = pv_match_objective(&a->arch, a->first, a->second);
    score->barrier = 0;
    for (int i = 0; i <= last; i++) {
        const pv_status st = loss_between(a, (double)i / last, values, &score->losses[i]);
        if (st != PV_OK) return st;
    }
    for (int i = 1; i < last; i++) {
        const double line = score->losses[0] + (score->losses[last] - score->losses[0]) * i / last;
        const double above = score->losses[i] - line;
        score->barrier = above > score->barrier ? above : score->barrier;
    }
    return PV_OK;
}

static void copy_canonical(pv_aligner *a, const float *from, float *to)
{
    pv_symmetry_canonical(&a->arch, from, PV_CANONICAL_PHASE, &a->symmetry);
    pv_symmetry_apply(&a->arch, &a->symmetry, from, to);
}

pv_status pv_aligner_judge(pv_aligner *aligner, const float *a, const float *b, const float *values,
                           pv_rng *rng, pv_alignment_score scores[PV_WAYS])
{
    const size_t bytes = sizeof *a * (size_t)aligner->params;
    const int ways = pv_aligner_ways(&aligner->arch);
    pv_status st = PV_OK;
    for (int way = PV_WAY_NONE; st == PV_OK && way < ways; way++) {
        pv_rng own = *rng; /* every way is given the same orders */
        memcpy(aligner->first, a, bytes);
        memcpy(aligner->second, b, bytes);
        if (way == PV_WAY_CANONICAL) {
            copy_canonical(aligner, a, aligner->first);
            copy_canonical(aligner, b, aligner->second);
        }
        if (way != PV_WAY_NONE)
            pv_match_row(way == PV_WAY_PERMUTATION ? aligner->plain : aligner->with_signs, aligner->first,
                         aligner->second, &own, aligner->second);
        st = follow_path(aligner, values, &scores[way]);
    }
    return st;
}
