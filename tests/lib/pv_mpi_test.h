/* A small harness for tests that run under mpirun: a check holds when it holds on every rank; rank 0 prints
 * TAP. */
#ifndef PV_MPI_TEST_H
#define PV_MPI_TEST_H

#include "parallel/pv_comm.h"

#include <stdbool.h>

/* Opens MPI and the context over all ranks.  Collective. */
void pv_test_begin(int *argc, char ***argv, pv_comm *comm);

/* One statement of behaviour: passes if `holds` on every rank.  Collective. */
void pv_test_check(const pv_comm *comm, bool holds, const char *statement);

/* Closes MPI; returns the exit status of main().  Collective. */
int pv_test_end(pv_comm *comm);

#endif
