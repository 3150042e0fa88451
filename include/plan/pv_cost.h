/* What collectives cost, by latency-bandwidth models: a message of n bytes takes latency + n * byte_seconds.
 *
 * Ranks are p = nodes x ranks_per_node.  The ranks of a node share its link to the others: r of them that
 * talk at once get 1/r of its bandwidth each.  Source: Thakur, Rabenseifner, Gropp 2005, "Optimization of
 * collective communication operations in MPICH"; the additions of a reduction count as part of byte_seconds,
 * as a measured bandwidth has them.  Differs: the sharing of links, and the two-level algorithm. */
#ifndef PV_COST_H
#define PV_COST_H

typedef struct pv_link {
    double latency, byte_seconds;
} pv_link;

typedef struct pv_machine {
    int nodes, ranks_per_node;
    pv_link inside, between; /* two ranks of a node, two nodes */
} pv_machine;

typedef enum pv_allreduce_kind {
    PV_ALLREDUCE_TREE,    /* recursive doubling: every rank sends everything in log2 p rounds */
    PV_ALLREDUCE_HALVING, /* recursive halving, then doubling: everything twice, in 2 log2 p rounds */
    PV_ALLREDUCE_RING,    /* everything twice, in 2 (p - 1) rounds between neighbours */
    PV_ALLREDUCE_LEVELS,  /* a tree within every node, the best of these between the nodes, a tree back */
    PV_ALLREDUCE_KINDS
} pv_allreduce_kind;

/* Seconds of one algorithm; 0 for one rank.  Local, like everything here. */
double pv_cost_allreduce_by(const pv_machine *machine, double bytes, pv_allreduce_kind kind);

/* The cheapest, as MPI libraries choose; *kind receives it unless NULL. */
double pv_cost_allreduce(const pv_machine *machine, double bytes, pv_allreduce_kind *kind);

/* A gradient of `bytes` of floats of which nodes send each other halves (pv_wire_sum.h): within a node all
 * ranks exchange parts, between nodes those of a lane do, and back. */
double pv_cost_narrow_allreduce(const pv_machine *machine, double bytes);

/* Fetching n bytes from another rank's memory while every rank does the same; a share 1/nodes of the
 * partners is near. */
double pv_cost_fetch(const pv_machine *machine, double bytes);

/* The work counter of a fit: how often all nodes together fetch a chunk of `items`, by pv_queue's rule
 * (half of an even share at the start, half of an even share of the rest at every fetch); 0 for one node. */
double pv_cost_counter_fetches(double items, int nodes);

const char *pv_allreduce_name(pv_allreduce_kind kind);

#endif
