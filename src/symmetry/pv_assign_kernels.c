/* Jonker and Volgenant's algorithm: column reduction, reduction transfer, augmenting row reduction, and shortest
 * augmenting paths for the rows that are left.  Scans of rows run over lanes of a few columns. */
#include "pv_assign_kernels.h"
#include "pv_assign_lanes.h"

#include <math.h>
#include <stddef.h>

/* The smallest of a scan, and the second smallest. */
typedef struct least {
    double first, second;
    int64_t
        at; /* column of the first; of equal ones the first, so that the result does not depend on the lanes */
} least;

/* The first column of the difference of two arrays (of one array: `minus` is NULL) that is `value`.  Words of 64 columns are
 * searched without a branch. */
INLINE int64_t find(const double *values, const double *minus, int stride, vec value)
{
    enum { WORD = 64 };
    for (int begin = 0; begin < stride; begin += WORD) {
        const int end = stride - begin < WORD ? stride - begin : WORD;
        uint64_t bits = 0;
        for (int j = 0; j < end; j += LANES) {
            vec t = at(values + begin + j);
            if (minus) t -= at(minus + begin + j);
            bits |= equal_lanes(t, value) << j;
        }
        if (bits) return begin + __builtin_ctzll(bits);
    }
    return 0; /* no number is equal to NaN; there is none in a problem */
}

/* The two smallest of cost - price over a row. */
INLINE least two_least(const double *cost, const double *price, int stride)
{
    vec first = at(cost) - at(price), second = splat((double)INFINITY);
    for (int j = LANES; j < stride; j += LANES) {
        const vec t = at(cost + j) - at(price + j);
        second = lesser(second, greater(first, t));
        first = lesser(first, t);
    }
    merge_lanes(&first, &second);
    return (least){first[0], second[0], find(cost, price, stride, first)};
}

/* The smallest of cost - price over a row. */
INLINE double least_of_row(const double *cost, const double *price, int stride)
{
    vec first = at(cost) - at(price);
    for (int j = LANES; j < stride; j += LANES)
        first = lesser(first, at(cost + j) - at(price + j));
    return least_of_lanes(first)[0];
}

static double *cost_row(const pv_assign_problem *p, int64_t i)
{
    return p->cost + i * p->stride;
}

/* Prices are the least costs of the columns; a row takes the last column that it is the cheapest of.  `shared` marks rows
 * that are the cheapest of several. */
static void reduce_columns(pv_assign_problem *p, int32_t *shared)
{
    int64_t *const from = p->from;
    for (int j = 0; j < p->stride; j += LANES) {
        vec price = at(p->cost + j), rows = (vec)(mask){0};
        for (int i = 1; i < p->n; i++) {
            const vec cost = at(cost_row(p, i) + j);
            rows = where_less(cost, price, (vec)((mask){0} + i), rows);
            price = lesser(cost, price);
        }
        put(p->price + j, price);
        *(vec *)(void *)(from + j) = rows;
    }
    for (int i = 0; i < p->n; i++) {
        p->column[i] = p->row[i] = -1;
        shared[i] = 0;
    }
    for (int j = p->n - 1; j >= 0; j--) {
        const int64_t i = from[j];
        if (p->column[i] < 0) {
            p->column[i] = j;
            p->row[j] = (int32_t)i;
        } else {
            shared[i] = 1;
        }
    }
    for (int j = p->n; j < p->stride; j++) /* infinity - infinity is no number */
        p->price[j] = 0;
}

/* A row with a column of its own gives up what it saves over its next best; the others become free.  Returns how many. */
static int transfer_reduction(pv_assign_problem *p, const int32_t *shared, int32_t *free_rows)
{
    int count = 0;
    for (int i = 0; i < p->n; i++) {
        const int32_t own = p->column[i];
        if (own < 0) {
            free_rows[count++] = i;
        } else if (!shared[i]) {
            const double kept = p->price[own];
            p->price[own] = -INFINITY; /* keeps the own column out of the scan */
            const least found = two_least(cost_row(p, i), p->price, p->stride);
            p->price[own] = kept - (isfinite(found.first) ? found.first : 0);
        }
    }
    return count;
}

/* The column other than `but` that costs a row as little as `value`. */
static int64_t same_cost(const pv_assign_problem *p, int64_t i, double value, int64_t but)
{
    const double *cost = cost_row(p, i);
    for (int j = 0; j < p->n; j++)
        if (j != but && cost[j] - p->price[j] == value) return j;
    return but;
}

/* Free rows take their best column, at a price that makes it as good as their second best; whom they displace stays
 * free for the next pass.  Returns how many are free. */
static int reduce_free_rows(pv_assign_problem *p, int32_t *free_rows, int count)
{
    int kept = 0;
    for (int f = 0; f < count; f++) {
        const int32_t i = free_rows[f];
        const least found = two_least(cost_row(p, i), p->price, p->stride);
        int64_t j = found.at;
        const double lowered = p->price[j] - (found.second - found.first);
        int32_t displaced = p->row[j];
        if (isfinite(lowered) && lowered < p->price[j]) {
            p->price[j] = lowered;
        } else if (displaced >= 0) {
            j = same_cost(p, i, found.first, found.at);
            displaced = p->row[j];
        }
        p->column[i] = (int32_t)j;
        p->row[j] = i;
        if (displaced < 0) continue;
        p->column[displaced] = -1;
        free_rows[kept++] = displaced;
    }
    return kept;
}

/* Lengths of paths through row i, given what they have behind them; the shortest path to a column that is not final. */
INLINE least relax(pv_assign_problem *p, int64_t i, double offset)
{
    const double *const cost = cost_row(p, i);
    double *const reach = p->reach;
    const vec own = (vec)((mask){0} + i);
    vec shortest = splat((double)INFINITY);
    for (int j = 0; j < p->stride; j += LANES) {
        vec *const from = (vec *)(void *)(p->from + j);
        const vec t = at(cost + j) - at(p->closed + j) - offset, before = at(reach + j);
        const vec now = lesser(t, before);
        *from = where_less(t, before, own, *from);
        put(reach + j, now);
        shortest = lesser(shortest, now);
    }
    shortest = least_of_lanes(shortest);
    return (least){shortest[0], 0, find(reach, NULL, p->stride, shortest)};
}

/* A shortest path from a free row to a free column; prices of the columns on the way are brought up to it. */
static void augment(pv_assign_problem *p, int32_t start)
{
    int done = 0;
    for (int j = 0; j < p->stride; j += LANES) {
        put(p->closed + j, at(p->price + j));
        put(p->reach + j, splat((double)INFINITY));
    }
    least found = relax(p, start, 0);
    for (int32_t i = p->row[found.at]; i >= 0; i = p->row[found.at]) {
        p->final[found.at] = found.first;
        p->reach[found.at] = INFINITY;
        p->closed[found.at] = -INFINITY;
        p->done[done++] = (int32_t)found.at;
        found = relax(p, i, cost_row(p, i)[found.at] - p->price[found.at] - found.first);
    }
    for (int d = 0; d < done; d++)
        p->price[p->done[d]] += p->final[p->done[d]] - found.first;
    for (int64_t j = found.at;;) {
        const int32_t i = (int32_t)p->from[j], previous = p->column[i];
        p->row[j] = i;
        p->column[i] = (int32_t)j;
        if (i == start) return;
        j = previous;
    }
}

/* Keeps the pairs of an earlier assignment that are still the cheapest of their rows at the earlier prices; the other
 * rows become free.  Returns how many. */
static int keep_tight(pv_assign_problem *p, int32_t *free_rows)
{
    int count = 0;
    for (int j = 0; j < p->n; j++)
        p->row[j] = -1;
    for (int j = p->n; j < p->stride; j++)
        p->price[j] = 0;
    for (int i = 0; i < p->n; i++) {
        const int32_t own = p->column[i];
        const double *cost = cost_row(p, i);
        if (cost[own] - p->price[own] <= least_of_row(cost, p->price, p->stride)) {
            p->row[own] = i;
        } else {
            p->column[i] = -1;
            free_rows[count++] = i;
        }
    }
    return count;
}

static void finish(pv_assign_problem *p, int count)
{
    enum { PASSES = 2 };
    for (int pass = 0; pass < PASSES && count > 0; pass++)
        count = reduce_free_rows(p, p->free_rows, count);
    for (int f = 0; f < count; f++)
        augment(p, p->free_rows[f]);
}

static void solve(pv_assign_problem *p)
{
    reduce_columns(p, p->done);
    finish(p, transfer_reduction(p, p->done, p->free_rows));
}

static void solve_again(pv_assign_problem *p)
{
    finish(p, keep_tight(p, p->free_rows));
}

/* The bits of a float without its sign order as its size does; those of infinities and NaN are the largest. */
static bool load(pv_assign_problem *p, const float *value, int stride, bool sizes)
{
    const uint32_t all = UINT32_MAX, no_sign = all >> 1, infinity = UINT32_C(0x7f800000);
    const uint32_t keep = sizes ? no_sign : all;
    uint32_t largest = 0;
    for (int i = 0; i < p->n; i++) {
        double *restrict cost = p->cost + (int64_t)i * p->stride;
        const float *restrict from = value + (int64_t)i * stride;
        for (int j = 0; j < p->n; j++) {
            union {
                float number;
                uint32_t bits;
            } entry = {from[j]};
            const uint32_t size = entry.bits & no_sign;
            largest = size > largest ? size : largest;
            entry.bits &= keep;
            cost[j] = -(double)entry.number;
        }
        for (int j = p->n; j < p->stride; j++)
            cost[j] = (double)INFINITY;
    }
    return largest < infinity;
}

const pv_assign_kernels PV_ISA_TABLE(pv_assign_kernels) = {
    .load = load, .solve = solve, .solve_again = solve_again};
