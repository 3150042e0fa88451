/* Aligns two INRs in every way and follows the loss along the line between them. */
#include "run/pv_aligner.h"
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "symmetry/pv_symmetry.h"

#include <string.h>

/* What a way does. */
typedef struct way {
    const char *name;
    bool matches, signs, phases;
    bool canonical; /* phases of both are brought into one range before */
    bool reference; /* both are matched to it, not to each other */
} way;

static const way ways[PV_WAYS] = {
    [PV_WAY_NONE] = {.name = "none"},
    [PV_WAY_PERMUTATION] = {.name = "permutation", .matches = true},
    [PV_WAY_SIGNED] = {.name = "signed", .matches = true, .signs = true},
    [PV_WAY_CANONICAL] = {.name = "canonical_signed", .matches = true, .signs = true, .canonical = true},
    [PV_WAY_PHASED] = {.name = "phased", .matches = true, .signs = true, .phases = true},
    [PV_WAY_REFERENCE] = {.name = "reference", .matches = true, .reference = true},
    [PV_WAY_REFERENCE_SIGNED] = {.name = "reference_signed",
                                 .matches = true,
                                 .signs = true,
                                 .reference = true},
    [PV_WAY_REFERENCE_PHASED] =
        {.name = "reference_phased", .matches = true, .signs = true, .phases = true, .reference = true},
};

enum { ELEMENTS = 3 };

struct pv_aligner {
    pv_arch arch;
    int samples, params;
    const float *coords;
    pv_matcher *matchers[PV_WAYS]; /* NULL where a way does not match, or is not allowed */
    pv_symmetry elements[ELEMENTS];
    float *first, *second; /* [P] the ends of the path */
    float *original;       /* [P] the second before it is aligned */
    float *reference;      /* [P] */
    float *between;        /* [P] */
    float *values;         /* [n][d_M] */
};

bool pv_aligner_allows(const pv_arch *arch, int number)
{
    const way *w = &ways[number];
    const unsigned needs =
        (w->signs ? PV_SYMMETRY_SIGNS : 0) | (w->phases || w->canonical ? PV_SYMMETRY_PHASES : 0);
    return (needs & ~pv_symmetry_kinds(arch)) == 0;
}

const char *pv_aligner_way(int number)
{
    return ways[number].name;
}

pv_status pv_aligner_new(const pv_arch *arch, int n, const float *coords, int max_sweeps, int starts,
                         const pv_fresh *fresh, pv_aligner **out)
{
    pv_status st = PV_OK;
    *out = NULL;
    pv_aligner *a = pv_alloc(1, sizeof *a);
    if (!a) return PV_ERR_NOMEM;
    a->arch = *arch;
    a->samples = n;
    a->params = pv_arch_params(arch);
    a->coords = coords;
    for (int number = 0; number < PV_WAYS; number++) {
        const way *w = &ways[number];
        const pv_match_opts opts = {w->signs, max_sweeps, w->reference ? 1 : starts, w->phases};
        if (w->matches && pv_aligner_allows(arch, number))
            PV_TRY(pv_matcher_new(arch, &opts, &a->matchers[number]));
    }
    for (int e = 0; e < ELEMENTS; e++)
        PV_TRY(pv_symmetry_make(arch, &a->elements[e]));
    PV_ALLOC(a->first, a->params);
    PV_ALLOC(a->second, a->params);
    PV_ALLOC(a->original, a->params);
    PV_ALLOC(a->reference, a->params);
    PV_ALLOC(a->between, a->params);
    PV_ALLOC(a->values, (int64_t)n * arch->dims[arch->layers]);
    pv_fresh_draw(fresh, arch, a->reference);
    *out = a;
    return PV_OK;
done:
    pv_aligner_free(a);
    return st;
}

void pv_aligner_free(pv_aligner *a)
{
    if (!a) return;
    for (int number = 0; number < PV_WAYS; number++)
        pv_matcher_free(a->matchers[number]);
    for (int e = 0; e < ELEMENTS; e++)
        pv_symmetry_free(&a->elements[e]);
    PV_FREE(a->first, a->second, a->original, a->reference, a->between, a->values, a);
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

/* As pv_match returns it: phases change the size of biases. */
static double objective(const pv_aligner *a)
{
    const double grown = pv_match_objective(&a->arch, a->second, a->second) -
                         pv_match_objective(&a->arch, a->original, a->original);
    return pv_match_objective(&a->arch, a->first, a->second) - grown / 2;
}

/* The path from `first` to `second`. */
static pv_status follow_path(pv_aligner *a, const float *values, pv_alignment_score *score)
{
    const int last = PV_PATH_POINTS - 1;
    score->objective = objective(a);
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

static void make_canonical(pv_aligner *a, const float *from, float *to)
{
    pv_symmetry_canonical(&a->arch, from, PV_CANONICAL_PHASE, &a->elements[0]);
    pv_symmetry_apply(&a->arch, &a->elements[0], from, to);
}

/* Through the reference: what brings B to it, then what brings it to A. */
static void match_by_reference(pv_aligner *a, pv_matcher *matcher, pv_rng *rng)
{
    pv_rng own = *rng; /* both are given the same orders */
    pv_match(matcher, a->reference, a->first, &own, &a->elements[0]);
    pv_symmetry_invert(&a->arch, &a->elements[0], &a->elements[1]);
    pv_match(matcher, a->reference, a->original, rng, &a->elements[0]);
    pv_symmetry_compose(&a->arch, &a->elements[0], &a->elements[1], &a->elements[2]);
    pv_symmetry_apply(&a->arch, &a->elements[2], a->original, a->second);
}

/* Brings b to a: `first` and `second`. */
static void align(pv_aligner *aligner, int number, const float *a, const float *b, pv_rng *rng)
{
    const size_t bytes = sizeof *a * (size_t)aligner->params;
    const way *w = &ways[number];
    pv_matcher *const matcher = aligner->matchers[number];
    memcpy(aligner->first, a, bytes);
    memcpy(aligner->original, b, bytes);
    if (w->canonical) {
        make_canonical(aligner, a, aligner->first);
        make_canonical(aligner, b, aligner->original);
    }
    if (w->reference)
        match_by_reference(aligner, matcher, rng);
    else if (w->matches)
        pv_match_row(matcher, aligner->first, aligner->original, rng, aligner->second);
    else
        memcpy(aligner->second, b, bytes);
}

pv_status pv_aligner_judge(pv_aligner *aligner, const float *a, const float *b, const float *values,
                           pv_rng *rng, pv_alignment_score scores[PV_WAYS])
{
    pv_status st = PV_OK;
    for (int number = 0; st == PV_OK && number < PV_WAYS; number++) {
        pv_rng own = *rng; /* every way is given the same orders */
        if (!pv_aligner_allows(&aligner->arch, number)) continue;
        align(aligner, number, a, b, &own);
        st = follow_path(aligner, values, &scores[number]);
    }
    return st;
}
