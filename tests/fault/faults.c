/* Loaded before libc: calls of one rank on files of some name fail.  FAULT_PATH a part of the name,
 * FAULT_ERRNO the cause, FAULT_CALLS some of read, write, sync, open, memory (which has no name), FAULT_AFTER
 * how many are let through, FAULT_ONCE the next ones after one, too, FAULT_RANK.  With FAULT_WAYS=n it counts
 * not calls but the ways by which the program comes to them, each where it is met first: its n innermost
 * functions.  With FAULT_WAIT_MS they do not fail, but take so long, as on a slow disk.  The first makes the
 * file FAULT_MARK.  FAULT_COUNT a file: nothing fails, and each rank adds a line to it in its end: its number
 * and how many there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long seen;

/* Read once: MPI changes the environment while its threads read and write. */
static struct settings {
    const char *path, *calls, *mark, *count, *rank, *own_rank;
    long after, wait_ms;
    int error, once, ways, read;
} told;

static const char *own_rank(void)
{
    const char *mine = getenv("OMPI_COMM_WORLD_RANK");
    return mine ? mine : getenv("PMI_RANK"); /* of MPICH */
}

static long number_in(const char *name)
{
    const char *const value = getenv(name);
    return value ? atol(value) : 0;
}

static const struct settings *settings(void)
{
    if (told.read) return &told;
    told = (struct settings){.path = getenv("FAULT_PATH"),
                             .calls = getenv("FAULT_CALLS"),
                             .mark = getenv("FAULT_MARK"),
                             .count = getenv("FAULT_COUNT"),
                             .rank = getenv("FAULT_RANK"),
                             .own_rank = own_rank(),
                             .after = number_in("FAULT_AFTER"),
                             .wait_ms = number_in("FAULT_WAIT_MS"),
                             .error = (int)number_in("FAULT_ERRNO"),
                             .once = getenv("FAULT_ONCE") != NULL,
                             .ways = (int)number_in("FAULT_WAYS"),
                             .read = 1};
    return &told;
}

/* As a disk does, signals or not. */
static void wait_for(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

enum { DEEPEST = 96, MOST_WAYS = 1 << 14 };

static uintptr_t program_from, program_to;

/* The program itself comes first. */
static int note_program(struct dl_phdr_info *module, size_t size, void *context)
{
    (void)size, (void)context;
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        const ElfW(Phdr) *const part = &module->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        program_from = module->dlpi_addr + part->p_vaddr;
        program_to = program_from + part->p_memsz;
    }
    return 1;
}

__attribute__((constructor)) static void prepare(void)
{
    settings();
    dl_iterate_phdr(note_program, NULL);
}

/* Whether the program comes here by this way for the first time. */
static int is_new_way(int innermost)
{
    static pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t ways[MOST_WAYS]; /* open addressing; 0: free */
    void *frames[DEEPEST];
    uint64_t way = 14695981039346656037u; /* FNV-1a */
    const int depth = backtrace(frames, DEEPEST);
    for (int i = 0; i < depth && innermost > 0; ++i) {
        const uintptr_t frame = (uintptr_t)frames[i];
        if (frame < program_from || frame >= program_to) continue;
        way = (way ^ frame) * 1099511628211u;
        --innermost;
    }
    way |= 1;
    pthread_mutex_lock(&mine);
    size_t at = (way >> 20) % MOST_WAYS;
    while (ways[at] != 0 && ways[at] != way)
        at = (at + 1) % MOST_WAYS;
    const int is_new = ways[at] == 0;
    ways[at] = way;
    pthread_mutex_unlock(&mine);
    return is_new;
}

/* The number of a call that is meant, or of the way to it. */
static long number_of_call(const struct settings *set)
{
    const int counts = set->ways == 0 || is_new_way(set->ways);
    return counts ? atomic_fetch_add(&seen, 1) : atomic_load(&seen) - 1;
}

static int falls_due(const struct settings *set)
{
    const long number = number_of_call(set);
    if (set->count || number < set->after || (set->once && number > set->after)) return 0;
    if (set->mark) close(creat(set->mark, 0666));
    if (set->wait_ms > 0) {
        wait_for(set->wait_ms);
        return 0;
    }
    errno = set->error;
    return 1;
}

static int is_meant(const struct settings *set, const char *call)
{
    const char *const mine = set->own_rank ? set->own_rank : "0";
    return set->calls && strstr(set->calls, call) && (!set->rank || strcmp(set->rank, mine) == 0);
}

static int fails(const char *call, const char *path)
{
    const struct settings *const set = settings();
    if (!set->path || !path || !strstr(path, set->path) || !is_meant(set, call)) return 0;
    if (strstr(path, "/ompi.")) return 0; /* Open MPI's own, of the same name */
    return falls_due(set);
}

__attribute__((destructor)) static void tell(void)
{
    const struct settings *const set = settings();
    char line[64];
    if (!set->count || !set->own_rank) return;
    const int length = snprintf(line, sizeof line, "%s %ld\n", set->own_rank, atomic_load(&seen));
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, set->count, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || syscall(SYS_write, fd, line, (size_t)length) != length) return;
    syscall(SYS_close, fd);
}

/* What pv_alloc calls, and nobody else. */
void *aligned_alloc(size_t alignment, size_t bytes)
{
    void *(*real)(size_t, size_t);
    const struct settings *const set = settings();
    *(void **)&real = dlsym(RTLD_NEXT, "aligned_alloc");
    return is_meant(set, "memory") && falls_due(set) ? NULL : real(alignment, bytes);
}

static int fails_on(const char *call, int fd)
{
    char link[64], path[4096];
    if (fd < 3) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return fails(call, path);
}

#define STANDS_FOR(result, name, call, parameters, arguments)                                                \
    result name parameters                                                                                   \
    {                                                                                                        \
        result(*real) parameters;                                                                            \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                           \
        return fails_on(call, fd) ? -1 : real arguments;                                                     \
    }

STANDS_FOR(ssize_t, write, "write", (int fd, const void *data, size_t n), (fd, data, n))
STANDS_FOR(ssize_t, pwrite, "write", (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
STANDS_FOR(ssize_t, pwrite64, "write", (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
STANDS_FOR(ssize_t, pwritev, "write", (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
STANDS_FOR(ssize_t, pwritev64, "write", (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at))
STANDS_FOR(ssize_t, read, "read", (int fd, void *data, size_t n), (fd, data, n))
STANDS_FOR(ssize_t, pread, "read", (int fd, void *data, size_t n, off_t at), (fd, data, n, at))
STANDS_FOR(ssize_t, pread64, "read", (int fd, void *data, size_t n, off64_t at), (fd, data, n, at))
STANDS_FOR(ssize_t, preadv, "read", (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
STANDS_FOR(ssize_t, preadv64, "read", (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at))
STANDS_FOR(int, fsync, "sync", (int fd), (fd))
STANDS_FOR(int, fdatasync, "sync", (int fd), (fd))

#define OPENS(name)                                                                                          \
    int name(const char *path, int flags, ...)                                                               \
    {                                                                                                        \
        va_list rest;                                                                                        \
        va_start(rest, flags);                                                                               \
        const unsigned mode = va_arg(rest, unsigned);                                                        \
        va_end(rest);                                                                                        \
        int (*real)(const char *, int, ...);                                                                 \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                           \
        return fails("open", path) ? -1 : real(path, flags, mode);                                           \
    }

OPENS(open)
OPENS(open64)
