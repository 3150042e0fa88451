/* The result of a command: one JSON object, the last line of stdout. */
#ifndef PV_RESULT_H
#define PV_RESULT_H

#include "base/pv_json.h"
#include "parallel/pv_comm.h"

/* Adds ranks, nodes, instruction_set and peak_memory_mib (the largest of all ranks).  Collective. */
void pv_result_machine(const pv_comm *comm, json_t *result);

/* Prints the result with the command's name and how it ended; a failure that has nothing to tell prints
 * nothing.  Local. */
void pv_result_print(const char *command, pv_status end, json_t *result);

#endif
