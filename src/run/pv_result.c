/* The result of a command: what every one tells, and its printing. */
#include "run/pv_result.h"
#include "base/pv_cpu.h"
#include "base/pv_mem.h"

#include <stdio.h>
#include <stdlib.h>

void pv_result_machine(const pv_comm *comm, json_t *result)
{
    int64_t peak = pv_peak_memory();
    MPI_Allreduce(MPI_IN_PLACE, &peak, 1, MPI_INT64_T, MPI_MAX, comm->world);
    pv_json_int(result, "ranks", comm->size);
    pv_json_int(result, "nodes", comm->nodes);
    pv_json_text(result, "instruction_set", pv_isa_name(pv_cpu_isa()));
    pv_json_int(result, "peak_memory_mib", peak >> 20);
}

void pv_result_print(const char *command, pv_status end, json_t *result)
{
    if (end != PV_OK && json_object_size(result) == 0) return;
    json_t *named = json_pack("{s:s, s:s}", "command", command, "status", pv_status_text(end));
    json_object_update(named, result);
    char *text = json_dumps(named, JSON_REAL_PRECISION(7));
    json_decref(named);
    if (text) printf("%s\n", text);
    fflush(stdout);
    free(text);
}
