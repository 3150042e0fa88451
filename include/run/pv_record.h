/* The record of a run: one JSON object a line in <output>.runs.jsonl, beside the store or model that the run made, changed
 * or read.  docs/formats.md lists its fields. */
#ifndef PV_RECORD_H
#define PV_RECORD_H

#include "parallel/pv_comm.h"
#include "base/pv_meter.h"
#include "run/pv_run_config.h"

#include <jansson.h>
#include <time.h>

/* A run under way; every rank has one. */
typedef struct pv_run {
    int argc;
    char **argv; /* borrowed: the command's name and the words after it */
    time_t started;
    double begin, cpu_seconds;
    int64_t joules; /* the node's energy counter, -1 where there is none */
    pv_meter meter;
} pv_run;

/* Local. */
pv_run pv_run_begin(int argc, char **argv);

/* How the seconds of a run were spent, means over its ranks that add up to its wall time.
 *
 * A rank is in MPI, in files, or computes.  What the busiest rank (computing and in files) does not do is
 * communication: nobody could have hidden it.  What the others do less than that one is idle: they waited. */
typedef struct pv_time_split {
    double wall, compute, files, communication, idle;
} pv_time_split;

/* From means over ranks of wall time, file time and MPI time, and the largest of wall less MPI time.  Local. */
pv_time_split pv_time_split_make(double wall, double files, double mpi, double busiest);

/* Adds the run to <output>.runs.jsonl, by one write that other runs' cannot cut in two.  `config` may be NULL; `result` is
 * the command's.  A record that cannot be written is a warning, and the message of the last failure stays what it was.
 * Collective. */
void pv_run_record(const pv_comm *comm, const pv_run *run, const char *output, const pv_run_config *config,
                   pv_status end, const json_t *result);

#endif
