/* Texts of JSON that come from outside end in values that can be used, or in a status with a message that
 * names where they stand.  The first byte of an input says what the rest is: the attribute `arch` or `signal`
 * of a store, the figures of a machine, records of runs, or the lock of a store. */
#include "fuzz.h"
#include "pv_test_store.h"
#include "base/pv_log.h"
#include "plan/pv_plan.h"
#include "run/pv_record.h"
#include "store/pv_lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 160 };

static pv_comm comm;
static pv_test_files files;
static char locked[PATH], lock_file[PATH + 8];

static void clean_up(void)
{
    unlink(lock_file);
    pv_test_files_remove(&comm, &files);
    fflush(NULL);
    _Exit(0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    MPI_Init(NULL, NULL);
    pv_comm_open(MPI_COMM_SELF, 0, &comm);
    pv_log_setup(false, 0);
    pv_test_files_make(&comm, &files);
    snprintf(locked, sizeof locked, "%s/locked.h5", files.directory);
    snprintf(lock_file, sizeof lock_file, "%s.lock", locked);
    atexit(clean_up);
    return 0;
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    fuzz_require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, "a file can be written");
}

static pv_status told(pv_status st, pv_status refused, const char *where)
{
    fuzz_require(st == PV_OK || st == refused, "a bad text is an error of its kind");
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), where), "a message names where it stands");
    return st;
}

/* An architecture that is read has a size, and reads the same from its own text. */
static void read_arch(const char *text)
{
    pv_arch arch, again;
    if (told(pv_arch_from_json(text, "a/file", &arch), PV_ERR_DATA, "a/file") != PV_OK) return;
    fuzz_require(arch.layers >= 1 && pv_arch_params(&arch) > 0, "an architecture has layers and weights");
    json_t *json = pv_arch_to_json(&arch);
    char *own = json_dumps(json, 0);
    fuzz_require(own && pv_arch_from_json(own, "its own", &again) == PV_OK, "its own text can be read");
    fuzz_require(pv_arch_params(&arch) == pv_arch_params(&again), "and means the same");
    free(own);
    json_decref(json);
}

static void read_signal(const char *text)
{
    pv_signal_about about;
    if (told(pv_signal_from_json(text, "a/file", &about), PV_ERR_DATA, "a/file") == PV_OK)
        fuzz_require(about.height >= 0 && about.width >= 0 && about.channels >= 0 && about.classes >= 0,
                     "no size is negative");
}

static void read_figures(const uint8_t *data, size_t size)
{
    const pv_workload work = {.rows = 1000,
                              .steps = 10,
                              .params = 9,
                              .objects = 100,
                              .views = 10,
                              .train_samples = 80,
                              .train_rows = 80,
                              .epochs = 2,
                              .batch = 16};
    pv_figures figures;
    write_file(files.other, data, size);
    if (told(pv_figures_read(files.other, &figures), PV_ERR_DATA, files.other) != PV_OK) return;
    pv_plan_fit(&figures, &work, 4, 8);
    pv_plan_train(&figures, &work, 4, 8);
}

static void see(void *context, const pv_past_run *run)
{
    ++*(int *)context;
    fuzz_require(memchr(run->command, '\0', sizeof run->command) != NULL, "a command is a text");
}

static void read_records(const uint8_t *data, size_t size)
{
    int seen = 0;
    write_file(files.other, data, size);
    fuzz_require(pv_records_read(files.other, see, &seen) == PV_OK, "a file of records is read to its end");
}

/* Whoever the file says holds the lock: it is taken over or refused, and given back.  It is old, or each
 * would be waited for. */
static void take_lock(const uint8_t *data, size_t size)
{
    pv_lock *lock = NULL;
    write_file(lock_file, data, size);
    fuzz_require(utimensat(AT_FDCWD, lock_file, (struct timespec[2]){{0}}, 0) == 0, "a file can be aged");
    if (told(pv_lock_take(&comm, locked, &lock), PV_ERR_IO, locked) == PV_OK) {
        fuzz_require(pv_lock_check(lock) == PV_OK, "a lock that was taken is ours");
        pv_lock_release(lock);
        fuzz_require(access(lock_file, F_OK) != 0, "and given back");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const unsigned what = data[0] % 5;
    char *text = strndup((const char *)data + 1, size - 1);
    if (!text) return 0;
    if (what == 0) read_arch(text);
    if (what == 1) read_signal(text);
    if (what == 2) read_figures(data + 1, size - 1);
    if (what == 3) read_records(data + 1, size - 1);
    if (what == 4) take_lock(data + 1, size - 1);
    free(text);
    return 0;
}
