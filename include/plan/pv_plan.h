/* What a fit and a training will take, from figures of a machine: seconds unless said otherwise. */
#ifndef PV_PLAN_H
#define PV_PLAN_H

#include "plan/pv_cost.h"
#include "run/pv_run_config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Figures of a machine and a config, measured by pv_figures_measure() or read from JSON.  Those of ranks are
 * of one rank while the other ranks of its node work too. */
typedef struct pv_figures {
    double measured_nodes, measured_ranks_per_node; /* on which they were measured */
    double spread;                                  /* of repeated timings, relative (standard deviation) */
    double fit_step_s;                              /* an Adam step of an INR */
    double view_s, view_io_s; /* what a view takes beside its steps: computing, in files */
    double fit_start_s, fit_start_io_s,
        fit_start_mpi_s; /* reading the source, making, opening and closing a store: wall
                                                          * time, and of that in files and in MPI */
    double train_step_s,
        train_sample_s;      /* of an optimiser step: t = train_step_s + samples of a rank * train_sample_s */
    double train_mpi_step_s; /* a rank's time in MPI a step, waiting included; 0: not measured */
    double gradient_bytes, small_reductions,
        small_bytes;               /* of a step: its large reduction, and each of the others */
    double eval_sample_s, epoch_s; /* scoring a sample; the files of an epoch's end, which one rank writes */
    double train_start_s, train_start_io_s, train_start_mpi_s; /* all else around the epochs, as for a fit */
    double row_load_s, row_io_s; /* taking a row into memory: computing, in files */
    double counter_s;           /* a fetch from the work counter, as rank 0 serves them one after the other */
    double open_rank_s;         /* what one more rank adds to opening and closing a file */
    double rank_mib, model_mib; /* memory of a rank; what a model adds */
    pv_machine links;           /* .inside and .between; the counts are not used */
} pv_figures;

/* What is to be done. */
typedef struct pv_workload {
    int64_t rows, steps, params;                      /* INRs to fit, Adam steps of each, weights of each */
    int64_t objects, views;                           /* of the store */
    int64_t object_bytes;                             /* of a source object */
    int64_t train_samples, val_samples, test_samples; /* that pass in an epoch */
    int64_t train_rows;                               /* in memory for it, of all splits */
    int64_t epochs, batch;
    bool sharded; /* train.placement: job */
    bool narrow;  /* train.wire: bfloat16 */
} pv_workload;

typedef struct pv_prediction {
    double wall_s, low_s, high_s;                    /* the time and its error bar */
    double compute_s, io_s, communication_s, idle_s; /* parts of wall_s */
    double gradient_s, small_s; /* of communication_s: the large reductions, the others */
    double node_hours, node_mib, file_mib;
    const char *largest; /* what takes most beside computing; static storage */
} pv_prediction;

/* Local. */
pv_prediction pv_plan_fit(const pv_figures *figures, const pv_workload *work, int nodes, int ranks_per_node);
pv_prediction pv_plan_train(const pv_figures *figures, const pv_workload *work, int nodes,
                            int ranks_per_node);

/* Figures as a JSON object and back; a file may hold them as the member "figures" of a plan's result.  Local.
 * Errors: PV_ERR_DATA (`path` and what is missing named). */
json_t *pv_figures_json(const pv_figures *figures);
pv_status pv_figures_read(const char *path, pv_figures *figures);

/* What the config asks for.
 * Collective (it reads the source's sizes).  Errors: as pv_signal_open; PV_ERR_CONFIG. */
pv_status pv_plan_workload(const pv_comm *comm, const pv_run_config *config, pv_workload *work);

/* Measures the figures on the ranks of this run with the config itself, for some 15 seconds: a few of its
 * fits, and a few epochs of its training, on a temporary store.  `share` is how many samples of a batch a
 * rank will have.  Temporary files are made in `directory`, and removed.
 * Collective.  Errors: as pv_signal_open, pv_fill and pv_train, agreed. */
pv_status pv_figures_measure(const pv_comm *comm, const pv_run_config *config, int64_t share,
                             const char *directory, pv_figures *figures);

#endif
