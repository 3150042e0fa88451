/* Writes and reads the records of runs: what all ranks tell is gathered at the end of one. */
#include "run/pv_record.h"
#include "base/pv_checksum.h"
#include "base/pv_clock.h"
#include "base/pv_cpu.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_version.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_VERSION = 1 };

char *pv_record_path(const char *output)
{
    char *path = NULL;
    return asprintf(&path, "%s.runs.jsonl", output) < 0 ? NULL : path;
}

void pv_record_put_origin(const pv_run_origin *run, const char *output, pv_status end, json_t *record)
{
    char when[32];
    struct tm utc;
    json_t *words = json_array();
    for (int i = 1; i < run->argc; i++)
        json_array_append_new(words, json_string(run->argv[i]));
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&run->started, &utc));
    pv_json_int(record, "polyview_run", RECORD_VERSION);
    pv_json_text(record, "command", run->argv[0]);
    json_object_set_new(record, "words", words);
    pv_json_text(record, "output", output);
    pv_json_text(record, "started", when);
    pv_json_text(record, "end", pv_status_text(end));
    pv_json_int(record, "exit_status", pv_status_exit_code(end));
    pv_json_text(record, "code_version", pv_version());
}

pv_time_split pv_time_split_make(double wall, double files, double mpi, double busiest)
{
    const double communication = fmin(mpi, fmax(0, wall - busiest));
    return (pv_time_split){wall, fmax(0, wall - files - mpi), files, communication, mpi - communication};
}

void pv_record_put_time(const pv_time_split *split, double cpu_seconds, json_t *record)
{
    json_t *time = json_object();
    pv_json_real(time, "wall_s", split->wall);
    pv_json_real(time, "compute_s", split->compute);
    pv_json_real(time, "io_s", split->files);
    pv_json_real(time, "communication_s", split->communication);
    pv_json_real(time, "idle_s", split->idle);
    pv_json_real(time, "cpu_s", cpu_seconds);
    json_object_set_new(record, "time", time);
}

void pv_record_put_slurm(json_t *record)
{
    static const char *const names[][2] = {{"job_id", "SLURM_JOB_ID"},
                                           {"step_id", "SLURM_STEP_ID"},
                                           {"restart_count", "SLURM_RESTART_COUNT"},
                                           {"array_job_id", "SLURM_ARRAY_JOB_ID"},
                                           {"array_task_id", "SLURM_ARRAY_TASK_ID"},
                                           {"partition", "SLURM_JOB_PARTITION"}};
    json_t *slurm = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i][1]);
        if (value) pv_json_text(slurm, names[i][0], value);
    }
    if (json_object_size(slurm) > 0)
        json_object_set_new(record, "slurm", slurm);
    else
        json_decref(slurm);
}

pv_status pv_record_append(const char *output, const json_t *record)
{
    char *path = NULL, *line = NULL, *text = json_dumps(record, JSON_REAL_PRECISION(9));
    pv_status st = PV_OK;
    int length = 0, fd = -1;
    if (!text || !(path = pv_record_path(output)) || (length = asprintf(&line, "%s\n", text)) < 0)
        PV_TRY(pv_fail(PV_ERR_NOMEM, "no memory for the record of this run"));
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line, (size_t)length) != length || fsync(fd) != 0)
        st = pv_fail(PV_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
done:
    if (fd >= 0) close(fd);
    PV_FREE(line, path, text);
    return st;
}

enum { HOST_BYTES = 64 };

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static int64_t read_counter(const char *path)
{
    long long value = -1;
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    if (fscanf(file, "%lld", &value) != 1) value = -1;
    fclose(file);
    return value;
}

/* The node's energy counter; -1: it has none. */
static int64_t joules_used(void)
{
    const int64_t cray = read_counter("/sys/cray/pm_counters/energy");
    if (cray >= 0) return cray;
    glob_t packages;
    int64_t sum = -1;
    if (glob("/sys/class/powercap/intel-rapl:[0-9]/energy_uj", 0, NULL, &packages) != 0) return -1;
    for (size_t i = 0; i < packages.gl_pathc; i++) {
        const int64_t microjoules = read_counter(packages.gl_pathv[i]);
        if (microjoules >= 0) sum = (sum < 0 ? 0 : sum) + microjoules / 1000000;
    }
    globfree(&packages);
    return sum;
}

pv_run pv_run_begin(int argc, char **argv)
{
    return (pv_run){.origin = {argc, argv, time(NULL)},
                    .begin = pv_seconds(),
                    .cpu_seconds = cpu_seconds(),
                    .joules = joules_used(),
                    .meter = pv_meter_read()};
}

/* What a node tells. */
typedef struct node_facts {
    char host[HOST_BYTES];
    int64_t ranks, memory, joules;
    int64_t cpus;   /* that its ranks may run on; 0: not known */
    int64_t shared; /* counted once for each rank that may, less cpus: 0 if no two ranks have one in common */
} node_facts;

/* The CPUs that the scheduler of the operating system allows the ranks of a node.  Collective over the
 * node. */
static void look_at_cpus(const pv_comm *comm, node_facts *facts)
{
    cpu_set_t own, all;
    CPU_ZERO(&own);
    int64_t counts[2]; /* CPUs, summed over the ranks; ranks that know theirs */
    counts[1] = sched_getaffinity(0, sizeof own, &own) == 0;
    counts[0] = CPU_COUNT(&own);
    MPI_Allreduce(&own, &all, sizeof own, MPI_BYTE, MPI_BOR, comm->node);
    MPI_Allreduce(MPI_IN_PLACE, counts, 2, MPI_INT64_T, MPI_SUM, comm->node);
    if (counts[1] < comm->node_size) return;
    facts->cpus = CPU_COUNT(&all);
    facts->shared = counts[0] - facts->cpus;
}

static node_facts look_at_node(const pv_comm *comm, const pv_run *run)
{
    node_facts facts = {.ranks = comm->node_size, .joules = -1};
    char host[MPI_MAX_PROCESSOR_NAME] = "?";
    int length;
    const char *slurm_name = getenv("SLURMD_NODENAME");
    const int64_t peak = pv_peak_memory();
    MPI_Get_processor_name(host, &length);
    snprintf(facts.host, sizeof facts.host, "%.*s", HOST_BYTES - 1, slurm_name ? slurm_name : host);
    MPI_Allreduce(&peak, &facts.memory, 1, MPI_INT64_T, MPI_SUM, comm->node);
    const int64_t joules = joules_used();
    if (run->joules >= 0 && joules >= run->joules) facts.joules = joules - run->joules;
    look_at_cpus(comm, &facts);
    return facts;
}

/* hosts, cpus_shared, node_memory_mib, energy_j: gathered from the first rank of every node. */
static void put_nodes(const pv_comm *comm, const pv_run *run, json_t *record)
{
    const node_facts own = look_at_node(comm, run);
    node_facts *all = NULL;
    if (comm->leaders == MPI_COMM_NULL) return;
    int there = 1; /* the first rank has the memory for the others' facts */
    if (comm->rank == 0) there = (all = pv_alloc(comm->nodes, sizeof *all)) != NULL;
    MPI_Bcast(&there, 1, MPI_INT, 0, comm->leaders);
    if (there) MPI_Gather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, 0, comm->leaders);
    if (all) {
        int64_t most = 0, joules = 0, known = 1, shared = 0;
        json_t *hosts = json_array();
        for (int i = 0; i < comm->nodes; i++) {
            json_array_append_new(hosts,
                                  json_pack("{s:s, s:I, s:I}", "host", all[i].host, "ranks",
                                            (json_int_t)all[i].ranks, "cpus", (json_int_t)all[i].cpus));
            if (all[i].memory > most) most = all[i].memory;
            joules = joules < 0 || all[i].joules < 0 ? -1 : joules + all[i].joules;
            known = known && all[i].cpus > 0;
            shared += all[i].shared;
        }
        json_object_set_new(record, "hosts", hosts);
        json_object_set_new(record, "cpus_shared", known ? json_boolean(shared > 0) : json_null());
        pv_json_int(record, "node_memory_mib", most >> 20);
        json_object_set_new(record, "energy_j", joules < 0 ? json_null() : json_integer(joules));
    }
    free(all);
}

static void put_time(const pv_comm *comm, const pv_run *run, json_t *record)
{
    const pv_meter now = pv_meter_read(), spent = pv_meter_between(&run->meter, &now);
    const double wall = pv_seconds() - run->begin, mpi = spent.seconds[PV_METER_MPI];
    double sums[4] = {wall, spent.seconds[PV_METER_FILES], mpi, cpu_seconds() - run->cpu_seconds};
    double busiest = wall - mpi;
    MPI_Allreduce(MPI_IN_PLACE, sums, 4, MPI_DOUBLE, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &busiest, 1, MPI_DOUBLE, MPI_MAX, comm->world);
    for (int i = 0; i < 4; i++)
        sums[i] /= comm->size;
    const pv_time_split split = pv_time_split_make(sums[0], sums[1], sums[2], busiest);
    pv_record_put_time(&split, sums[3], record);
    pv_json_int(record, "allreduces", spent.allreduces);
    pv_json_real(record, "allreduce_mb", (double)spent.allreduce_bytes / 1e6);
}

void pv_run_keep(pv_run *run, const char *output, const pv_run_config *config)
{
    char *yaml = NULL;
    free(run->output);
    run->output = strdup(output);
    if (!config || pv_run_config_emit(config, &yaml) != PV_OK) return;
    snprintf(run->config_hash, sizeof run->config_hash, "%016llx",
             (unsigned long long)pv_checksum(yaml, strlen(yaml)));
    free(yaml);
}

void pv_run_end(const pv_comm *comm, pv_run *run, pv_status end, const json_t *result)
{
    if (!run->output) return;
    char *message = pv_strdup(pv_fail_message());
    json_t *record = json_object();
    pv_record_put_origin(&run->origin, run->output, end, record);
    if (run->config_hash[0]) pv_json_text(record, "config_hash", run->config_hash);
    put_time(comm, run, record);
    pv_result_machine(comm, record);
    put_nodes(comm, run, record);
    pv_record_put_slurm(record);
    json_object_set_new(record, "result", json_deep_copy(result));
    if (comm->rank == 0 && pv_record_append(run->output, record) != PV_OK)
        pv_log_warn("this run is not recorded: %s", pv_fail_message());
    json_decref(record);
    if (message) pv_fail(end, "%s", message);
    PV_FREE(message, run->output);
}

void pv_result_machine(const pv_comm *comm, json_t *result)
{
    int64_t peak = pv_peak_memory();
    MPI_Allreduce(MPI_IN_PLACE, &peak, 1, MPI_INT64_T, MPI_MAX, comm->world);
    pv_json_int(result, "ranks", comm->size);
    pv_json_int(result, "nodes", comm->nodes);
    pv_json_text(result, "instruction_set", pv_isa_name(pv_cpu_isa()));
    pv_json_int(result, "peak_memory_mib", peak >> 20);
}

pv_status pv_result_written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return PV_OK;
    return pv_fail(PV_ERR_IO, "cannot write the result: %s", strerror(errno));
}

pv_status pv_result_print(const char *command, pv_status end, json_t *result)
{
    if (end != PV_OK && json_object_size(result) == 0) return PV_OK;
    json_t *named = json_pack("{s:s, s:s}", "command", command, "status", pv_status_text(end));
    json_object_update(named, result);
    char *text = json_dumps(named, JSON_REAL_PRECISION(7));
    json_decref(named);
    if (text) printf("%s\n", text);
    free(text);
    return pv_result_written();
}

/* ---- reading ---- */

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static int int_of(const json_t *object, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(object, key));
    return value >= INT32_MIN && value <= INT32_MAX ? (int)value : 0;
}

/* What fitted rows: a fit, or the fit within a repair. */
static const json_t *fill_of(const char *command, const json_t *result)
{
    return strcmp(command, "fit") == 0 ? result : json_object_get(result, "repair");
}

static bool take_record(const json_t *record, pv_past_run *run)
{
    const char *command = json_string_value(json_object_get(record, "command"));
    if (!command) return false;
    const json_t *time = json_object_get(record, "time");
    const json_t *fill = fill_of(command, json_object_get(record, "result"));
    *run = (pv_past_run){.exit_status = int_of(record, "exit_status"),
                         .ranks = int_of(record, "ranks"),
                         .nodes = int_of(record, "nodes"),
                         .time = {.wall = real_of(time, "wall_s"),
                                  .compute = real_of(time, "compute_s"),
                                  .files = real_of(time, "io_s"),
                                  .communication = real_of(time, "communication_s"),
                                  .idle = real_of(time, "idle_s")},
                         .fitted = json_integer_value(json_object_get(fill, "fitted")),
                         .fit_steps = real_of(fill, "steps"),
                         .fit_seconds = real_of(fill, "seconds")};
    snprintf(run->command, sizeof run->command, "%s", command);
    return true;
}

pv_status pv_records_read(const char *path, pv_record_seen see, void *context)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    if (!file) return pv_fail(PV_ERR_IO, "cannot open '%s'", path);
    while (getline(&line, &capacity, file) > 0) {
        json_t *record = json_loads(line, 0, NULL);
        pv_past_run run;
        if (record && take_record(record, &run)) see(context, &run);
        json_decref(record);
    }
    free(line);
    fclose(file);
    return PV_OK;
}
