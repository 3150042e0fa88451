/* What a run tells at its end: its result, the last line of stdout, and its record, made by all ranks. */
#ifndef PV_RECORD_H
#define PV_RECORD_H

#include "base/pv_json.h"
#include "base/pv_meter.h"
#include "parallel/pv_comm.h"
#include "run/pv_run_config.h"
#include "run/pv_record_file.h"

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

#endif
