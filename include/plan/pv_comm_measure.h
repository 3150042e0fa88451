/* What communication costs here: measured by `bench comm`, used by `plan`. */
#ifndef PV_COMM_MEASURE_H
#define PV_COMM_MEASURE_H

#include "parallel/pv_comm.h"
#include "plan/pv_cost.h"
#include "train/pv_train_opts.h"

#include <stdbool.h>

/* Seconds, medians of repetitions, of the slowest rank. */
typedef struct pv_comm_figures {
    double small_allreduce, gradient_allreduce; /* of 8 bytes; of a model's gradient, as `train` says */
    double get;                                 /* a row from the next rank's memory, all ranks at once */
    double counter;        /* between two fetches that rank 0's counter serves while all ranks fetch */
    double counter_answer; /* until a rank has its answer, all fetching */
    pv_link inside,
        between; /* messages between two ranks of a node, of two nodes; guesses where there are none */
    bool knows_inside, knows_between;
} pv_comm_figures;

/* Measures for about a second.  `gradient` and `row` are in floats.
 * Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_comm_measure(const pv_comm *comm, const pv_train_opts *train, int64_t gradient, int row,
                          pv_comm_figures *figures);

#endif
