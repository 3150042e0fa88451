/* Jonker and Volgenant's algorithm: column reduction, reduction transfer, augmenting row reduction, and
 * shortest augmenting paths for the rows that are left.  Scans of rows run over lanes of a few columns. */
#define PV_REAL_IS_DOUBLE /* prices are sums and differences of many costs */
#include "pv_assign_kernels.h"

#include "simd/pv_vector.h"

_Static_assert(PV_ASSIGN_LANES % PV_LANES == 0, "rows are whole vectors");

enum {
    WORD = 64, /* columns are searched and marked in words of these, a bit each */
    USUAL = 32 /* the usual width of an INR */
};

/* The smallest of a scan, and the second smallest, in every lane. */
typedef struct least {
    pv_vector first, second;
    int column; /* of the first; of equal ones the first, so that the result does not depend on the lanes */
} least;

/* A bit for every lane where a and b are equal. */
PV_INLINE uint64_t equal_lanes(pv_vector a, pv_vector b)
{
    return pv_mask_bits(pv_vector_equal(a, b));
}

/* x in the lanes whose bit is set, else y. */
PV_INLINE pv_vector where_set(uint64_t bits, pv_vector x, pv_vector y)
{
    return pv_vector_choose(pv_mask_of_bits(bits), x, y);
}

/* x where a < b, else y. */
PV_INLINE pv_vector where_less(pv_vector a, pv_vector b, pv_vector x, pv_vector y)
{
    return pv_vector_choose(pv_vector_less(a, b), x, y);
}

/* The smallest of all lanes, in every lane. */
PV_INLINE pv_vector least_of_lanes(pv_vector v)
{
#pragma GCC unroll 3
    for (int by = PV_LANES / 2; by >= 1; by /= 2)
        v = pv_vector_min(v, pv_vector_swap(v, by));
    return v;
}

/* The two smallest of all pairs, in every lane. */
PV_INLINE void merge_lanes(pv_vector *first, pv_vector *second)
{
#pragma GCC unroll 3
    for (int by = PV_LANES / 2; by >= 1; by /= 2) {
        const pv_vector other_first = pv_vector_swap(*first, by), other_second = pv_vector_swap(*second, by);
        *second = pv_vector_min(pv_vector_max(*first, other_first), pv_vector_min(*second, other_second));
        *first = pv_vector_min(*first, other_first);
    }
}

/* Every scan is inlined with the stride as a constant for the usual width, and once for any. */
PV_INLINE int end_of_word(int stride, int begin)
{
    return stride - begin < WORD ? stride - begin : WORD;
}

/* The first column in which cost - price is `value`. */
PV_INLINE int find(const double *cost, const double *price, int stride, pv_vector value)
{
    for (int begin = 0; begin < stride; begin += WORD) {
        uint64_t bits = 0;
        for (int j = 0; j < end_of_word(stride, begin); j += PV_LANES)
            bits |= equal_lanes(pv_vector_load(cost + begin + j) - pv_vector_load(price + begin + j), value)
                    << j;
        if (bits) return begin + __builtin_ctzll(bits);
    }
    return 0; /* no number is equal to NaN; there is none in a problem */
}

/* The two smallest of cost - price over a row. */
PV_INLINE least two_least(const double *cost, const double *price, int stride)
{
    pv_vector first = pv_vector_load(cost) - pv_vector_load(price),
              second = pv_vector_splat((double)INFINITY);
    for (int j = PV_LANES; j < stride; j += PV_LANES) {
        const pv_vector t = pv_vector_load(cost + j) - pv_vector_load(price + j);
        second = pv_vector_min(second, pv_vector_max(first, t));
        first = pv_vector_min(first, t);
    }
    merge_lanes(&first, &second);
    return (least){first, second, find(cost, price, stride, first)};
}

/* The smallest of cost - price over a row. */
PV_INLINE pv_vector least_of_row(const double *cost, const double *price, int stride)
{
    pv_vector first = pv_vector_load(cost) - pv_vector_load(price);
    for (int j = PV_LANES; j < stride; j += PV_LANES)
        first = pv_vector_min(first, pv_vector_load(cost + j) - pv_vector_load(price + j));
    return least_of_lanes(first);
}

/* One price less by what is in every lane of `by`.  A whole vector is written: the scans that follow read it
 * as one, and would have to wait for a single number to leave the store buffer. */
PV_INLINE void lower_price(double *price, int column, pv_vector by)
{
    double *const begin = price + column / PV_LANES * PV_LANES;
    const pv_vector before = pv_vector_load(begin);
    pv_vector_store(begin, where_set(UINT64_C(1) << column % PV_LANES, before - by, before));
}

PV_INLINE const double *cost_row(const pv_assign_problem *p, int stride, int32_t i)
{
    return p->cost + (int64_t)i * stride;
}

/* Prices are the least costs of the columns; a row takes the last column that it is the cheapest of.
 * `shared` marks rows that are the cheapest of several. */
PV_INLINE void reduce_columns(pv_assign_problem *p, int stride, int32_t *shared)
{
    int64_t *const from = p->from;
    for (int j = 0; j < stride; j += PV_LANES) {
        pv_vector price = pv_vector_load(p->cost + j), rows = (pv_vector)(pv_bits){0};
        for (int i = 1; i < p->n; i++) {
            const pv_vector cost = pv_vector_load(cost_row(p, stride, i) + j);
            rows = where_less(cost, price, (pv_vector)((pv_bits){0} + (pv_word)i), rows);
            price = pv_vector_min(cost, price);
        }
        pv_vector_store(p->price + j, price);
        pv_vector_store((double *)(void *)(from + j), rows);
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
    for (int j = p->n; j < stride; j++) /* infinity - infinity is no number */
        p->price[j] = 0;
}

/* A row with a column of its own gives up what it saves over its next best; the others become free.  Returns
 * how many. */
PV_INLINE int transfer_reduction(pv_assign_problem *p, int stride, const int32_t *shared, int32_t *free_rows)
{
    int count = 0;
    for (int i = 0; i < p->n; i++) {
        const int32_t own = p->column[i];
        if (own < 0) {
            free_rows[count++] = i;
        } else if (!shared[i]) {
            const least found = two_least(cost_row(p, stride, i), p->price, stride);
            const pv_vector saved = found.column == own ? found.second : found.first;
            if (isfinite(saved[0])) lower_price(p->price, own, saved);
        }
    }
    return count;
}

/* The column other than `but` that costs a row as little as `value`. */
PV_INLINE int same_cost(const pv_assign_problem *p, int stride, int32_t i, double value, int but)
{
    const double *cost = cost_row(p, stride, i);
    for (int j = 0; j < p->n; j++)
        if (j != but && cost[j] - p->price[j] == value) return j;
    return but;
}

/* Free rows take their best column, at a price that makes it as good as their second best; whom they displace
 * stays free for the next pass.  Returns how many are free. */
PV_INLINE int reduce_free_rows(pv_assign_problem *p, int stride, int32_t *free_rows, int count)
{
    int kept = 0;
    for (int f = 0; f < count; f++) {
        const int32_t i = free_rows[f];
        const least found = two_least(cost_row(p, stride, i), p->price, stride);
        const pv_vector better = found.second - found.first;
        int j = found.column;
        if (better[0] > 0 && isfinite(better[0]))
            lower_price(p->price, j, better);
        else if (p->row[j] >= 0)
            j = same_cost(p, stride, i, found.first[0], j);
        const int32_t displaced = p->row[j];
        p->column[i] = j;
        p->row[j] = i;
        if (displaced < 0) continue;
        p->column[displaced] = -1;
        free_rows[kept++] = displaced;
    }
    return kept;
}

/* Lengths of paths through row i, given what they have behind them; the shortest path to a column that is
 * open. */
PV_INLINE least relax(pv_assign_problem *p, int stride, int32_t i, double offset)
{
    const double *const cost = cost_row(p, stride, i);
    const pv_vector own = (pv_vector)((pv_bits){0} + (pv_word)i),
                    infinity = pv_vector_splat((double)INFINITY);
    pv_vector shortest = infinity;
    for (int j = 0; j < stride; j += PV_LANES) {
        const uint64_t open = p->open[j / WORD] >> j % WORD;
        double *const from = (double *)(void *)(p->from + j);
        const pv_vector before = pv_vector_load(p->reach + j);
        const pv_vector t =
            where_set(open, pv_vector_load(cost + j) - pv_vector_load(p->price + j) - offset, infinity);
        const pv_vector now = pv_vector_min(t, before);
        pv_vector_store(from, where_less(t, before, own, pv_vector_load(from)));
        pv_vector_store(p->reach + j, now);
        shortest = pv_vector_min(shortest, where_set(open, now, infinity));
    }
    shortest = least_of_lanes(shortest);
    for (int begin = 0; begin < stride; begin += WORD) {
        uint64_t bits = 0;
        for (int j = 0; j < end_of_word(stride, begin); j += PV_LANES)
            bits |= equal_lanes(pv_vector_load(p->reach + begin + j), shortest) << j;
        bits &= p->open[begin / WORD];
        if (bits) return (least){shortest, shortest, begin + __builtin_ctzll(bits)};
    }
    return (least){shortest, shortest, 0};
}

/* A shortest path from a free row to a free column; prices of the columns on the way are brought up to it. */
PV_INLINE void augment(pv_assign_problem *p, int stride, int32_t start)
{
    for (int j = 0; j < stride; j += PV_LANES)
        pv_vector_store(p->reach + j, pv_vector_splat((double)INFINITY));
    for (int word = 0; word * WORD < stride; word++)
        p->open[word] = UINT64_MAX;
    least found = relax(p, stride, start, 0);
    for (int32_t i = p->row[found.column]; i >= 0; i = p->row[found.column]) {
        p->open[found.column / WORD] &= ~(UINT64_C(1) << found.column % WORD);
        found = relax(p, stride, i,
                      cost_row(p, stride, i)[found.column] - p->price[found.column] - found.first[0]);
    }
    for (int j = 0; j < stride; j += PV_LANES) {
        const pv_vector price = pv_vector_load(p->price + j);
        const uint64_t open = p->open[j / WORD] >> j % WORD;
        pv_vector_store(p->price + j,
                        where_set(open, price, price + (pv_vector_load(p->reach + j) - found.first)));
    }
    for (int32_t j = found.column;;) {
        const int32_t i = (int32_t)p->from[j], previous = p->column[i];
        p->row[j] = i;
        p->column[i] = j;
        if (i == start) return;
        j = previous;
    }
}

/* Keeps the pairs of an earlier assignment that are still the cheapest of their rows at the earlier prices;
 * the other rows become free.  Returns how many. */
PV_INLINE int keep_tight(pv_assign_problem *p, int stride, int32_t *free_rows)
{
    int count = 0;
    for (int j = 0; j < p->n; j++)
        p->row[j] = -1;
    for (int j = p->n; j < stride; j++)
        p->price[j] = 0;
    for (int i = 0; i < p->n; i++) {
        const int32_t own = p->column[i];
        const double *cost = cost_row(p, stride, i);
        if (cost[own] - p->price[own] <= least_of_row(cost, p->price, stride)[0]) {
            p->row[own] = i;
        } else {
            p->column[i] = -1;
            free_rows[count++] = i;
        }
    }
    return count;
}

PV_INLINE void finish(pv_assign_problem *p, int stride, int count)
{
    enum { PASSES = 2 };
    for (int pass = 0; pass < PASSES && count > 0; pass++)
        count = reduce_free_rows(p, stride, p->free_rows, count);
    for (int f = 0; f < count; f++)
        augment(p, stride, p->free_rows[f]);
}

PV_INLINE void solve_wide(pv_assign_problem *p, int stride)
{
    reduce_columns(p, stride, p->shared);
    finish(p, stride, transfer_reduction(p, stride, p->shared, p->free_rows));
}

PV_INLINE void solve_again_wide(pv_assign_problem *p, int stride)
{
    const int count = keep_tight(p, stride, p->free_rows);
    if (count > p->n - p->n / 8)
        solve_wide(p, stride); /* the prices are of no use */
    else
        finish(p, stride, count);
}

/* The pointers of a problem are kept in registers if nobody has its address. */
static void solve(pv_assign_problem *p)
{
    pv_assign_problem own = *p;
    if (own.stride == USUAL)
        solve_wide(&own, USUAL);
    else
        solve_wide(&own, own.stride);
}

static void solve_again(pv_assign_problem *p)
{
    pv_assign_problem own = *p;
    if (own.stride == USUAL)
        solve_again_wide(&own, USUAL);
    else
        solve_again_wide(&own, own.stride);
}

/* As many floats, and their bits. */
typedef float floats __attribute__((vector_size(4 * PV_LANES), aligned(4), may_alias));
typedef int32_t float_bits __attribute__((vector_size(4 * PV_LANES), aligned(4), may_alias));

/* `keep` clears the sign of what counts by its size. */
PV_INLINE pv_vector minus(const float *value, int32_t keep)
{
    const float_bits bits = (*(const float_bits *)(const void *)value & keep) ^ INT32_MIN;
    return __builtin_convertvector((floats)bits, pv_vector);
}

PV_INLINE bool load_wide(pv_assign_problem *p, const float *value, int from_stride, bool sizes, int stride)
{
    const int32_t keep = sizes ? INT32_MAX : -1;
    const int whole = p->n / PV_LANES * PV_LANES;
    pv_vector zeros = pv_vector_splat(0); /* NaN if a number is not finite */
    for (int i = 0; i < p->n; i++) {
        double *const cost = p->cost + (int64_t)i * stride;
        const float *const from = value + (int64_t)i * from_stride;
        for (int j = 0; j < whole; j += PV_LANES) {
            const pv_vector c = minus(from + j, keep);
            zeros += 0 * c;
            pv_vector_store(cost + j, c);
        }
        for (int j = whole; j < stride; j++) {
            const double number = j < p->n ? (double)from[j] : 0;
            zeros[0] += 0 * number;
            cost[j] = j < p->n ? -(sizes ? fabs(number) : number) : (double)INFINITY;
        }
    }
    for (int lane = 0; lane < PV_LANES; lane++)
        if (isnan(zeros[lane])) return false;
    return true;
}

static bool load(pv_assign_problem *p, const float *value, int from_stride, bool sizes)
{
    if (p->n == USUAL) return load_wide(p, value, from_stride, sizes, USUAL);
    return load_wide(p, value, from_stride, sizes, p->stride);
}

const pv_assign_kernels PV_ISA_TABLE(pv_assign_kernels) = {
    .load = load, .solve = solve, .solve_again = solve_again};
