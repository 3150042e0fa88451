/* Jonker and Volgenant's algorithm: column reduction, reduction transfer, augmenting row reduction, and shortest
 * augmenting paths for the rows that are left.  Scans of rows run over lanes of a few columns. */
#include "pv_assign_kernels.h"

#include <math.h>
#include <stdbool.h>

enum { LANES = PV_ASSIGN_LANES };

/* A few columns at once; comparisons give all bits or none. */
typedef double vec __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef int64_t mask __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec choose(mask which, vec a, vec b)
{
    return (vec)((which & (mask)a) | (~which & (mask)b));
}

INLINE mask choose_index(mask which, mask a, mask b)
{
    return (which & a) | (~which & b);
}

INLINE vec at(const double *p)
{
    return *(const vec *)p;
}

static const mask lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7};
_Static_assert(LANES == 8, "the lanes are numbered by hand");

/* The smallest of a scan, and the second smallest. */
typedef struct least {
    double first, second;
    int64_t at; /* of the first */
} least;

/* Of equal ones the first column wins, so that the result does not depend on the lanes. */
INLINE least least_of_lanes(vec first, vec second, mask columns)
{
    least found = {first[0], second[0], columns[0]};
    for (int l = 1; l < LANES; l++) {
        const bool lower = first[l] < found.first || (first[l] == found.first && columns[l] < found.at);
        const double loser = lower ? found.first : first[l];
        const double second_best = second[l] < loser ? second[l] : loser;
        found.at = lower ? columns[l] : found.at;
        found.first = lower ? first[l] : found.first;
        found.second = second_best < found.second ? second_best : found.second;
    }
    return found;
}

/* The two smallest of cost - price over a row. */
INLINE least two_least(const double *cost, const double *price, int stride)
{
    vec first = at(cost) - at(price), second;
    mask columns = lane_numbers, now = lane_numbers;
    second = (vec){INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};
    for (int j = LANES; j < stride; j += LANES) {
        const vec t = at(cost + j) - at(price + j);
        const mask lower = t < first;
        const vec loser = choose(lower, first, t);
        now += LANES;
        columns = choose_index(lower, now, columns);
        first = choose(lower, t, first);
        second = choose(loser < second, loser, second);
    }
    return least_of_lanes(first, second, columns);
}

/* The smallest of an array. */
INLINE least one_least(const double *values, int stride)
{
    vec first = at(values);
    mask columns = lane_numbers, now = lane_numbers;
    for (int j = LANES; j < stride; j += LANES) {
        const mask lower = at(values + j) < first;
        now += LANES;
        columns = choose_index(lower, now, columns);
        first = choose(lower, at(values + j), first);
    }
    least found = {first[0], 0, columns[0]};
    for (int l = 1; l < LANES; l++) {
        const bool lower = first[l] < found.first || (first[l] == found.first && columns[l] < found.at);
        found.at = lower ? columns[l] : found.at;
        found.first = lower ? first[l] : found.first;
    }
    return found;
}

static double *cost_row(const pv_assign_problem *p, int64_t i)
{
    return p->cost + i * p->stride;
}

/* Prices are the least costs of the columns; a row takes the last column that it is the cheapest of.  `shared` marks rows
 * that are the cheapest of several. */
static void reduce_columns(pv_assign_problem *p, int32_t *shared)
{
    double *restrict price = p->price;
    int64_t *restrict from = p->from;
    for (int j = 0; j < p->stride; j++) {
        price[j] = p->cost[j];
        from[j] = 0;
    }
    for (int i = 1; i < p->n; i++) {
        const double *restrict cost = cost_row(p, i);
        for (int j = 0; j < p->stride; j++) {
            const bool lower = cost[j] < price[j];
            price[j] = lower ? cost[j] : price[j];
            from[j] = lower ? i : from[j];
        }
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
        price[j] = 0;
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

/* Free rows take their best column, at a price that makes it as good as their second best; whom they displace is next.
 * Returns how many stay free. */
static int reduce_free_rows(pv_assign_problem *p, int32_t *free_rows, int count)
{
    int kept = 0, next = 0, patience = 8 * p->n; /* rounding could make two rows outbid each other for ever */
    while (next < count) {
        const int32_t i = free_rows[next++];
        const least found = two_least(cost_row(p, i), p->price, p->stride);
        int64_t j = found.at;
        const double lowered = p->price[j] - (found.second - found.first);
        const bool better = isfinite(lowered) && lowered < p->price[j];
        int32_t displaced = p->row[j];
        if (better) {
            p->price[j] = lowered;
        } else if (displaced >= 0) {
            j = same_cost(p, i, found.first, found.at);
            displaced = p->row[j];
        }
        p->column[i] = (int32_t)j;
        p->row[j] = i;
        if (displaced < 0) continue;
        p->column[displaced] = -1;
        if (better && --patience > 0)
            free_rows[--next] = displaced;
        else
            free_rows[kept++] = displaced;
    }
    return kept;
}

/* Paths through row i, of which column j is final at length `length`. */
static void relax(pv_assign_problem *p, int64_t i, double offset)
{
    const double *restrict cost = cost_row(p, i), *restrict closed = p->closed;
    double *restrict reach = p->reach;
    int64_t *restrict from = p->from;
    for (int j = 0; j < p->stride; j++) {
        const double t = cost[j] - closed[j] - offset;
        const bool lower = t < reach[j];
        reach[j] = lower ? t : reach[j];
        from[j] = lower ? i : from[j];
    }
}

/* A shortest path from a free row to a free column; prices of the columns on the way are brought up to it. */
static void augment(pv_assign_problem *p, int32_t start)
{
    int done = 0;
    least found;
    for (int j = 0; j < p->stride; j++) {
        p->closed[j] = p->price[j];
        p->reach[j] = INFINITY;
    }
    relax(p, start, 0);
    for (;;) {
        found = one_least(p->reach, p->stride);
        const int32_t i = p->row[found.at];
        if (i < 0) break;
        p->final[found.at] = found.first;
        p->reach[found.at] = INFINITY;
        p->closed[found.at] = -INFINITY;
        p->done[done++] = (int32_t)found.at;
        relax(p, i, cost_row(p, i)[found.at] - p->price[found.at] - found.first);
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

static void solve(pv_assign_problem *p)
{
    enum { PASSES = 2 };
    reduce_columns(p, p->done);
    int count = transfer_reduction(p, p->done, p->free_rows);
    for (int pass = 0; pass < PASSES; pass++)
        count = reduce_free_rows(p, p->free_rows, count);
    for (int f = 0; f < count; f++)
        augment(p, p->free_rows[f]);
}

const pv_assign_kernels PV_ISA_TABLE(pv_assign_kernels) = {.solve = solve};
