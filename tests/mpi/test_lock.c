/* The lock of a store: one writer, and what becomes of the locks of runs that died. */
#include "pv_mpi_test.h"
#include "store/pv_lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Rank 0 writes a lock file as another run would have left it. */
static void leave_lock(const pv_comm *comm, const char *store, const char *host, long pid, double age_s)
{
    char path[256];
    snprintf(path, sizeof path, "%s.lock", store);
    if (comm->rank == 0) {
        FILE *file = fopen(path, "w");
        fprintf(file,
                "{\"host\": \"%s\", \"place\": \"elsewhere\", \"pid\": %ld, \"started\": 5, \"job\": \"77\", "
                "\"since\": \"2026-01-01T00:00:00Z\"}",
                host, pid);
        fclose(file);
        struct timespec times[2];
        clock_gettime(CLOCK_REALTIME, &times[0]);
        times[0].tv_sec -= (time_t)age_s;
        times[1] = times[0];
        utimensat(AT_FDCWD, path, times, 0);
    }
    MPI_Barrier(comm->world);
}

static void one_run_holds_it(const pv_comm *comm, const char *store)
{
    pv_lock *lock = NULL, *second = NULL;
    pv_test_check(comm, pv_lock_take(comm, store, &lock) == PV_OK, "a free store is locked");
    pv_test_check(comm, pv_lock_take(comm, store, &second) == PV_ERR_IO && !second,
                  "a locked store is refused");
    pv_test_check(comm, strstr(pv_fail_message(), "is being written by another run: process ") != NULL,
                  "the refusal says who holds it");
    pv_test_check(comm, pv_lock_check(lock) == PV_OK, "the holder renews it");
    pv_lock_release(lock);
    MPI_Barrier(comm->world);
    pv_test_check(comm, pv_lock_take(comm, store, &lock) == PV_OK, "a lock given back can be taken");
    pv_lock_release(lock);
    MPI_Barrier(comm->world);
}

static double age_of(const char *path)
{
    struct stat file;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return stat(path, &file) == 0 ? difftime(now.tv_sec, file.st_mtim.tv_sec) : -1;
}

/* Sleeping stands for a scan, a large reservation, a slow collective call. */
static void its_holder_may_be_busy(const pv_comm *comm, const char *store)
{
    enum { TRIES = 60, OLD_S = 1000 };
    pv_lock *lock = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s.lock", store);
    if (pv_lock_take(comm, store, &lock) != PV_OK) return;
    if (comm->rank == 0) {
        struct timespec times[2];
        clock_gettime(CLOCK_REALTIME, &times[0]);
        times[0].tv_sec -= OLD_S;
        times[1] = times[0];
        utimensat(AT_FDCWD, path, times, 0);
        for (int i = 0; i < TRIES && age_of(path) > OLD_S / 2; i++)
            usleep(500000);
    }
    MPI_Barrier(comm->world);
    pv_test_check(comm, age_of(path) >= 0 && age_of(path) < OLD_S / 2,
                  "a lock is renewed while its holder does something else");
    pv_test_check(comm, pv_lock_confirm(comm, lock) == PV_OK, "a lock that was kept is confirmed");
    MPI_Barrier(comm->world);
    if (comm->rank == 0) unlink(path);
    pv_test_check(comm,
                  pv_lock_confirm(comm, lock) == PV_ERR_IO && strstr(pv_fail_message(), "is gone") &&
                      (comm->rank > 0 || pv_lock_check(lock) == PV_ERR_IO),
                  "a lock that was deleted is lost, on all ranks");
    pv_lock_release(lock);
    MPI_Barrier(comm->world);
}

/* Another run that holds the lock of a store and lives, for some seconds. */
static void *renew(void *context)
{
    char path[256];
    snprintf(path, sizeof path, "%s.lock", (const char *)context);
    for (int i = 0; i < 12; i++) {
        usleep(250000);
        utimensat(AT_FDCWD, path, NULL, 0);
    }
    return NULL;
}

static void a_silent_lock_of_another_host_is_taken_over(const pv_comm *comm, const char *store)
{
    pv_lock *lock = NULL;
    leave_lock(comm, store, "another-host", 1, PV_LOCK_LIMIT_S / 2);
    pthread_t renewer;
    if (comm->rank == 0) pthread_create(&renewer, NULL, renew, (void *)(uintptr_t)store);
    pv_test_check(comm, pv_lock_take(comm, store, &lock) == PV_ERR_IO,
                  "a lock that is renewed while it is waited for holds");
    if (comm->rank == 0) pthread_join(renewer, NULL);
    pv_test_check(comm,
                  strstr(pv_fail_message(), "process 1 on another-host, job 77, since 2026-01-01") != NULL,
                  "its host, process, job and time are named");
    double start = MPI_Wtime();
    leave_lock(comm, store, "another-host", 1, PV_LOCK_CLOCKS_S + 5);
    pv_test_check(comm,
                  pv_lock_take(comm, store, &lock) == PV_OK && MPI_Wtime() - start < PV_LOCK_WATCH_S / 2,
                  "a lock older than clocks differ by is taken over at once");
    pv_lock_release(lock);
    MPI_Barrier(comm->world);
    if (comm->size != 2) return; /* the rest takes a while: once is enough */
    start = MPI_Wtime();
    leave_lock(comm, store, "another-host", 1, PV_LOCK_LIMIT_S + 300);
    pv_test_check(comm,
                  pv_lock_take(comm, store, &lock) == PV_OK && MPI_Wtime() - start > PV_LOCK_WATCH_S - 2,
                  "a lock that seems old is watched, as clocks differ by minutes, then taken over");
    pv_lock_release(lock);
    MPI_Barrier(comm->world);
}

/* Our own record with the start time of a process that is gone. */
static void a_dead_process_holds_nothing(const pv_comm *comm, const char *store)
{
    pv_lock *lock = NULL;
    char command[512];
    if (comm->rank == 0) {
        pv_comm self;
        pv_comm_open(MPI_COMM_SELF, 1, &self);
        pv_lock_take(&self, store, &lock);
        snprintf(command, sizeof command, "sed -i 's/\"started\": [0-9]*/\"started\": 1/' '%s.lock'", store);
        const int edited = system(command);
        (void)edited;
        pv_lock_release(lock); /* the inode has changed: it is no longer ours, and stays */
        pv_comm_close(&self);
        lock = NULL;
    }
    MPI_Barrier(comm->world);
    pv_test_check(comm, pv_lock_take(comm, store, &lock) == PV_OK,
                  "the lock of a process that is gone is taken over at once");
    pv_lock_release(lock);
    MPI_Barrier(comm->world);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    char directory[] = "/tmp/polyview-lock-XXXXXX", store[128];
    if (comm.rank == 0 && !mkdtemp(directory)) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(directory, sizeof directory, MPI_CHAR, 0, comm.world);
    snprintf(store, sizeof store, "%s/store.h5", directory);
    one_run_holds_it(&comm, store);
    if (comm.size == 2) its_holder_may_be_busy(&comm, store); /* some seconds: once is enough */
    a_silent_lock_of_another_host_is_taken_over(&comm, store);
    a_dead_process_holds_nothing(&comm, store);
    pv_lock *lock = NULL;
    pv_test_check(&comm, pv_lock_take(&comm, "/proc/no-such-place/store.h5", &lock) == PV_ERR_IO,
                  "a directory that cannot be written is an error");
    if (comm.rank == 0)
        pv_test_check(&(pv_comm){.world = MPI_COMM_SELF}, rmdir(directory) == 0, "no file is left behind");
    return pv_test_end(&comm);
}
