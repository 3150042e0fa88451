/* The file of run records: how a record is written and read. */
#include "run/pv_record_file.h"
#include "base/pv_json.h"
#include "base/pv_version.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
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

/* ---- writing ---- */

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
    free(line);
    free(path);
    free(text);
    return st;
}

/* ---- reading ---- */

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
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
    *run = (pv_past_run){.exit_status = (int)real_of(record, "exit_status"),
                         .ranks = (int)real_of(record, "ranks"),
                         .nodes = (int)real_of(record, "nodes"),
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
