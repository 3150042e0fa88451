/* The record of a run under way: what all its ranks tell at its end. */
#ifndef PV_RECORD_H
#define PV_RECORD_H

#include "parallel/pv_comm.h"
#include "base/pv_meter.h"
#include "run/pv_run_config.h"
#include "run/pv_record_file.h"

/* A run under way; every rank has one. */
typedef struct pv_run {
    pv_run_origin origin;
    double begin, cpu_seconds;
    int64_t joules; /* the node's energy counter, -1 where there is none */
    pv_meter meter;
} pv_run;

/* Local. */
pv_run pv_run_begin(int argc, char **argv);

/* Adds the run to <output>.runs.jsonl, by one write that other runs' cannot cut in two.  `config` may be
 * NULL; `result` is the command's.  A record that cannot be written is a warning, and the message of the
 * last failure stays what it was.
 * Collective. */
void pv_run_record(const pv_comm *comm, const pv_run *run, const char *output, const pv_run_config *config,
                   pv_status end, const json_t *result);

#endif
