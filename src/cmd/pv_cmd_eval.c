/* `polyview eval`: scores a model on a split of a store. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "cmd/pv_commands.h"
#include "parallel/pv_output.h"
#include "run/pv_open.h"
#include "store/pv_store.h"
#include "train/pv_evaluate.h"
#include "train/pv_task.h"

#include <stdlib.h>

/* The words of the command line. */
typedef struct words {
    char *model, *store, *logits;
    unsigned split;
    pv_span views;
    bool no_verify;
} words;

static const char *const splits[] = {"train", "val", "test", NULL}; /* by PV_SPLIT_... */

static const pv_option options[] = {
    {PV_KEY(words, model), .path = true, .required = true, .value = "MODEL", .meaning = "the model"},
    {PV_KEY(words, store), .path = true, .required = true, .value = "STORE", .meaning = "the store"},
    {PV_KEY(words, split), .choices = splits, .initial = "test", .meaning = "which objects"},
    {PV_KEY(words, views), .initial = "0", .meaning = "which views of them"},
    {PV_KEY(words, logits), .path = true, .value = "FILE.h5",
     .meaning = "where the logits of every sample go"},
    {PV_KEY(words, no_verify), .meaning = "skips the comparison of rows with their checksums"},
    {0}};

static pv_status open_model(const pv_comm *comm, const words *w, const pv_store *store, pv_open_model *m)
{
    pv_status st = pv_open_model_file(comm, w->model, store, PV_EVAL_BATCH, m);
    if (st == PV_OK && pv_task_of(&m->config->train)->embeds)
        st = pv_fail(PV_ERR_DATA,
                     "'%s' was trained without labels: judge its embedding with `polyview probe`", w->model);
    return st;
}

/* The samples that are asked for, in the form that the model takes. */
static pv_status open_data(const pv_comm *comm, const words *w, const pv_store *store, pv_open_model *m,
                           pv_dataset **dataset)
{
    const pv_dataset_opts opts = {.split = (uint8_t)w->split,
                                  .first_view = w->views.first,
                                  .views = w->views.count,
                                  .verify = !w->no_verify,
                                  .form = &m->head.form,
                                  .placement = PV_PLACE_NODE};
    pv_status st = pv_dataset_open(comm, store, &opts, dataset);
    if (st == PV_OK && pv_dataset_samples(*dataset) == 0)
        st = pv_fail(PV_ERR_DATA, "'%s' has no objects in that split", w->store);
    return st;
}

/* What the samples are to the model: its training data, unseen views of it (internal), or unseen objects. */
static const char *generalisation(const words *w, int64_t trained_views)
{
    if (w->split != PV_SPLIT_TRAIN) return "external";
    if (w->views.first >= trained_views) return "internal";
    return w->views.first + w->views.count <= trained_views ? "training" : "mixed";
}

static void report(const words *w, const pv_store *store, const pv_score *score, int64_t trained_views,
                   json_t *result)
{
    const pv_class_name *names = pv_store_class_names(store);
    const int named = names ? pv_store_signal(store)->classes : 0;
    json_t *classes = json_array();
    pv_log_info("class  samples  correct  accuracy");
    for (int c = 0; c < score->classes; c++) {
        const int64_t samples = score->class_samples[c], correct = score->class_correct[c];
        const double accuracy = samples > 0 ? (double)correct / (double)samples : 0;
        pv_log_info("%5d %8lld %8lld    %.3f%s%s", c, (long long)samples, (long long)correct, accuracy,
                    c < named ? "  " : "", c < named ? names[c].text : "");
        json_array_append_new(classes,
                              json_pack("{s:i, s:I, s:I, s:f}", "class", c, "samples", (json_int_t)samples,
                                        "correct", (json_int_t)correct, "accuracy", accuracy));
        if (c < named) pv_json_text(json_array_get(classes, (size_t)c), "name", names[c].text);
    }
    pv_json_text(result, "model", w->model);
    pv_json_text(result, "store", w->store);
    pv_json_text(result, "generalisation", generalisation(w, trained_views));
    pv_json_int(result, "samples", score->samples);
    pv_json_real(result, "accuracy", score->accuracy);
    pv_json_real(result, "loss", score->loss);
    json_object_set_new(result, "per_class", classes);
}

static pv_status score_data(const pv_comm *comm, const words *w, const pv_open_model *m,
                            const pv_dataset *dataset, pv_score *score)
{
    const int classes = m->head.classes;
    float *logits = NULL;
    int64_t first, share;
    pv_status st = PV_OK;
    pv_eval_share(comm, pv_dataset_samples(dataset), &first, &share);
    if (w->logits && !(logits = pv_alloc(share * classes, sizeof *logits))) st = PV_ERR_NOMEM;
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_evaluate(comm, m->model, &m->head.form, dataset, classes, true, logits, score));
    const int64_t unlabelled = pv_dataset_samples(dataset) - score->samples;
    if (score->samples == 0 && !w->logits)
        PV_TRY(pv_fail(PV_ERR_DATA,
                       "no object of that split of '%s' has a label to compare "
                       "with: --logits FILE writes what the model makes of them",
                       w->store));
    if (unlabelled > 0)
        pv_log_warn("%lld of %lld samples have no label: figures are of the others", (long long)unlabelled,
                    (long long)pv_dataset_samples(dataset));
    if (w->logits) PV_TRY(pv_eval_write_logits(comm, w->logits, dataset, classes, logits));
done:
    free(logits);
    return st;
}

static pv_status run_eval(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_store *store = NULL;
    pv_open_model model = {0};
    pv_dataset *dataset = NULL;
    pv_score score = {0};
    pv_status st = PV_OK;
    if (w->logits)
        PV_TRY(pv_output_check(comm, "--logits", w->logits, (const char *const[]){"logits", NULL}));
    PV_TRY(pv_store_open(comm, w->store, PV_STORE_READ, NULL, &store));
    PV_TRY(open_model(comm, w, store, &model));
    PV_TRY(open_data(comm, w, store, &model, &dataset));
    PV_TRY(score_data(comm, w, &model, dataset, &score));
    PV_TRY(pv_agree(comm, pv_open_tell_init(store, result)));
    report(w, store, &score, model.config->train.views, result);
    pv_result_machine(comm, result);
    pv_run_keep(run, w->model, model.config);
done:
    PV_FREE(score.class_samples, score.class_correct);
    pv_dataset_close(dataset);
    pv_store_close(store);
    pv_open_model_close(&model);
    return st;
}

const pv_command pv_command_eval = {
    .plugin = {.name = "eval", .help = "score a model on a split of a store", PV_OWN(options, words)},
    .about =
        "Accuracy, mean loss and a table per class.  On the train split, views that training did not use\n"
        "measure internal generalisation.\n",
    .run = run_eval,
};
