/* Models of ranks that are to be the same one: a number that differs on one rank is seen, whichever it is. */
#include "nn/pv_model_kinds.h"
#include "pv_mpi_test.h"
#include "pv_test_store.h"
#include "train/pv_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const pv_model_opts mlp = {
    .kind.plugin = &pv_model_mlp.plugin, .hidden = 7, .layers = 2, .batch_norm = true};

/* Changes one number of the last rank's model by a bit, or to what is not a number. */
static void one_number_is_seen(const pv_comm *comm, pv_model *model, int tensor, int64_t number,
                               pv_real value)
{
    const pv_model_tensor *tensors;
    char origin[32], what[128];
    pv_model_tensors(model, &tensors);
    pv_real *const at = &tensors[tensor].values[number], before = *at;
    if (comm->rank == comm->size - 1) *at = value;
    const pv_status st = pv_training_compare(comm, model, 4);
    snprintf(origin, sizeof origin, "rank %d on ", comm->size - 1);
    snprintf(what, sizeof what, "number %d of %s that is %g on one rank is seen", (int)number,
             tensors[tensor].name, (double)value);
    pv_test_check(comm,
                  comm->size == 1 ? st == PV_OK
                                  : st == PV_ERR_NUMERIC && strstr(pv_fail_message(), "after epoch 4") &&
                                        strncmp(pv_fail_message(), origin, strlen(origin)) == 0,
                  what);
    *at = before;
}

int main(int argc, char **argv)
{
    const pv_arch arch = pv_test_arch();
    pv_comm comm;
    pv_model *model = NULL;
    pv_test_begin(&argc, &argv, &comm);
    const bool made = pv_model_new(&mlp, &arch, PV_TEST_CLASSES, 4, &model) == PV_OK;
    pv_test_check(&comm, made, "a model is made");
    if (made) {
        const pv_model_tensor *tensors;
        const int count = pv_model_tensors(model, &tensors);
        pv_model_init(model, 1);
        pv_test_check(&comm, pv_training_compare(&comm, model, 4) == PV_OK, "equal models pass");
        for (int t = 0; t < count; t++)
            for (int end = 0; end < 2; end++) {
                const int64_t number = end * (tensors[t].count - 1);
                one_number_is_seen(&comm, model, t, number,
                                   nextafterf((float)tensors[t].values[number], 1e30F));
            }
        one_number_is_seen(&comm, model, 0, 0, (pv_real)NAN);
        pv_test_check(&comm, pv_training_compare(&comm, model, 4) == PV_OK, "and pass again");
    }
    pv_model_free(model);
    return pv_test_end(&comm);
}
