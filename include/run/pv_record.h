/* What a run tells at its end: its result, the last line of stdout, and its record, made by all ranks: one
 * JSON object a line in <output>.runs.jsonl, beside the store or model that it made, changed or read.
 * docs/formats.md lists the members of records; this is where they are written and read. */
#ifndef PV_RECORD_H
#define PV_RECORD_H

#include "base/pv_json.h"
#include "base/pv_meter.h"
#include "parallel/pv_comm.h"
#include "run/pv_run_config.h"

#include <time.h>

/* Which words started a run, and when. */
typedef struct pv_run_origin {
    int argc;
    char **argv; /* borrowed: the command's name and the words after it */
    time_t started;
} pv_run_origin;

/* How the seconds of a run were spent, means over its ranks that add up to its wall time.
 *
 * A rank is in MPI, in files, or computes.  What the busiest rank (computing and in files) does not do is
 * communication: nobody could have hidden it.  What the others do less than that one is idle: they waited. */
typedef struct pv_time_split {
    double wall, compute, files, communication, idle;
} pv_time_split;

/* From means over ranks of wall time, file time and MPI time, and the largest of wall less MPI time.
 * Local. */
pv_time_split pv_time_split_make(double wall, double files, double mpi, double busiest);

/* A run under way; every rank has one. */
typedef struct pv_run {
    pv_run_origin origin;
    double begin, cpu_seconds;
    int64_t joules; /* the node's energy counter, -1 where there is none */
    pv_meter meter;
    char *output;         /* that the record goes beside; NULL: no record */
    char config_hash[24]; /* of every key's value: two runs with the same hash had the same config */
} pv_run;

/* Local. */
pv_run pv_run_begin(int argc, char **argv);

/* Has the run recorded in <output>.runs.jsonl when it ends; `config` may be NULL.  Local. */
void pv_run_keep(pv_run *run, const char *output, const pv_run_config *config);

/* Adds the record of a run that is to be kept, by one write that other runs' cannot cut in two.  `result` is
 * the command's.  A record that cannot be written is a warning, and the message of the last failure stays
 * what it was.
 * Collective. */
void pv_run_end(const pv_comm *comm, pv_run *run, pv_status end, const json_t *result);

/* Adds ranks, nodes, instruction_set and peak_memory_mib (the largest of all ranks).  Collective. */
void pv_result_machine(const pv_comm *comm, json_t *result);

/* Brings to stdout what was printed.  Local.  Errors: PV_ERR_IO. */
pv_status pv_result_written(void);

/* Prints the result with the command's name and how it ended; a failure that has nothing to tell prints
 * nothing.  Local.  Errors: as pv_result_written. */
pv_status pv_result_print(const char *command, pv_status end, json_t *result);

/* What a run is, whose output, and how it ended. */
void pv_record_put_origin(const pv_run_origin *run, const char *output, pv_status end, json_t *record);
/* Means over the ranks. */
void pv_record_put_time(const pv_time_split *split, double cpu_seconds, json_t *record);
/* What Slurm's variables say, if it runs this. */
void pv_record_put_slurm(json_t *record);

/* Adds a line to <output>.runs.jsonl, by one write, and brings it to disk.
 * Local, like everything here.  Errors: PV_ERR_IO, PV_ERR_NOMEM. */
pv_status pv_record_append(const char *output, const json_t *record);

/* The path of the records beside an output; NULL without memory.  Owner: the caller frees it. */
char *pv_record_path(const char *output);

/* What the record of a run that is over tells. */
typedef struct pv_past_run {
    char command[16];
    int exit_status, ranks, nodes;
    pv_time_split time;
    int64_t fitted; /* rows, by a fit or by the fit within a repair: its steps and seconds */
    double fit_steps, fit_seconds;
} pv_past_run;

/* Shows the runs of a file of records in order; a line that is no record is left out.
 * Local.  Errors: PV_ERR_IO (no such file). */
typedef void (*pv_record_seen)(void *context, const pv_past_run *run);
pv_status pv_records_read(const char *path, pv_record_seen see, void *context);

#endif
