/* Rows to time training on: the task of a training on made-up INRs with made-up labels, as many as wanted,
 * without a store.
 */
#ifndef PV_BENCH_TASK_H
#define PV_BENCH_TASK_H

#include "inr/pv_arch.h"
#include "train/pv_task.h"

/* The made-up rows of a rank: freshly initialised INRs. */
typedef struct pv_bench_rows {
    int params, classes;
    float *rows;      /* [PV_BENCH_ROWS][P] */
    int32_t *labels;  /* [PV_BENCH_ROWS] */
    pv_row_form form; /* with the statistics of the rows */
} pv_bench_rows;

enum { PV_BENCH_ROWS = 512 };

/* Owner: pv_bench_rows_free.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_bench_rows_make(const pv_arch *arch, pv_inr_variant variant, int classes, pv_bench_rows *rows);
void pv_bench_rows_free(pv_bench_rows *rows);

/* A task that trains on the rows for ever, augmented by `augment`; `rows` and opts are borrowed.
 * Owner: pv_task_close.  Local, but the same on all ranks.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM. */
pv_status pv_bench_task_open(const pv_comm *comm, const pv_train_opts *opts, const pv_arch *arch,
                             const pv_augment_list *augment, const pv_bench_rows *rows, pv_task *task);

#endif
