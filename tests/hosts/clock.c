/* Loaded before libc: a host whose clock differs by the seconds in its /tmp/clock.  With CLOCK_STAMPS set, it
 * is that clock which gives files their times, as on file systems that take them from their clients. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    static int known;
    static long seconds;
    if (!known) {
        char text[32] = "";
        const int fd = open("/tmp/clock", O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) seconds = atol(text);
        if (fd >= 0) close(fd);
        known = 1;
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return (int)failed;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

/* The times of files: when one is closed that was written, and when they are set to the present. */

int utimensat(int directory, const char *path, const struct timespec times[2], int flags)
{
    struct timespec now[2];
    if (!times && getenv("CLOCK_STAMPS")) {
        clock_gettime(CLOCK_REALTIME, &now[0]);
        now[1] = now[0];
        times = now;
    }
    return (int)syscall(SYS_utimensat, directory, path, times, flags);
}

int fclose(FILE *file)
{
    int (*real)(FILE *);
    struct timespec now[2];
    const int flags = fcntl(fileno(file), F_GETFL);
    *(void **)&real = dlsym(RTLD_NEXT, "fclose");
    if (getenv("CLOCK_STAMPS") && flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) {
        fflush(file);
        clock_gettime(CLOCK_REALTIME, &now[0]);
        now[1] = now[0];
        futimens(fileno(file), now);
    }
    return real(file);
}
