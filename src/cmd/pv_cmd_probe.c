/* `polyview probe`: judges frozen features. */
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "cmd/pv_commands.h"
#include "run/pv_record.h"
#include "run/pv_probe_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum method { RIDGE, KRR, KNN, PCA, CKA, METHODS } method;
static const char *const method_names[METHODS] = {"ridge", "krr", "knn", "pca", "cka"};

/* The words of the command line. */
typedef struct words {
    const char *store, *model, *untrained, *features, *against, *method, *targets, *views, *lambda, *kernel,
        *gamma, *neighbours, *components, *labels_per_class, *seed, *scale, *output;
} words;

/* The command, understood. */
typedef struct request {
    pv_probe_source source, against; /* against: cka; its store is NULL when there is none */
    pv_probe_sampling sampling;
    method method;
    bool scaled;
    pv_candidates lambdas, neighbours;
    pv_kernel kernel;
    double gamma; /* 0: by the features */
    int components;
    const char *output;
} request;

/* The number of a word among names; PV_ERR_USAGE naming the option otherwise. */
static pv_status choose(const char *option, const char *word, const char *const *names, int count, int *which)
{
    char known[128] = "";
    for (int i = 0; i < count; i++) {
        if (strcmp(word, names[i]) == 0) {
            *which = i;
            return PV_OK;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", names[i]);
    }
    return pv_fail(PV_ERR_USAGE, "%s is one of %s, not '%s'", option, known, word);
}

/* "1e-3,1e-2": numbers from `least` up. */
static pv_status parse_list(const char *option, const char *text, double least, pv_candidates *list)
{
    list->count = 0;
    for (const char *at = text;; at++) {
        char *end;
        const double value = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !(value >= least) || value > 1e12)
            return pv_fail(PV_ERR_USAGE, "%s is a list of numbers from %g up (1e-3,1e-2), not '%s'", option,
                           least, text);
        if (list->count == PV_PROBE_CANDIDATES)
            return pv_fail(PV_ERR_USAGE, "%s takes %d numbers at most", option, PV_PROBE_CANDIDATES);
        list->of[list->count++] = value;
        at = end;
        if (!*at) return PV_OK;
    }
}

static pv_status parse_numbers(const words *w, request *r)
{
    int64_t components, seed;
    double gamma = 0;
    pv_status st;
    PV_TRY(parse_list("--lambda", w->lambda, 0, &r->lambdas));
    PV_TRY(parse_list("--neighbours", w->neighbours, 1, &r->neighbours));
    PV_TRY(pv_cmd_number("--components", w->components, &components));
    PV_TRY(pv_cmd_number("--labels-per-class", w->labels_per_class, &r->sampling.per_class));
    PV_TRY(pv_cmd_number("--seed", w->seed, &seed));
    if (w->gamma) PV_TRY(pv_cmd_real("--gamma", w->gamma, &gamma));
    if (components < 1 || components > 65536)
        PV_TRY(pv_fail(PV_ERR_USAGE, "--components is a number from 1 up, not '%s'", w->components));
    if (w->gamma && !(gamma > 0))
        PV_TRY(pv_fail(PV_ERR_USAGE, "--gamma is a number above 0, not '%s'", w->gamma));
    r->components = (int)components;
    r->sampling.seed = (uint64_t)seed;
    r->gamma = gamma;
done:
    return st;
}

/* What the features are made by: exactly one of model, untrained, features. */
static pv_status parse_source(const words *w, request *r)
{
    static const char *const names[] = {"raw", "aligned"};
    const int given = (w->model != NULL) + (w->untrained != NULL) + (w->features != NULL);
    int which = 0;
    if (!w->store || given != 1)
        return pv_fail(PV_ERR_USAGE,
                       "probe needs --store and one of --model, --untrained, --features; see `polyview probe "
                       "--help`");
    const pv_status st = w->features ? choose("--features", w->features, names, 2, &which) : PV_OK;
    r->source =
        (pv_probe_source){.model = w->model, .untrained = w->untrained, .aligned = w->features && which == 1};
    r->against = (pv_probe_source){.model = w->against};
    return st;
}

static pv_status parse_request(int argc, char **argv, words *w, request *r)
{
    static const char *const kernels[] = {"rbf", "linear"}, *const scales[] = {"none", "std"};
    static const char *const targets[] = {"label", "object"};
    const pv_cmd_option options[] = {{.name = "store", .text = &w->store},
                                     {.name = "model", .text = &w->model},
                                     {.name = "untrained", .text = &w->untrained},
                                     {.name = "features", .text = &w->features},
                                     {.name = "against", .text = &w->against},
                                     {.name = "method", .text = &w->method},
                                     {.name = "targets", .text = &w->targets},
                                     {.name = "views", .text = &w->views},
                                     {.name = "lambda", .text = &w->lambda},
                                     {.name = "kernel", .text = &w->kernel},
                                     {.name = "gamma", .text = &w->gamma},
                                     {.name = "neighbours", .text = &w->neighbours},
                                     {.name = "components", .text = &w->components},
                                     {.name = "labels-per-class", .text = &w->labels_per_class},
                                     {.name = "seed", .text = &w->seed},
                                     {.name = "scale", .text = &w->scale},
                                     {.name = "output", .text = &w->output}};
    int method_number = 0, kernel = 0, scale = 0, target = 0;
    pv_status st;
    PV_TRY(pv_cmd_parse(argc, argv, options, sizeof options / sizeof *options, NULL, 0));
    PV_TRY(parse_source(w, r));
    if (!w->method) PV_TRY(pv_fail(PV_ERR_USAGE, "probe needs --method; see `polyview probe --help`"));
    PV_TRY(choose("--method", w->method, method_names, METHODS, &method_number));
    PV_TRY(choose("--kernel", w->kernel, kernels, 2, &kernel));
    PV_TRY(choose("--targets", w->targets, targets, 2, &target));
    r->method = (method)method_number;
    r->kernel = kernel == 0 ? PV_KERNEL_RBF : PV_KERNEL_LINEAR;
    r->sampling.object_targets = target == 1;
    if (!w->scale) w->scale = r->method == RIDGE || r->method == KRR ? "std" : "none";
    PV_TRY(choose("--scale", w->scale, scales, 2, &scale));
    r->scaled = scale == 1;
    PV_TRY(pv_cmd_views("--views", w->views, &r->sampling.first_view, &r->sampling.views));
    PV_TRY(parse_numbers(w, r));
    r->output = w->output;
done:
    return st;
}

/* gamma such that the mean squared distance of scaled features is of order one: 1 / (width x mean variance). */
static double default_gamma(const pv_comm *comm, const pv_features *f)
{
    double sums[2] = {0, 0};
    for (int64_t i = 0; i < f->count * f->width; i++) {
        sums[0] += f->x[i];
        sums[1] += f->x[i] * f->x[i];
    }
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, comm->world);
    const double numbers = (double)f->samples * f->width, mean = sums[0] / numbers;
    const double variance = sums[1] / numbers - mean * mean;
    return variance > 0 ? 1 / (f->width * variance) : 1;
}

static void report_score(const request *r, const pv_probe_data *data, const pv_probe_result *found,
                         json_t *result)
{
    const char *what = data->classes ? "accuracy" : "r2";
    char name[32];
    if (data->val.samples > 0) {
        snprintf(name, sizeof name, "val_%s", what);
        pv_json_real(result, name, found->val_score);
    }
    snprintf(name, sizeof name, "test_%s", what);
    pv_json_real(result, name, found->test_score);
    pv_log_info("test %s %.4f with %s %g", what, found->test_score,
                r->method == KNN ? "neighbours" : "lambda", found->chosen);
    if (data->classes) return;
    json_t *targets = json_array();
    for (int t = 0; t < data->test.targets; t++)
        json_array_append_new(targets, json_real(found->target_scores[t]));
    json_object_set_new(result, "test_r2_of_targets", targets);
}

static void report_system(const pv_probe_result *found, json_t *result)
{
    const double n = (double)found->system, flops = n * n * n / 3;
    pv_json_real(result, "lambda", found->chosen);
    pv_json_real(result, "alpha", found->added);
    pv_json_real(result, "reciprocal_condition", found->rcond);
    pv_json_int(result, "unknowns", found->system);
    pv_json_real(result, "system_mib_rank", (double)found->system_bytes / 0x1p20);
    pv_json_real(result, "build_seconds", found->build_seconds);
    pv_json_real(result, "factor_seconds", found->factor_seconds);
    pv_json_real(result, "factor_gflops", flops / found->factor_seconds / 1e9);
}

static pv_status predict(const pv_comm *comm, const request *r, const pv_probe_data *data, json_t *result)
{
    pv_probe_result found;
    const double gamma = r->gamma > 0 ? r->gamma : default_gamma(comm, &data->train);
    pv_status st;
    PV_TRY(r->method == RIDGE ? pv_probe_ridge(comm, data, &r->lambdas, &found)
           : r->method == KRR ? pv_probe_krr(comm, data, r->kernel, gamma, &r->lambdas, &found)
                              : pv_probe_knn(comm, data, &r->neighbours, &found));
    report_score(r, data, &found, result);
    if (r->method == KNN)
        pv_json_int(result, "neighbours", (int64_t)found.chosen);
    else
        report_system(&found, result);
    if (r->method == KRR) {
        pv_json_text(result, "kernel", r->kernel == PV_KERNEL_RBF ? "rbf" : "linear");
        if (r->kernel == PV_KERNEL_RBF) pv_json_real(result, "gamma", gamma);
    }
    if (r->output) PV_TRY(pv_probe_write_predictions(comm, r->output, &data->test, found.predictions));
done:
    pv_probe_result_free(&found);
    return st;
}

static pv_status components(const pv_comm *comm, const request *r, const pv_probe_data *data, json_t *result)
{
    pv_pca pca;
    pv_status st;
    PV_TRY(pv_pca_fit(comm, &data->train, r->components, &pca));
    json_t *explained = json_array();
    double sum = 0;
    for (int i = 0; i < pca.components; i++) {
        json_array_append_new(explained, json_real(pca.explained[i]));
        sum += pca.explained[i];
    }
    json_object_set_new(result, "explained", explained);
    pv_log_info("%d components explain %.1f %% of the variance", pca.components, 100 * sum);
    if (r->output) st = pv_probe_write_components(comm, r->output, &data->test, &pca);
done:
    pv_pca_free(&pca);
    return st;
}

/* The alignment of every view of one representation with every view of the other. */
static pv_status alignments(const pv_comm *comm, const request *r, const pv_store *store, json_t *result)
{
    const int64_t views = r->sampling.views;
    pv_probe_views one = {0}, other = {0};
    json_t *rows = json_array();
    pv_status st;
    PV_TRY(pv_probe_views_open(comm, store, &r->source, &r->sampling, &one));
    if (r->against.model) PV_TRY(pv_probe_views_open(comm, store, &r->against, &r->sampling, &other));
    const pv_features *const b = r->against.model ? other.of : one.of;
    for (int64_t i = 0; i < views; i++) {
        json_t *row = json_array();
        json_array_append_new(rows, row);
        for (int64_t j = 0; j < views; j++) {
            double cka;
            PV_TRY(pv_probe_cka(comm, &one.of[i], &b[j], &cka));
            json_array_append_new(row, json_real(cka));
        }
    }
    json_object_set(result, "cka", rows);
    pv_json_int(result, "width", one.of[0].width);
    pv_json_int(result, "test", one.of[0].samples);
done:
    json_decref(rows);
    pv_probe_views_close(&one);
    pv_probe_views_close(&other);
    return st;
}

static pv_status fit_and_judge(const pv_comm *comm, const request *r, const pv_store *store, json_t *result)
{
    pv_probe_data data = {0};
    pv_status st;
    const double start = pv_seconds();
    PV_TRY(pv_probe_data_open(comm, store, &r->source, &r->sampling, &data));
    if (r->scaled) PV_TRY(pv_probe_data_scale(comm, &data));
    pv_json_int(result, "width", data.train.width);
    pv_json_int(result, "train", data.train.samples);
    pv_json_int(result, "val", data.val.samples);
    pv_json_int(result, "test", data.test.samples);
    pv_json_real(result, "features_seconds", pv_seconds() - start);
    PV_TRY(r->method == PCA ? components(comm, r, &data, result) : predict(comm, r, &data, result));
done:
    pv_probe_data_close(&data);
    return st;
}

static pv_status run_probe(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const pv_run run = pv_run_begin(argc, argv);
    words w = {.targets = "label",
               .views = "0",
               .lambda = "1e-6,1e-5,1e-4,1e-3,1e-2,1e-1,1,10",
               .kernel = "rbf",
               .neighbours = "1,5,10,20,50",
               .components = "2",
               .labels_per_class = "0",
               .seed = "1"};
    request r = {0};
    pv_store *store = NULL;
    pv_status st;
    const double start = pv_seconds();
    PV_TRY(pv_agree(comm, parse_request(argc, argv, &w, &r)));
    PV_TRY(pv_store_open(comm, w.store, PV_STORE_READ, NULL, &store));
    pv_json_text(result, "method", method_names[r.method]);
    pv_json_text(result, "store", w.store);
    pv_json_text(result, "features", w.model ? w.model : w.untrained ? "untrained" : w.features);
    PV_TRY(r.method == CKA ? alignments(comm, &r, store, result) : fit_and_judge(comm, &r, store, result));
    pv_json_real(result, "seconds", pv_seconds() - start);
    pv_result_machine(comm, result);
done:
    if (st != PV_OK) json_object_clear(result);
    pv_store_close(store);
    if (st == PV_OK) pv_run_record(comm, &run, w.model ? w.model : w.store, NULL, st, result);
    return st;
}

const pv_command pv_command_probe = {
    .name = "probe",
    .summary = "judge frozen features: ridge, kernel ridge, neighbours, components",
    .usage =
        "polyview probe --store STORE --method ridge|krr|knn|pca|cka\n"
        "               (--model MODEL | --untrained CONFIG | --features raw|aligned) [OPTIONS]\n\n"
        "Makes features of INRs, in parallel: of a frozen model (what its last linear map is given; of a simclr model\n"
        "the embedding), of a model as a config initialises it, or the weights themselves, as they are or matched to\n"
        "those of one object. Fits a probe to the train split, chooses its hyperparameter on the validation split,\n"
        "and judges it on view 0 of the test split.\n\n"
        "  --targets label|object    what is predicted: the class, or the real targets of a store that has some\n"
        "  --views A-B               views of the train split (default 0); cka: of the test split\n"
        "  --labels-per-class N      train on N objects of each class, drawn by --seed (default 0: on all)\n"
        "  --seed N                  of that draw, and of --untrained (default 1)\n"
        "  --scale std|none          standardise features by the train split (default: std for ridge and krr)\n"
        "  --lambda L,...            ridge, krr: candidates, as shares of the mean diagonal of the system\n"
        "  --kernel rbf|linear       krr (default rbf)      --gamma G  rbf (default 1 / (width x variance))\n"
        "  --neighbours K,...        knn, by cosine: candidates\n"
        "  --components C            pca (default 2)\n"
        "  --against MODEL           cka: the other model (default: the same, view against view)\n"
        "  --output FILE.h5          predictions, or coordinates, of the test split\n\n"
        "krr holds the whole kernel, n x n over the ranks: 8 n^2 / ranks bytes a rank.\n",
    .run = run_probe,
};
