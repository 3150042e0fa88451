/* The lock of a store or a model: a file, and a thread that keeps it young. */
#include "store/pv_lock.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 256, TAKE_TRIES = 5 };

struct pv_lock {
    char *path; /* of the lock file; NULL on ranks that hold nothing */
    char *mine; /* a file of our own beside it, whose second name the lock is */
    ino_t inode;
    pthread_t beater;
    bool beating;         /* there is a beater; it ends when ending[1] is closed */
    int ending[2];        /* a pipe */
    atomic_bool lost;     /* seen by the beater */
    atomic_int unrenewed; /* errno of a renewal that failed, 0: none did, or it was told */
};

/* Who holds a lock.  `place` names the process table that `pid` belongs to. */
typedef struct holder {
    char host[TEXT_BYTES], place[TEXT_BYTES], job[TEXT_BYTES], since[TEXT_BYTES];
    long pid;
    long long started; /* of the process, in ticks since boot: a reused pid has another */
} holder;

/* The state letter and start time of a process; false if there is none. */
static bool look_at_process(long pid, char *state, long long *started)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    const size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    /* The name in parentheses may hold anything; the fields after its last parenthesis are plain. */
    const char *rest = strrchr(line, ')');
    return rest &&
           sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
                  state, started) == 2;
}

static void describe_self(holder *self)
{
    char state, space[TEXT_BYTES / 4] = "", boot[TEXT_BYTES / 4] = "";
    const char *job = getenv("SLURM_JOB_ID");
    const time_t now = time(NULL);
    struct tm utc;
    *self = (holder){.pid = (long)getpid()};
    gethostname(self->host, sizeof self->host - 1);
    const ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file) {
        if (!fgets(boot, sizeof boot, file)) boot[0] = '\0';
        fclose(file);
    }
    boot[strcspn(boot, "\n")] = '\0';
    snprintf(self->place, sizeof self->place, "%s %s", boot, length > 0 ? space : "");
    snprintf(self->job, sizeof self->job, "%s", job ? job : "");
    strftime(self->since, sizeof self->since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    look_at_process(self->pid, &state, &self->started);
}

static void take_text(const json_t *root, const char *key, char text[TEXT_BYTES])
{
    const char *value = json_string_value(json_object_get(root, key));
    snprintf(text, TEXT_BYTES, "%s", value ? value : "?");
}

/* Reads who holds the lock; false if the file is gone or says nothing. */
static bool read_holder(const char *path, holder *found)
{
    json_t *root = json_load_file(path, 0, NULL);
    if (!root) return false;
    *found = (holder){.pid = (long)json_integer_value(json_object_get(root, "pid")),
                      .started = (long long)json_integer_value(json_object_get(root, "started"))};
    take_text(root, "host", found->host);
    take_text(root, "place", found->place);
    take_text(root, "job", found->job);
    take_text(root, "since", found->since);
    json_decref(root);
    return true;
}

/* Our own file, beside the lock, with our name in it; its time is the file system's now. */
static pv_status write_mine(const char *mine)
{
    holder self;
    describe_self(&self);
    json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "host", self.host, "place", self.place, "pid",
                             (json_int_t)self.pid, "started", (json_int_t)self.started, "job", self.job,
                             "since", self.since);
    const int failed = !root || json_dump_file(root, mine, 0) != 0;
    const int cause = errno;
    json_decref(root);
    return failed ? pv_fail(PV_ERR_IO, "cannot write the lock '%s': %s", mine, strerror(cause)) : PV_OK;
}

static double file_time(const struct stat *file)
{
    return (double)file->st_mtim.tv_sec + 1e-9 * (double)file->st_mtim.tv_nsec;
}

/* Whether a lock's holder is on this host, where its process can be looked at. */
static bool is_here(const holder *found)
{
    holder self;
    describe_self(&self);
    return strcmp(self.host, found->host) == 0 && strcmp(self.place, found->place) == 0;
}

/* What is seen of a lock of another host that may be dead. */
typedef struct vigil {
    bool begun;
    double since;            /* by this host's own clock, which only goes on */
    struct timespec renewed; /* when it was seen first */
} vigil;

/* How long a lock of another host must stay silent before it is dead.  A file's age is believed alone only
 * beyond what clocks may differ by, as some file systems take its times from the clocks of their clients. */
static double silence_left(double age, const vigil *v)
{
    const double watched = v->begun ? pv_seconds() - v->since : 0;
    const double by_age = fmax(PV_LOCK_LIMIT_S - age, PV_LOCK_WATCH_S - watched);
    return age > PV_LOCK_CLOCKS_S ? 0 : fmax(0, fmin(by_age, PV_LOCK_LIMIT_S - watched));
}

/* Whether the holder of the lock is dead; `mine` was written just now and tells the file system's time. */
static bool is_dead(const char *path, const char *mine, const holder *found, const vigil *v, double *age)
{
    struct stat lock, now;
    char state = '?';
    long long started = 0;
    *age = 0;
    if (stat(path, &lock) == 0 && stat(mine, &now) == 0) *age = file_time(&now) - file_time(&lock);
    if (is_here(found))
        return !look_at_process(found->pid, &state, &started) || started != found->started || state == 'Z' ||
               state == 'X';
    return silence_left(*age, v) <= 0;
}

/* Moves a dead lock aside.  If what was moved is not the lock that was judged, it is put back. */
static void remove_dead(const char *path, const char *mine, ino_t judged)
{
    char *aside = NULL;
    struct stat moved;
    if (asprintf(&aside, "%s.dead", mine) < 0) return;
    if (rename(path, aside) == 0) {
        if (stat(aside, &moved) == 0 && moved.st_ino != judged && link(aside, path) != 0)
            pv_log_warn("cannot put the lock '%s' back: %s", path, strerror(errno));
        unlink(aside);
    }
    free(aside);
}

/* A look at a lock that is not dead yet: it is waited for as long as it is silent, as its node may have
 * died. */
static pv_status wait_for(const char *store, const holder *found, const struct stat *lock, double age,
                          vigil *v)
{
    const struct timespec renewed = lock->st_mtim;
    const char *word = *found->job ? ", job " : "";
    const bool silent = !v->begun || memcmp(&renewed, &v->renewed, sizeof renewed) == 0;
    if (is_here(found) || !silent)
        return pv_fail(
            PV_ERR_IO,
            "'%s' is being written by another run: process %ld on %s%s%s, since %s; wait for it, or stop it",
            store, found->pid, found->host, word, found->job, found->since);
    if (pv_stop_requested()) return pv_stop_fail();
    if (!v->begun)
        pv_log_warn(
            "'%s' is locked by process %ld on %s%s%s, since %s, silent for %.0f s, free in %.0f s: waiting",
            store, found->pid, found->host, word, found->job, found->since, fmax(0, age),
            silence_left(age, v));
    if (!v->begun) *v = (vigil){true, pv_seconds(), renewed};
    sleep(1);
    return PV_OK;
}

/* One try: PV_OK with *taken, or PV_OK to try again, or who holds it. */
static pv_status try_take(const char *store, const char *path, const char *mine, vigil *v, bool *taken)
{
    holder found;
    struct stat lock;
    double age;
    pv_status st = write_mine(mine);
    if (st != PV_OK) return st;
    *taken = link(mine, path) == 0;
    if (*taken) return PV_OK;
    if (errno != EEXIST) return pv_fail(PV_ERR_IO, "cannot lock '%s': %s", store, strerror(errno));
    if (stat(path, &lock) != 0) return PV_OK; /* just given back */
    if (!read_holder(path, &found))
        return pv_fail(PV_ERR_IO,
                       "'%s' is locked by '%s', which says not by whom: remove that if no run writes it",
                       store, path);
    if (!is_dead(path, mine, &found, v, &age)) return wait_for(store, &found, &lock, age, v);
    pv_log_warn(
        "taking over '%s' from a run that is dead: process %ld on %s%s%s, since %s (silent for %.0f s)",
        store, found.pid, found.host, *found.job ? ", job " : "", found.job, found.since, fmax(0, age));
    remove_dead(path, mine, lock.st_ino);
    *v = (vigil){0};
    return PV_OK;
}

static pv_status take_file(pv_lock *lock, const char *store)
{
    char host[TEXT_BYTES] = "";
    struct stat own;
    bool taken = false;
    vigil v = {0};
    pv_status st = PV_OK;
    gethostname(host, sizeof host - 1);
    if (asprintf(&lock->path, "%s.lock", store) < 0 ||
        asprintf(&lock->mine, "%s.lock.%s.%ld", store, host, (long)getpid()) < 0)
        return pv_fail(PV_ERR_NOMEM, "no memory for a file name");
    for (int tries = 0; st == PV_OK && !taken && tries < TAKE_TRIES; tries += !v.begun)
        st = try_take(store, lock->path, lock->mine, &v, &taken);
    if (st == PV_OK && !taken)
        st = pv_fail(PV_ERR_IO, "'%s': other runs keep taking its lock '%s'", store, lock->path);
    if (st == PV_OK && stat(lock->mine, &own) == 0) lock->inode = own.st_ino;
    unlink(lock->mine);
    if (st != PV_OK) { /* nothing to give back */
        free(lock->path);
        lock->path = NULL;
    }
    return st;
}

static bool is_ours(const pv_lock *lock)
{
    struct stat now;
    return stat(lock->path, &now) == 0 && now.st_ino == lock->inode;
}

static void *beat(void *context)
{
    pv_lock *const lock = context;
    struct pollfd end = {.fd = lock->ending[0]};
    while (poll(&end, 1, 1000 * PV_LOCK_BEAT_S) == 0) {
        if (!is_ours(lock))
            atomic_store(&lock->lost, true);
        else if (utimensat(AT_FDCWD, lock->path, NULL, 0) != 0)
            atomic_store(&lock->unrenewed, errno);
    }
    return NULL;
}

/* Signals are for the thread that does the work. */
static pv_status start_beating(pv_lock *lock)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pipe2(lock->ending, O_CLOEXEC) != 0)
        return pv_fail(PV_ERR_IO, "cannot keep the lock '%s': %s", lock->path, strerror(errno));
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int cause = pthread_create(&lock->beater, NULL, beat, lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    lock->beating = cause == 0;
    if (lock->beating) return PV_OK;
    close(lock->ending[0]);
    close(lock->ending[1]);
    return pv_fail(PV_ERR_IO, "cannot keep the lock '%s': %s", lock->path, strerror(cause));
}

static void stop_beating(pv_lock *lock)
{
    if (!lock->beating) return;
    close(lock->ending[1]);
    pthread_join(lock->beater, NULL);
    close(lock->ending[0]);
}

static pv_status hold(pv_lock *lock, const char *store)
{
    const pv_status st = take_file(lock, store);
    return st == PV_OK ? start_beating(lock) : st;
}

/* A lock that says who holds it is longer than nothing and shorter than this. */
enum { LOCK_BYTES = 2048, SEEN_TRIES = 5 };

/* Returns an errno. */
static int read_lock(const char *store, char text[LOCK_BYTES])
{
    char *path = NULL;
    memset(text, 0, LOCK_BYTES);
    if (asprintf(&path, "%s.lock", store) < 0) return ENOMEM;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const int cause = fd < 0 || read(fd, text, LOCK_BYTES - 1) < 0 ? errno : 0;
    if (fd >= 0) close(fd);
    free(path);
    return cause;
}

/* A shared file system may show a new file a moment late. */
static pv_status check_seen(const char *store, const char first[LOCK_BYTES])
{
    char here[LOCK_BYTES];
    int cause = 0;
    for (int tries = 0; tries < SEEN_TRIES && (cause == 0 || cause == ENOENT); tries++) {
        if (tries > 0) sleep(1);
        cause = read_lock(store, here);
        if (cause == 0 && strcmp(here, first) == 0) return PV_OK;
    }
    if (cause != 0 && cause != ENOENT)
        return pv_fail(PV_ERR_IO, "cannot read the lock '%s.lock': %s", store, strerror(cause));
    return pv_fail(PV_ERR_IO,
                   "'%s' is not the file that rank 0 has locked: its directory must be shared by all nodes",
                   store);
}

pv_status pv_lock_check_shared(const pv_comm *comm, const char *path)
{
    char first[LOCK_BYTES];
    (void)read_lock(path, first);
    MPI_Bcast(first, LOCK_BYTES, MPI_CHAR, 0, comm->world);
    return pv_agree(comm, check_seen(path, first));
}

pv_status pv_lock_take(const pv_comm *comm, const char *path, pv_lock **out)
{
    *out = NULL;
    pv_status st = pv_same_text(comm, "path of pv_lock_take", path);
    if (st == PV_OK) st = pv_agree(comm, pv_comm_check_launch());
    if (st != PV_OK) return st;
    pv_lock *lock = pv_alloc(1, sizeof *lock);
    st = pv_agree(comm, lock ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK) st = pv_agree(comm, comm->rank == 0 ? hold(lock, path) : PV_OK);
    if (st == PV_OK)
        *out = lock;
    else
        pv_lock_release(lock);
    return st;
}

pv_status pv_lock_check(pv_lock *lock)
{
    if (!lock || !lock->path) return PV_OK;
    const int cause = atomic_exchange(&lock->unrenewed, 0);
    if (cause != 0) pv_log_warn("cannot renew the lock '%s': %s", lock->path, strerror(cause));
    if (!atomic_load(&lock->lost)) return PV_OK;
    return access(lock->path, F_OK) == 0
               ? pv_fail(PV_ERR_IO, "the lock '%s' is no longer this run's: another run has taken over",
                         lock->path)
               : pv_fail(PV_ERR_IO, "the lock '%s' is gone, and what was written since may be gone with it",
                         lock->path);
}

pv_status pv_lock_confirm(const pv_comm *comm, pv_lock *lock)
{
    if (lock && lock->path && !is_ours(lock)) atomic_store(&lock->lost, true);
    return pv_agree(comm, pv_lock_check(lock));
}

void pv_lock_release(pv_lock *lock)
{
    if (!lock) return;
    stop_beating(lock);
    if (lock->path && is_ours(lock)) unlink(lock->path);
    PV_FREE(lock->path, lock->mine, lock);
}
