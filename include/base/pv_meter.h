/* Where this process's time goes: into MPI, into files, or neither.
 *
 * Whoever waits puts a bracket around it: for MPI src/parallel/pv_mpi.c does, for every call; file operations
 * are bracketed by hand.  A bracket inside another one counts for the outer one only.  Reading a clock twice
 * a call takes some 50 ns. */
#ifndef PV_METER_H
#define PV_METER_H

#include <stdint.h>

typedef enum pv_meter_kind { PV_METER_FILES, PV_METER_MPI, PV_METER_KINDS } pv_meter_kind;

/* Brackets; each begin has its end.  Local. */
void pv_meter_begin(pv_meter_kind kind);
void pv_meter_end(void);

/* Counts a reduction over ranks, and the bytes of this rank's operand.  Local. */
void pv_meter_reduction(int64_t bytes);

/* Totals since the process started. */
typedef struct pv_meter {
    double seconds[PV_METER_KINDS];
    int64_t allreduces, allreduce_bytes; /* of MPI_Allreduce and MPI_Iallreduce: calls, bytes of operands */
} pv_meter;

/* Local. */
pv_meter pv_meter_read(void);
/* What was added between two readings.  Local. */
pv_meter pv_meter_between(const pv_meter *earlier, const pv_meter *later);

#endif
