/* The memory of a run, item by item. */
#include "pv_memory_plan.h"
#include "base/pv_log.h"

int64_t pv_memory_plan(const pv_training *t, int64_t before)
{
    const pv_step_memory step = pv_stepper_memory(t->stepper);
    const int64_t rows = pv_dataset_memory(t->train) + pv_dataset_memory(t->val) +
                         pv_dataset_memory(t->test) + pv_sampler_memory(t->task.sampler);
    const int64_t tensors = pv_model_count(pv_stepper_model(t->stepper)) * (int64_t)sizeof(pv_real) *
                            (1 + pv_optim_slots(pv_stepper_optim(t->stepper)));
    /* the file of a checkpoint is made in memory, then written */
    const int64_t checkpoint = t->comm->rank == 0 ? 2 * tensors : 0;
    int64_t plan = before + step.models + step.optimiser + step.batch + rows + checkpoint;
    pv_log_info(
        "memory of a rank: %.1f MiB = %.1f program + %.1f models and workspace + %.1f optimiser "
        "+ %.1f batch + %.1f rows + %.1f checkpoint",
        (double)plan / 0x1p20, (double)before / 0x1p20, (double)step.models / 0x1p20,
        (double)step.optimiser / 0x1p20, (double)step.batch / 0x1p20, (double)rows / 0x1p20,
        (double)checkpoint / 0x1p20);
    MPI_Allreduce(MPI_IN_PLACE, &plan, 1, MPI_INT64_T, MPI_MAX, t->comm->world);
    return plan;
}
