/* Loaded before libc: calls of one rank on files of some name fail.  FAULT_PATH a part of the name,
 * FAULT_ERRNO the cause, FAULT_CALLS some of read, write, sync, open, memory (which has no name), FAULT_AFTER
 * how many are let through, FAULT_ONCE the next ones after one, too, FAULT_RANK.  With FAULT_WAIT_MS they do
 * not fail, but take so long, as on a slow disk; the first makes the file FAULT_MARK.  FAULT_COUNT a file:
 * nothing fails, and each rank adds a line to it in its end: its number and how many there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long seen;

/* As a disk does, signals or not. */
static void wait_for(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static const char *own_rank(void)
{
    const char *mine = getenv("OMPI_COMM_WORLD_RANK");
    if (!mine) mine = getenv("PMI_RANK"); /* of MPICH */
    return mine ? mine : "0";
}

/* Counts a call that is meant. */
static int falls_due(void)
{
    const char *const after = getenv("FAULT_AFTER");
    const char *const wait = getenv("FAULT_WAIT_MS"), *const mark = getenv("FAULT_MARK");
    const long number = atomic_fetch_add(&seen, 1), first = after ? atol(after) : 0;
    if (getenv("FAULT_COUNT") || number < first || (getenv("FAULT_ONCE") && number > first)) return 0;
    if (wait) {
        if (mark) close(creat(mark, 0666));
        wait_for(atol(wait));
        return 0;
    }
    errno = atoi(getenv("FAULT_ERRNO"));
    return 1;
}

static int fails(const char *call, const char *path)
{
    const char *part = getenv("FAULT_PATH"), *calls = getenv("FAULT_CALLS"), *rank = getenv("FAULT_RANK");
    if (!part || !calls || !path || !strstr(path, part) || !strstr(calls, call)) return 0;
    if (strstr(path, "/ompi.")) return 0; /* Open MPI's own, of the same name */
    if (rank && strcmp(rank, own_rank()) != 0) return 0;
    return falls_due();
}

__attribute__((destructor)) static void tell(void)
{
    const char *const path = getenv("FAULT_COUNT");
    char line[64];
    if (!path || (!getenv("OMPI_COMM_WORLD_RANK") && !getenv("PMI_RANK"))) return;
    const int length = snprintf(line, sizeof line, "%s %ld\n", own_rank(), atomic_load(&seen));
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || syscall(SYS_write, fd, line, (size_t)length) != length) return;
    syscall(SYS_close, fd);
}

/* What pv_alloc calls, and nobody else. */
void *aligned_alloc(size_t alignment, size_t bytes)
{
    void *(*real)(size_t, size_t);
    const char *calls = getenv("FAULT_CALLS"), *rank = getenv("FAULT_RANK");
    *(void **)&real = dlsym(RTLD_NEXT, "aligned_alloc");
    if (calls && strstr(calls, "memory") && (!rank || strcmp(rank, own_rank()) == 0) && falls_due())
        return NULL;
    return real(alignment, bytes);
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
