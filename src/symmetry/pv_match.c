/* Weight matching by several descents, of which the best is kept. */
#include "symmetry/pv_match.h"
#include "base/pv_mem.h"
#include "pv_descent.h"

#include <math.h>
#include <stdlib.h>

struct pv_matcher {
    pv_arch arch;
    int hidden, starts;
    pv_descent *descent;
    pv_symmetry best; /* of pv_match_row */
};

/* Enough to do as well as the published descents nearly always; found by trial. */
static int usual_starts(int hidden)
{
    return hidden == 2 ? 3 : 8;
}

pv_status pv_matcher_new(const pv_arch *arch, const pv_match_opts *opts, pv_matcher **out)
{
    pv_status st;
    *out = NULL;
    if (opts->max_sweeps < 1 || opts->starts < 0)
        return pv_fail(PV_ERR_CONFIG, "weight matching takes sweeps >= 1 and starts >= 0, not %d and %d",
                       opts->max_sweeps, opts->starts);
    if (opts->signs && !(pv_symmetry_kinds(arch) & PV_SYMMETRY_SIGNS))
        return pv_fail(PV_ERR_CONFIG, "units of activation %s may not change their signs: match them without",
                       pv_arch_activation(arch)->plugin.name);
    if (opts->phases && !(pv_symmetry_kinds(arch) & PV_SYMMETRY_PHASES))
        return pv_fail(PV_ERR_CONFIG, "units of activation %s have no phases: match them without",
                       pv_arch_activation(arch)->plugin.name);
    pv_matcher *m = pv_alloc(1, sizeof *m);
    if (!m) return PV_ERR_NOMEM;
    m->arch = *arch;
    m->hidden = arch->layers - 1;
    m->starts = m->hidden < 2 ? 1 : opts->starts > 0 ? opts->starts : usual_starts(m->hidden);
    PV_TRY(pv_descent_new(arch, opts->signs, opts->phases, opts->max_sweeps, &m->descent));
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
    pv_descent_free(m->descent);
    pv_symmetry_free(&m->best);
    free(m);
}

/* The descent with this number, 0 the first; `state` is the best so far, of objective `best`. */
static double descend(pv_matcher *m, int number, double best, const pv_symmetry *state, pv_rng *rng)
{
    if (number == 0) {
        pv_descent_assign_forward(m->descent);
        return pv_descent_run(m->descent, -1, -INFINITY, rng);
    }
    if (number <= m->hidden) {
        pv_descent_reset(m->descent);
        return pv_descent_run(m->descent, number - 1, best, rng);
    }
    pv_descent_kick(m->descent, state, rng);
    return pv_descent_run(m->descent, -1, best, rng);
}

double pv_match(pv_matcher *m, const float *a, const float *b, pv_rng *rng, pv_symmetry *out)
{
    double best = -INFINITY;
    pv_descent_begin(m->descent, a, b);
    for (int number = 0; number < m->starts; number++) {
        const double found = descend(m, number, best, out, rng);
        if (number > 0 && !(found > best)) continue;
        best = found;
        pv_symmetry_copy(&m->arch, pv_descent_state(m->descent), out);
    }
    return pv_descent_objective(m->descent, out);
}

double pv_match_row(pv_matcher *m, const float *a, const float *b, pv_rng *rng, float *out_row)
{
    const double objective = pv_match(m, a, b, rng, &m->best);
    pv_descent_apply(m->descent, &m->best, out_row);
    return objective;
}
