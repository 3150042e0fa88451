/* A small store for tests under mpirun: made-up images in a new directory, and a store of INRs for them. */
#ifndef PV_TEST_STORE_H
#define PV_TEST_STORE_H

#include "signal/pv_signal.h"
#include "inr/pv_arch.h"
#include "store/pv_store.h"

enum { PV_TEST_PATH = 96, PV_TEST_TRAIN = 37, PV_TEST_VAL = 4, PV_TEST_TEST = 9, PV_TEST_VIEWS = 3 };
enum { PV_TEST_OBJECTS = PV_TEST_TRAIN + PV_TEST_VAL + PV_TEST_TEST, PV_TEST_CLASSES = 3 };
enum { PV_TEST_PARAMS = 2 * 5 + 5 + 5 * 4 + 4 + 4 * 1 + 1 };

/* Paths of a test's files, the same on all ranks. */
typedef struct pv_test_files {
    char directory[PV_TEST_PATH / 2], store[PV_TEST_PATH], other[PV_TEST_PATH];
} pv_test_files;

/* Makes the directory and the image files; object i of the train and of the test file has label i % 3.
 * Collective. */
void pv_test_files_make(const pv_comm *comm, pv_test_files *files);
/* Removes what pv_test_files_make made, and the files store and other if they are there.  Collective. */
void pv_test_files_remove(const pv_comm *comm, const pv_test_files *files);

/* The images.  Owner: pv_signal_close.  NULL on failure.  Collective. */
pv_signal *pv_test_signal(const pv_comm *comm, const pv_test_files *files);

/* 2-5-4-1, w0 30; a row has PV_TEST_PARAMS floats. */
pv_arch pv_test_arch(void);

/* Makes an empty store at `path`.  Collective. */
pv_status pv_test_store_create(const pv_comm *comm, const pv_test_files *files, const char *path);

/* Entry p of the row of a view of an object: any made-up number that tells them apart. */
float pv_test_entry(int64_t view, int64_t object, int p);

#endif
