/* `polyview eval`: scores a model on a split of a store. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "cmd/pv_commands.h"
#include "run/pv_open_model.h"
#include "run/pv_record.h"
#include "store/pv_store.h"
#include "train/pv_evaluate.h"
#include "train/pv_logits_file.h"
#include "train/pv_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The command's words, understood. */
typedef struct request {
    const char *model, *store, *logits;
    pv_dataset_opts data;
} request;

static pv_status parse_split(const char *text, uint8_t *split)
{
    static const char *const names[] = {"train", "val", "test"};
    for (uint8_t i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *split = i;
            return PV_OK;
        }
    return pv_fail(PV_ERR_USAGE, "--split is train, val or test, not '%s'", text);
}

static pv_status parse_request(int argc, char **argv, request *r)
{
    const char *split = "test", *views = "0";
    bool no_verify = false;
    const pv_cmd_option options[] = {
        {.name = "model", .text = &r->model},   {.name = "store", .text = &r->store},
        {.name = "split", .text = &split},      {.name = "views", .text = &views},
        {.name = "logits", .text = &r->logits}, {.name = "no-verify", .flag = &no_verify}};
    pv_status st;
    PV_TRY(pv_cmd_parse(argc, argv, options, 6, NULL, 0));
    if (!r->model || !r->store)
        PV_TRY(pv_fail(PV_ERR_USAGE, "eval needs --model and --store; see `polyview eval --help`"));
    PV_TRY(parse_split(split, &r->data.split));
    PV_TRY(pv_cmd_views("--views", views, &r->data.first_view, &r->data.views));
    r->data.verify = !no_verify;
done:
    return st;
}

static pv_status open_model(const pv_comm *comm, const request *r, const pv_store *store, pv_open_model *m)
{
    pv_status st = pv_open_model_file(comm, r->model, store, PV_EVAL_BATCH, m);
    if (st == PV_OK && pv_task_of(&m->config->train)->embeds)
        st = pv_fail(PV_ERR_DATA,
                     "'%s' was trained without labels: judge its embedding with `polyview probe`", r->model);
    return st;
}

/* The samples that are asked for, in the form that the model takes. */
static pv_status open_data(const pv_comm *comm, const request *r, const pv_store *store,
                           pv_open_model *m, pv_dataset **dataset)
{
    pv_dataset_opts opts = r->data;
    opts.form = &m->head.form;
    opts.placement = PV_PLACE_NODE;
    pv_status st = pv_dataset_open(comm, store, &opts, dataset);
    if (st == PV_OK && pv_dataset_samples(*dataset) == 0)
        st = pv_fail(PV_ERR_DATA, "'%s' has no objects in that split", r->store);
    return st;
}

/* What the samples are to the model: its training data, unseen views of it (internal), or unseen objects. */
static const char *generalisation(const request *r, int64_t trained_views)
{
    if (r->data.split != PV_SPLIT_TRAIN) return "external";
    if (r->data.first_view >= trained_views) return "internal";
    return r->data.first_view + r->data.views <= trained_views ? "training" : "mixed";
}

static void report(const request *r, const pv_score *score, int64_t trained_views, json_t *result)
{
    json_t *classes = json_array();
    pv_log_info("class  samples  correct  accuracy");
    for (int c = 0; c < score->classes; c++) {
        const int64_t samples = score->class_samples[c], correct = score->class_correct[c];
        const double accuracy = samples > 0 ? (double)correct / (double)samples : 0;
        pv_log_info("%5d %8lld %8lld    %.3f", c, (long long)samples, (long long)correct, accuracy);
        json_array_append_new(classes,
                              json_pack("{s:i, s:I, s:I, s:f}", "class", c, "samples", (json_int_t)samples,
                                        "correct", (json_int_t)correct, "accuracy", accuracy));
    }
    pv_json_text(result, "model", r->model);
    pv_json_text(result, "store", r->store);
    pv_json_text(result, "generalisation", generalisation(r, trained_views));
    pv_json_int(result, "samples", score->samples);
    pv_json_real(result, "accuracy", score->accuracy);
    pv_json_real(result, "loss", score->loss);
    json_object_set_new(result, "per_class", classes);
}

static pv_status score_data(const pv_comm *comm, const request *r, const pv_open_model *m,
                            const pv_dataset *dataset, pv_score *score)
{
    const int classes = m->head.classes;
    float *logits = NULL;
    int64_t first, share;
    pv_status st = PV_OK;
    pv_eval_share(comm, pv_dataset_samples(dataset), &first, &share);
    if (r->logits && !(logits = pv_alloc(share * classes, sizeof *logits))) st = PV_ERR_NOMEM;
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_evaluate(comm, m->model, &m->head.form, dataset, classes, true, logits, score));
    if (r->logits) PV_TRY(pv_logits_file_write(comm, r->logits, dataset, classes, logits));
done:
    free(logits);
    return st;
}

static pv_status run_eval(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const pv_run run = pv_run_begin(argc, argv);
    request r = {0};
    pv_store *store = NULL;
    pv_open_model model = {0};
    pv_dataset *dataset = NULL;
    pv_score score = {0};
    bool scored = false;
    pv_status st;
    PV_TRY(pv_agree(comm, parse_request(argc, argv, &r)));
    PV_TRY(pv_store_open(comm, r.store, PV_STORE_READ, NULL, &store));
    PV_TRY(open_model(comm, &r, store, &model));
    PV_TRY(open_data(comm, &r, store, &model, &dataset));
    PV_TRY(score_data(comm, &r, &model, dataset, &score));
    report(&r, &score, model.config->train.views, result);
    pv_result_machine(comm, result);
    scored = true;
done:
    free(score.class_samples);
    free(score.class_correct);
    pv_dataset_close(dataset);
    pv_store_close(store);
    if (scored) pv_run_record(comm, &run, r.model, model.config, st, result);
    pv_open_model_close(&model);
    return st;
}

const pv_command pv_command_eval = {
    .name = "eval",
    .summary = "score a model on a split of a store",
    .usage =
        "polyview eval --model MODEL --store STORE [--split train|val|test] [--views A-B] [--logits "
        "FILE.h5]\n"
        "              [--no-verify]\n\n"
        "Accuracy, mean loss and a table per class, over the given views (default: view 0) of the split "
        "(default:\n"
        "test). On the train split, views that training did not use measure internal generalisation. "
        "--logits\n"
        "writes the logits of every sample; --no-verify skips the comparison of rows with their checksums.\n",
    .run = run_eval,
};
