/* Dividing the objects of one tree of files into train, val and test where the files do not say. */
#include "pv_divide.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"

#include <stdlib.h>

typedef struct draw {
    double u;
    uint64_t id; /* decides between equal draws */
    int64_t object;
} draw;

static int compare_draws(const void *a, const void *b)
{
    const draw *x = a, *y = b;
    if (x->u != y->u) return x->u < y->u ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Marks the draws from `first` on that `amount` asks for.  *end is behind them, *above the draw up to which a
 * share reaches. */
static pv_status mark(const draw *draws, int64_t n, const char *key, double amount, uint8_t mark,
                      int64_t *end, double *above, uint8_t *split)
{
    const bool share = amount < 1;
    if (amount < 0 || (!share && amount > (double)(n - *end)))
        return pv_fail(PV_ERR_CONFIG,
                       "signal.%s %s, but there are %lld objects to divide: expected a share below 1 or a "
                       "number of them",
                       key, amount < 0 ? "is all" : "asks for more", (long long)n);
    const int64_t first = *end;
    const double low = *above;
    while (*end < n && (share ? draws[*end].u < low + amount : *end - first < (int64_t)amount))
        split[draws[(*end)++].object] = mark;
    *above = share ? low + amount : *end > first ? draws[*end - 1].u : low;
    return PV_OK;
}

pv_status pv_divide(uint64_t seed, int64_t n, const uint64_t *ids, double test, double val, uint8_t *split)
{
    draw *draws = NULL;
    int64_t end = 0;
    double above = 0;
    pv_status st;
    if (test < 1 && val < 1 && test + val > 1)
        return pv_fail(PV_ERR_CONFIG,
                       "signal.val is %g and signal.test %g, which are shares of more than all", val, test);
    PV_ALLOC(draws, n);
    for (int64_t i = 0; i < n; i++) {
        pv_rng rng = pv_rng_open(seed, PV_RNG_SIGNAL, ids[i], 1);
        draws[i] = (draw){pv_rng_uniform(&rng), ids[i], i};
        split[i] = PV_SPLIT_TRAIN;
    }
    qsort(draws, (size_t)n, sizeof *draws, compare_draws);
    PV_TRY(mark(draws, n, "test", test, PV_SPLIT_TEST, &end, &above, split));
    st = mark(draws, n, "val", val, PV_SPLIT_VAL, &end, &above, split);
done:
    free(draws);
    return st;
}
