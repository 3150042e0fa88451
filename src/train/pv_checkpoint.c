/* Checkpoints on disk, the last ones kept. */
#include "pv_checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void name_kept(const char *path, int64_t age, char name[PATH_MAX])
{
    snprintf(name, PATH_MAX, age > 0 ? "%s.%lld" : "%s", path, (long long)age);
}

/* Every kept checkpoint grows older by one; the newest also stays where it is until it is replaced. */
static pv_status age_kept(const char *path, int64_t keep)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (int64_t age = keep - 1; age > 0; age--) {
        name_kept(path, age - 1, from);
        name_kept(path, age, to);
        if (age == 1) unlink(to);
        if ((age > 1 ? rename(from, to) : link(from, to)) != 0 && errno != ENOENT)
            return pv_fail(PV_ERR_IO, "cannot keep the checkpoint '%s' as '%s': %s", from, to,
                           strerror(errno));
    }
    return PV_OK;
}

static pv_status save(const char *path, int64_t keep, const pv_model_head *head, pv_model *model,
                      pv_optim *optim)
{
    const pv_status st = age_kept(path, keep);
    return st == PV_OK ? pv_model_file_write(path, head, model, optim) : st;
}

pv_status pv_checkpoint_save(const pv_comm *comm, const char *path, int64_t keep, pv_model_head *head,
                             pv_model *model, pv_optim *optim)
{
    uint64_t total = 0;
    MPI_Reduce(&head->state.stream, &total, 1, MPI_UINT64_T, MPI_SUM, 0, comm->world);
    head->state.stream = total;
    return pv_agree(comm, comm->rank == 0 ? save(path, keep, head, model, optim) : PV_OK);
}

pv_status pv_checkpoint_load(const pv_comm *comm, const char *path, pv_model_head *head, pv_model *model,
                             pv_optim *optim)
{
    pv_model_head saved;
    pv_status st = pv_model_file_head(comm, path, &saved);
    if (st != PV_OK) return st;
    if (!pv_arch_equal(&saved.arch, &head->arch) || saved.classes != head->classes)
        st = pv_fail(PV_ERR_DATA, "'%s' was trained on INRs of another architecture than this store's", path);
    else if (saved.rows != head->rows)
        st = pv_fail(
            PV_ERR_DATA,
            "'%s' was trained on other rows than the training split of this store holds; take that store, "
            "another train.output, or --fresh to start again",
            path);
    if (st == PV_OK) {
        const size_t bytes = sizeof *saved.form.mean * (size_t)saved.form.params;
        head->state = saved.state;
        if (comm->rank != 0) /* the saved mark is the sum over all ranks */
            head->state.stream = 0;
        memcpy(head->form.mean, saved.form.mean, bytes);
        memcpy(head->form.std, saved.form.std, bytes);
        st = pv_model_file_load(comm, path, model, optim);
    }
    pv_model_head_free(&saved);
    return st;
}
