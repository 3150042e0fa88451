#include "base/pv_log.h"
#include "base/pv_status.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_INTERVAL_S 10.0
#define BAR_INTERVAL_S 0.25
#define BAR_WIDTH      24

/* The one global of the program. */
static struct {
    bool speaks;
    int verbosity;
    char failure[2048];
} logger = {.speaks = true, .verbosity = 1};

void pv_log_setup(bool speaks, int verbosity)
{
    logger.speaks = speaks;
    logger.verbosity = verbosity;
}

int pv_log_verbosity(int verbosity)
{
    const int before = logger.verbosity;
    logger.verbosity = verbosity;
    return before;
}

static void log_line(int level, const char *prefix, const char *format, va_list args)
{
    if (!logger.speaks || level > logger.verbosity) return;
    char line[2304];
    vsnprintf(line, sizeof line, format, args);
    fprintf(stderr, "polyview: %s%s\n", prefix, line);
}

void pv_log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(0, "warning: ", format, args);
    va_end(args);
}

void pv_log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(1, "", format, args);
    va_end(args);
}

void pv_log_detail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(2, "", format, args);
    va_end(args);
}

pv_status(pv_fail)(pv_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(logger.failure, sizeof logger.failure, format, args);
    va_end(args);
    return status;
}

const char *pv_fail_message(void)
{
    return logger.failure;
}

double pv_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void pv_progress_start(pv_progress *progress, const char *what, const char *unit, int64_t total)
{
    const double now = pv_seconds();
    *progress = (pv_progress){what, unit, total, now, now, isatty(STDERR_FILENO) == 1};
}

static void format_left(char *text, size_t size, double seconds)
{
    if (seconds < 90)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 5400)
        snprintf(text, size, "%.0f min", seconds / 60);
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
}

static void draw(const pv_progress *progress, int64_t done, double now, const char *note)
{
    const double rate = (double)done / (now - progress->start + 1e-9);
    const double share = progress->total > 0 ? (double)done / (double)progress->total : 0;
    char left[32] = "?";
    if (rate > 0 && progress->total > 0)
        format_left(left, sizeof left, (double)(progress->total - done) / rate);
    char bar[BAR_WIDTH + 1] = "";
    if (progress->terminal) {
        for (int i = 0; i < BAR_WIDTH; i++)
            bar[i] = i < (int)(share * BAR_WIDTH) ? '#' : '.';
        bar[BAR_WIDTH] = '\0';
    }
    fprintf(stderr, "%spolyview: %s %s %5.1f%% (%lld/%lld %s) %.1f %s/s, %s left%s%s%s",
            progress->terminal ? "\r\033[K" : "", progress->what, bar, 100 * share, (long long)done,
            (long long)progress->total, progress->unit, rate, progress->unit, left, note ? ", " : "",
            note ? note : "", progress->terminal ? "" : "\n");
    fflush(stderr);
}

void pv_progress_update(pv_progress *progress, int64_t done, const char *note)
{
    const double now = pv_seconds();
    if (!logger.speaks || logger.verbosity < 1 ||
        now - progress->last < (progress->terminal ? BAR_INTERVAL_S : LOG_INTERVAL_S))
        return;
    progress->last = now;
    draw(progress, done, now, note);
}

void pv_progress_end(pv_progress *progress, int64_t done)
{
    if (!logger.speaks || logger.verbosity < 1) return;
    if (progress->terminal) {
        draw(progress, done, pv_seconds(), NULL);
        fputc('\n', stderr);
    }
}
