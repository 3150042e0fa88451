/* A bar on a terminal, or lines in a log, for long loops. */
#include "base/pv_progress.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"

#include <stdio.h>
#include <unistd.h>

#define LOG_INTERVAL_S 10.0
#define BAR_INTERVAL_S 0.25
#define BAR_WIDTH      24

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

static void draw(const pv_progress *progress, int64_t done, double now)
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
    fprintf(stderr, "%spolyview: %s %s %5.1f%% (%lld/%lld %s) %.1f %s/s, %s left%s",
            progress->terminal ? "\r\033[K" : "", progress->what, bar, 100 * share, (long long)done,
            (long long)progress->total, progress->unit, rate, progress->unit, left,
            progress->terminal ? "" : "\n");
    fflush(stderr);
}

void pv_progress_update(pv_progress *progress, int64_t done)
{
    const double now = pv_seconds();
    if (!pv_log_speaks(1) || now - progress->last < (progress->terminal ? BAR_INTERVAL_S : LOG_INTERVAL_S))
        return;
    progress->last = now;
    draw(progress, done, now);
}

void pv_progress_end(pv_progress *progress, int64_t done)
{
    if (!pv_log_speaks(1)) return;
    if (progress->terminal) {
        draw(progress, done, pv_seconds());
        fputc('\n', stderr);
    }
}
