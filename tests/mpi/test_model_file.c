/* Model files: what is written is what every rank reads, whole checkpoints included, on any number of ranks.
 */
#include "nn/dws/pv_dws_opts.h"
#include "nn/pv_model_kinds.h"
#include "pv_mpi_test.h"
#include "pv_test_store.h"
#include "base/pv_mem.h"
#include "parallel/pv_h5.h"
#include "train/pv_model_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEPS = 3, MAX_BATCH = 4 };

static pv_dws_opts own_dws = {.fc_layers = 1, .out_fc = 1};
static const pv_model_opts kinds[] = {
    {.kind = {&pv_model_dws.plugin, &own_dws}, .hidden = 3, .layers = 1, .batch_norm = true},
    {.kind.plugin = &pv_model_mlp.plugin, .hidden = 7, .layers = 2, .batch_norm = true, .dropout = 0.1},
};
static const pv_optim_opts optims[] = {{PV_OPTIM_ADAMW, 0.01, 0, true}, {PV_OPTIM_SGD, 0, 0.9, false}};

static const pv_train_state state = {.epoch = 12,
                                     .batch = 345,
                                     .loss_sum = 0.1 + 1e-15,
                                     .correct = INT64_C(1) << 40,
                                     .stream = UINT64_C(0xfedcba9876543210),
                                     .best_merit = 1.0 / 3,
                                     .best_epoch = 11};

/* A model and its optimiser with every number in them made up. */
typedef struct subject {
    pv_model *model;
    pv_optim *optim;
    pv_model_head head;
} subject;

static pv_status subject_make(int kind, bool filled, subject *s)
{
    const pv_arch arch = pv_test_arch();
    pv_status st;
    *s = (subject){.head = {.arch = arch, .classes = PV_TEST_CLASSES, .state = state}};
    s->head.config = pv_strdup("model: {kind: dws}\n");
    PV_TRY(pv_row_form_make(&(pv_row_form_opts){0}, &arch, &s->head.form));
    PV_TRY(pv_model_new(&kinds[kind], &arch, PV_TEST_CLASSES, MAX_BATCH, &s->model));
    PV_TRY(pv_optim_new(&optims[kind], pv_model_count(s->model), &s->optim));
    if (!filled) return PV_OK;
    const pv_model_tensor *tensors;
    const int count = pv_model_tensors(s->model, &tensors);
    for (int t = 0; t < count; t++)
        for (int64_t i = 0; i < tensors[t].count; i++)
            tensors[t].values[i] = (pv_real)(t + 1) + (pv_real)i / 1024;
    for (int slot = 0; slot < pv_optim_slots(s->optim); slot++)
        for (int64_t i = 0; i < pv_model_count(s->model); i++)
            pv_optim_slot(s->optim, slot)[i] = (pv_real)(slot + 1) / (pv_real)(i + 3);
    pv_optim_set_steps(s->optim, STEPS);
    for (int i = 0; i < s->head.form.params; i++) {
        s->head.form.mean[i] = (float)i / 7;
        s->head.form.std[i] = 1 + (float)i / 3;
    }
done:
    return st;
}

/* A subject filled with numbers; the test goes on only if it could be made. */
static bool subject_ready(const pv_comm *comm, int kind, subject *s)
{
    const bool made = subject_make(kind, true, s) == PV_OK;
    pv_test_check(comm, made, "a model, its optimiser and its head are made");
    return made;
}

static void subject_free(subject *s)
{
    pv_model_free(s->model);
    pv_optim_free(s->optim);
    pv_model_head_free(&s->head);
}

static bool same_tensors(const subject *a, const subject *b)
{
    const pv_model_tensor *x, *y;
    const int count = pv_model_tensors(a->model, &x);
    bool same = pv_model_tensors(b->model, &y) == count;
    for (int t = 0; same && t < count; t++)
        same = x[t].count == y[t].count &&
               memcmp(x[t].values, y[t].values, sizeof *x[t].values * (size_t)x[t].count) == 0;
    return same;
}

static bool same_optim(const subject *a, const subject *b)
{
    bool same = pv_optim_slots(a->optim) == pv_optim_slots(b->optim) &&
                pv_optim_steps(a->optim) == pv_optim_steps(b->optim);
    for (int slot = 0; same && slot < pv_optim_slots(a->optim); slot++)
        same = memcmp(pv_optim_slot(a->optim, slot), pv_optim_slot(b->optim, slot),
                      sizeof(pv_real) * (size_t)pv_model_count(a->model)) == 0;
    return same;
}

static bool same_head(const pv_model_head *a, const pv_model_head *b)
{
    const size_t bytes = sizeof *a->form.mean * (size_t)a->form.params;
    const pv_train_state *s = &a->state, *t = &b->state;
    return strcmp(a->config, b->config) == 0 && memcmp(&a->arch, &b->arch, sizeof a->arch) == 0 &&
           a->classes == b->classes && a->form.params == b->form.params &&
           memcmp(a->form.mean, b->form.mean, bytes) == 0 && memcmp(a->form.std, b->form.std, bytes) == 0 &&
           s->epoch == t->epoch && s->batch == t->batch && s->loss_sum == t->loss_sum &&
           s->correct == t->correct && s->stream == t->stream && s->best_merit == t->best_merit &&
           s->best_epoch == t->best_epoch;
}

static bool is_there(const pv_comm *comm, const char *path, const char *suffix)
{
    char full[PV_TEST_PATH + 8];
    snprintf(full, sizeof full, "%s%s", path, suffix);
    int there = comm->rank == 0 && access(full, F_OK) == 0;
    MPI_Bcast(&there, 1, MPI_INT, 0, comm->world);
    return there;
}

/* Each opens the file. */
static pv_status read_head(const pv_comm *comm, const char *path, pv_model_head *head)
{
    pv_model_file file;
    const pv_status st = pv_model_file_open(comm, path, &file);
    *head = file.head;
    file.head = (pv_model_head){0};
    pv_model_file_close(&file);
    return st;
}

static pv_status load(const pv_comm *comm, const char *path, pv_model *model, pv_optim *optim)
{
    pv_model_file file;
    pv_status st = pv_model_file_open(comm, path, &file);
    if (st == PV_OK) st = pv_model_file_load(&file, model, optim);
    pv_model_file_close(&file);
    return st;
}

static void check_one(const pv_comm *comm, const subject *written, int kind, const char *path,
                      bool checkpoint)
{
    subject read;
    pv_model_head head;
    char statement[96];
    const char *what = checkpoint ? "checkpoint" : "model";
    const pv_status wrote = comm->rank == 0 ? pv_model_file_write(path, 1, &written->head, written->model,
                                                                  checkpoint ? written->optim : NULL)
                                            : PV_OK;
    snprintf(statement, sizeof statement, "a %s of kind %d is written by rank 0 and has its name", what,
             kind);
    pv_test_check(comm, wrote == PV_OK && is_there(comm, path, "") && !is_there(comm, path, ".part"),
                  statement);
    const pv_status st = read_head(comm, path, &head);
    snprintf(statement, sizeof statement, "every rank has the head of the %s of kind %d to the last bit",
             what, kind);
    pv_test_check(comm, st == PV_OK && same_head(&written->head, &head), statement);
    if (st == PV_OK) pv_model_head_free(&head);
    const bool made = subject_make(kind, false, &read) == PV_OK;
    const pv_status loaded =
        made ? load(comm, path, read.model, checkpoint ? read.optim : NULL) : PV_ERR_NOMEM;
    snprintf(statement, sizeof statement, "every rank has the tensors of the %s of kind %d to the last bit",
             what, kind);
    pv_test_check(comm, loaded == PV_OK && same_tensors(written, &read), statement);
    if (checkpoint) pv_test_check(comm, same_optim(written, &read), "and the optimiser's state");
    subject_free(&read);
}

static void files_hold_everything(const pv_comm *comm, const pv_test_files *files)
{
    for (int kind = 0; kind < 2; kind++) {
        subject written;
        if (subject_ready(comm, kind, &written)) {
            check_one(comm, &written, kind, files->store, false);
            check_one(comm, &written, kind, files->other, true);
        }
        subject_free(&written);
        MPI_Barrier(comm->world);
    }
}

/* files->store holds an MLP's model, files->other an MLP's checkpoint. */
static void other_files_are_refused(const pv_comm *comm, const pv_test_files *files)
{
    subject mlp, dws;
    pv_model_head head;
    if (!subject_ready(comm, 0, &dws) || !subject_ready(comm, 1, &mlp)) return;
    pv_status st = load(comm, files->store, dws.model, NULL);
    pv_test_check(comm, st == PV_ERR_DATA && strstr(pv_fail_message(), "has no dataset '/model/"),
                  "a model of another kind is refused on all ranks, with a tensor's name");
    st = load(comm, files->store, mlp.model, mlp.optim);
    pv_test_check(comm, st == PV_ERR_DATA && strstr(pv_fail_message(), "/optimizer/"),
                  "a model is no checkpoint: the optimiser's state is missed by name");
    st = load(comm, files->other, mlp.model, dws.optim);
    pv_test_check(comm, st == PV_ERR_DATA, "the state of another optimiser is refused");
    st = read_head(comm, files->directory, &head);
    pv_test_check(comm, st == PV_ERR_DATA && !head.config, "a directory is no model");
    st = read_head(comm, "/nowhere/model.h5", &head);
    pv_test_check(comm, st == PV_ERR_IO && strstr(pv_fail_message(), "/nowhere/model.h5"),
                  "a path that is not there is named on all ranks");
    subject_free(&dws);
    subject_free(&mlp);
}

/* What rows are divided by is above 0; every number of a form is finite. */
static void forms_that_spoil_rows_are_refused(const pv_comm *comm, const pv_test_files *files)
{
    const struct {
        const char *dataset;
        float value;
    } bad[] = {{"/norm/std", 0},         {"/norm/std", -1},   {"/norm/std", NAN},
               {"/norm/std", INFINITY},  {"/norm/mean", NAN}, {"/norm/mean", INFINITY},
               {"/reference", -INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        subject s;
        pv_model_head head;
        char statement[96];
        if (!subject_ready(comm, 1, &s)) return;
        pv_row_form *const form = &s.head.form;
        form->reference = pv_alloc(form->params, sizeof *form->reference);
        float *const row = strcmp(bad[i].dataset, "/norm/std") == 0    ? form->std
                           : strcmp(bad[i].dataset, "/norm/mean") == 0 ? form->mean
                                                                       : form->reference;
        row[form->params - 1] = bad[i].value;
        pv_status st = comm->rank == 0 ? pv_model_file_write(files->other, 1, &s.head, s.model, NULL) : PV_OK;
        pv_test_check(comm, st == PV_OK, "a model with a spoilt form is written");
        st = read_head(comm, files->other, &head);
        snprintf(statement, sizeof statement, "%g in %s is refused, file and dataset named",
                 (double)bad[i].value, bad[i].dataset);
        pv_test_check(comm,
                      st == PV_ERR_DATA && strstr(pv_fail_message(), files->other) &&
                          strstr(pv_fail_message(), bad[i].dataset),
                      statement);
        subject_free(&s);
    }
}

static void failed_writes_leave_the_old_file(const pv_comm *comm, const pv_test_files *files)
{
    subject s;
    if (!subject_ready(comm, 1, &s)) return;
    const pv_status st = pv_model_file_write("/nowhere/model.h5", 1, &s.head, s.model, NULL);
    pv_test_check(comm, st == PV_ERR_IO && strstr(pv_fail_message(), "/nowhere/model.h5"),
                  "a path that cannot be written is named");
    /* A directory in the way of the temporary name. */
    char part[PV_TEST_PATH + 8];
    snprintf(part, sizeof part, "%s.part", files->store);
    pv_status blocked = PV_ERR_IO;
    if (comm->rank == 0) {
        if (mkdir(part, 0700) != 0) perror(part);
        blocked = pv_model_file_write(files->store, 1, &s.head, s.model, s.optim);
        rmdir(part);
    }
    pv_model_head head;
    const pv_status old = read_head(comm, files->store, &head);
    pv_test_check(comm, blocked == PV_ERR_IO && old == PV_OK,
                  "after a failed write the earlier file is as it was");
    if (old == PV_OK) pv_model_head_free(&head);
    subject_free(&s);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_files files;
    pv_test_begin(&argc, &argv, &comm);
    pv_h5_begin();
    pv_test_files_make(&comm, &files);
    files_hold_everything(&comm, &files);
    other_files_are_refused(&comm, &files);
    forms_that_spoil_rows_are_refused(&comm, &files);
    failed_writes_leave_the_old_file(&comm, &files);
    pv_test_files_remove(&comm, &files);
    return pv_test_end(&comm);
}
