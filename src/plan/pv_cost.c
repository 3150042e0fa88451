/* Costs of collectives by latency-bandwidth models. */
#include "plan/pv_cost.h"

#include <math.h>
#include <stddef.h>

/* Rounds of a tree over p. */
static double rounds(int p)
{
    return p > 1 ? ceil(log2(p)) : 0;
}

static double message(pv_link link, double bytes)
{
    return link.latency + bytes * link.byte_seconds;
}

/* A link that `sharers` use at once. */
static pv_link shared(pv_link link, int sharers)
{
    return (pv_link){link.latency, link.byte_seconds * sharers};
}

static double reduce_by(pv_link link, int p, double bytes, pv_allreduce_kind kind)
{
    const double moved = 2 * bytes * (p - 1) / p * link.byte_seconds;
    if (p == 1) return 0;
    if (kind == PV_ALLREDUCE_TREE) return rounds(p) * message(link, bytes);
    if (kind == PV_ALLREDUCE_HALVING) return 2 * rounds(p) * link.latency + moved;
    return 2.0 * (p - 1) * link.latency + moved;
}

static double cheapest(pv_link link, int p, double bytes)
{
    return fmin(
        reduce_by(link, p, bytes, PV_ALLREDUCE_TREE),
        fmin(reduce_by(link, p, bytes, PV_ALLREDUCE_HALVING), reduce_by(link, p, bytes, PV_ALLREDUCE_RING)));
}

double pv_cost_allreduce_by(const pv_machine *m, double bytes, pv_allreduce_kind kind)
{
    const int p = m->nodes * m->ranks_per_node;
    if (kind == PV_ALLREDUCE_LEVELS)
        return 2 * rounds(m->ranks_per_node) * message(m->inside, bytes) +
               cheapest(m->between, m->nodes, bytes);
    if (m->nodes == 1) return reduce_by(m->inside, p, bytes, kind);
    /* In a ring of neighbours one message at a time leaves a node; elsewhere all its ranks send at once. */
    const int sharers = kind == PV_ALLREDUCE_RING ? 1 : m->ranks_per_node;
    return reduce_by(shared(m->between, sharers), p, bytes, kind);
}

double pv_cost_allreduce(const pv_machine *machine, double bytes, pv_allreduce_kind *kind)
{
    pv_allreduce_kind best = PV_ALLREDUCE_TREE;
    double least = pv_cost_allreduce_by(machine, bytes, best);
    for (int k = 1; k < PV_ALLREDUCE_KINDS; k++) {
        const double seconds = pv_cost_allreduce_by(machine, bytes, (pv_allreduce_kind)k);
        if (seconds < least) {
            least = seconds;
            best = (pv_allreduce_kind)k;
        }
    }
    if (kind) *kind = best;
    return least;
}

double pv_cost_narrow_allreduce(const pv_machine *m, double bytes)
{
    const int r = m->ranks_per_node, p = m->nodes;
    const double within = bytes * (r - 1) / r, between = bytes / 2 * (p - 1) / p;
    if (p == 1) return pv_cost_allreduce(m, bytes, NULL);
    return 2 * (rounds(r) * m->inside.latency + rounds(p) * m->between.latency) +
           1.5 * within * m->inside.byte_seconds + 2 * between * m->between.byte_seconds;
}

double pv_cost_fetch(const pv_machine *m, double bytes)
{
    if (m->nodes * m->ranks_per_node == 1) return 0;
    const double near = m->nodes > 1 ? 1.0 / m->nodes : 1;
    return near * message(m->inside, bytes) +
           (1 - near) * message(shared(m->between, m->ranks_per_node), bytes);
}

double pv_cost_counter_fetches(double items, int nodes)
{
    if (nodes == 1 || items <= 0) return 0;
    double left = items / 2, fetches = nodes; /* in the end each finds that nothing is left */
    while (left >= 1) {
        left -= fmax(1, floor(left / (2.0 * nodes)));
        fetches++;
    }
    return fetches;
}

const char *pv_allreduce_name(pv_allreduce_kind kind)
{
    static const char *const names[PV_ALLREDUCE_KINDS] = {"tree", "halving", "ring", "levels"};
    return names[kind];
}
