/* `polyview plan`: what a fit and a training would take, before they are paid for. */
#include "cmd/pv_commands.h"
#include "base/pv_mem.h"
#include "plan/pv_plan.h"
#include "run/pv_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of the command line; 0 nodes or ranks: as many as run the plan. */
typedef struct words {
    char *config, *figures, *compare, *dir;
    int nodes, ranks_per_node;
    bool json;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, config), .required = true, .value = "FILE", .meaning = "what is planned"},
    {PV_KEY(words, nodes), PV_BETWEEN(1, 1000000), .meaning = "nodes"},
    {PV_KEY(words, ranks_per_node), PV_BETWEEN(1, 1000000), .value = "R", .meaning = "ranks of each"},
    {PV_KEY(words, figures), .path = true, .value = "FILE",
     .meaning = "takes the machine's figures from the JSON of an earlier plan of this config"},
    {PV_KEY(words, compare), .path = true, .value = "RUNS.jsonl",
     .meaning = "holds the prediction against the last fit or training of these records"},
    PV_OPTION_DIR(words),
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

static int ranks_per_node(const pv_past_run *run)
{
    return (run->ranks + run->nodes - 1) / run->nodes;
}

/* Keeps the last fit or training that was done. */
static void take_done(void *context, const pv_past_run *run)
{
    const bool known = strcmp(run->command, "fit") == 0 || strcmp(run->command, "train") == 0;
    if (known && run->exit_status == 0 && run->time.wall > 0 && run->nodes > 0 && run->ranks > 0)
        *(pv_past_run *)context = *run;
}

static pv_status read_record(const char *path, pv_past_run *run)
{
    const pv_status st = pv_records_read(path, take_done, run);
    if (st != PV_OK || run->nodes > 0) return st;
    return pv_fail(PV_ERR_DATA, "'%s' holds no record of a fit or training that was done", path);
}

static int nodes_of(const pv_comm *comm, const words *w)
{
    return w->nodes > 0 ? w->nodes : comm->nodes;
}

/* Of a node. */
static int ranks_of(const pv_comm *comm, const words *w)
{
    return w->ranks_per_node > 0 ? w->ranks_per_node : comm->node_size;
}

static json_t *describe(const pv_prediction *p)
{
    json_t *object = json_object();
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"wall_s", p->wall_s},     {"low_s", p->low_s},
                   {"high_s", p->high_s},     {"compute_s", p->compute_s},
                   {"io_s", p->io_s},         {"communication_s", p->communication_s},
                   {"idle_s", p->idle_s},     {"gradient_s", p->gradient_s},
                   {"small_s", p->small_s},   {"node_hours", p->node_hours},
                   {"node_mib", p->node_mib}, {"file_mib", p->file_mib}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        pv_json_real(object, numbers[i].name, numbers[i].value);
    pv_json_text(object, "largest_beside_compute", p->largest);
    return object;
}

static void format_time(double seconds, char text[24])
{
    if (seconds < 120)
        snprintf(text, 24, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(text, 24, "%.1f min", seconds / 60);
    else
        snprintf(text, 24, "%.1f h", seconds / 3600);
}

static void print_prediction(const char *what, const pv_prediction *p)
{
    char wall[24], low[24], high[24];
    format_time(p->wall_s, wall);
    format_time(p->low_s, low);
    format_time(p->high_s, high);
    fprintf(stderr, "  %-6s %10s  (%s to %s), %.2f node-hours\n", what, wall, low, high, p->node_hours);
    fprintf(stderr,
            "         %.1f %% computing, %.1f %% files, %.1f %% communication, %.1f %% waiting; most beside "
            "computing: %s\n",
            100 * p->compute_s / p->wall_s, 100 * p->io_s / p->wall_s, 100 * p->communication_s / p->wall_s,
            100 * p->idle_s / p->wall_s, p->largest);
    const double limit_mib = (double)pv_memory_limit() / 0x1p20;
    fprintf(stderr, "         %.0f MiB a node%s, %.1f MiB in files\n", p->node_mib,
            p->node_mib > limit_mib ? " (more than a job may take on this machine)" : "", p->file_mib);
}

static void plan(const pv_comm *comm, const words *w, const pv_figures *figures, const pv_workload *work,
                 json_t *result)
{
    const int nodes = nodes_of(comm, w), ranks = ranks_of(comm, w);
    const pv_prediction fit = pv_plan_fit(figures, work, nodes, ranks);
    const pv_prediction train = pv_plan_train(figures, work, nodes, ranks);
    const pv_machine machine = {nodes, ranks, figures->links.inside, figures->links.between};
    pv_allreduce_kind kind;
    pv_cost_allreduce(&machine, figures->gradient_bytes, &kind);
    if (comm->rank == 0 && !w->json) {
        fprintf(stderr, "  %d node(s) x %d ranks, by figures of %.0f x %.0f%s%s\n", nodes, ranks,
                figures->measured_nodes, figures->measured_ranks_per_node,
                w->figures ? " in " : " measured now", w->figures ? w->figures : "");
        print_prediction("fit", &fit);
        print_prediction("train", &train);
    }
    pv_json_int(result, "nodes", nodes);
    pv_json_int(result, "ranks_per_node", ranks);
    json_object_set_new(result, "fit", describe(&fit));
    json_object_set_new(result, "train", describe(&train));
    pv_json_text(result, "gradient_reduction",
                 work->narrow && nodes > 1 ? "bfloat16 between nodes" : pv_allreduce_name(kind));
    json_object_set_new(result, "figures", pv_figures_json(figures));
}

static void compare(const pv_comm *comm, const words *w, const pv_past_run *run, const pv_figures *figures,
                    const pv_workload *work, json_t *result)
{
    pv_workload done = *work;
    const bool fits = strcmp(run->command, "fit") == 0;
    if (fits) done.rows = run->fitted;
    const pv_prediction p = fits ? pv_plan_fit(figures, &done, run->nodes, ranks_per_node(run))
                                 : pv_plan_train(figures, &done, run->nodes, ranks_per_node(run));
    const struct {
        const char *name;
        double planned, measured;
    } rows[] = {{"wall time", p.wall_s, run->time.wall},
                {"computing", p.compute_s, run->time.compute},
                {"files", p.io_s, run->time.files},
                {"communication and waiting", p.communication_s + p.idle_s,
                 run->time.communication + run->time.idle}};
    if (comm->rank == 0 && !w->json) {
        fprintf(stderr, "  %s on %d node(s) x %d ranks: seconds\n  %-28s %10s %10s %8s\n", run->command,
                run->nodes, ranks_per_node(run), "", "planned", "measured", "ratio");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            fprintf(stderr, "  %-28s %10.2f %10.2f %8.3f\n", rows[i].name, rows[i].planned, rows[i].measured,
                    rows[i].measured > 0 ? rows[i].planned / rows[i].measured : 0);
    }
    pv_json_text(result, "compared", run->command);
    pv_json_int(result, "nodes", run->nodes);
    pv_json_int(result, "ranks_per_node", ranks_per_node(run));
    pv_json_real(result, "measured_wall_s", run->time.wall);
    pv_json_real(result, "ratio", p.wall_s / run->time.wall);
    json_object_set_new(result, "within_error_bar",
                        json_boolean(run->time.wall >= p.low_s && run->time.wall <= p.high_s));
    json_object_set_new(result, "planned", describe(&p));
    json_object_set_new(result, "figures", pv_figures_json(figures));
}

static pv_status run_plan(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_past_run past = {0};
    pv_run_config *config = NULL;
    pv_workload work;
    pv_figures figures;
    pv_status st;
    (void)run; /* a plan leaves no record */
    if (w->compare && (w->nodes > 0 || w->ranks_per_node > 0))
        PV_TRY(pv_fail(PV_ERR_USAGE, "--compare takes nodes and ranks from the record: leave --nodes and "
                                     "--ranks-per-node out"));
    PV_TRY(pv_agree(comm, w->compare ? read_record(w->compare, &past) : PV_OK));
    PV_TRY(pv_config_of_file(comm, w->config, &w->set, &config));
    PV_TRY(pv_plan_workload(comm, config, &work));
    const int64_t ranks = w->compare ? past.nodes * (int64_t)ranks_per_node(&past)
                                     : nodes_of(comm, w) * (int64_t)ranks_of(comm, w);
    const int64_t share = (work.batch + ranks - 1) / ranks;
    PV_TRY(w->figures ? pv_agree(comm, pv_figures_read(w->figures, &figures))
                      : pv_figures_measure(comm, config, share, w->dir, &figures));
    if (w->compare)
        compare(comm, w, &past, &figures, &work, result);
    else
        plan(comm, w, &figures, &work, result);
done:
    pv_run_config_free(config);
    return st;
}

const pv_command pv_command_plan = {
    .plugin = {.name = "plan",
               .help = "predict time, node-hours, memory and files of a fit and a training",
               PV_OWN(options, words)},
    .about =
        "Predicts what `fit` and `train` with this config take on N nodes of R ranks (as many as run the\n"
        "plan): wall time with an error bar, node-hours, memory of a node, size of the files, and where the\n"
        "time goes. It measures for some 15 seconds, with the config itself and temporary files: best on\n"
        "one full node of the machine, or on two for the network's figures, under mpirun or srun.  With\n"
        "--figures a plan for another machine can be made anywhere.\n",
    .run = run_plan,
};
