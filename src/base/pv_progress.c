/* A bar on a terminal, or lines in a log, for long loops. */
#include "base/pv_progress.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_INTERVAL_S 0.25
#define LOG_LEAST_S    10.0
#define LOG_MOST_S     300.0
#define LOG_SHARE      60 /* of the time so far */
enum { BAR_WIDTH = 24, LINE = 256 };

/* Of the terminal that stderr is, 0 if it is none that can wipe a line. */
static int terminal_columns(void)
{
    struct winsize size = {0};
    const char *const kind = getenv("TERM");
    if (!isatty(STDERR_FILENO) || !kind || strcmp(kind, "dumb") == 0) return 0;
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    return size.ws_col == 0 ? 80 : size.ws_col < LINE ? size.ws_col : LINE;
}

void pv_progress_start(pv_progress *progress, const char *what, const char *unit, int64_t total)
{
    const double now = pv_seconds();
    *progress = (pv_progress){what, unit, total, now, now, terminal_columns()};
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

/* " 12.5% (50/400 views) 3.1 views/s, 113 s left" */
static void format_figures(const pv_progress *progress, int64_t done, double now, char text[LINE])
{
    const double rate = (double)done / (now - progress->start + 1e-9);
    char left[32] = "?";
    if (rate > 0) format_left(left, sizeof left, (double)(progress->total - done) / rate);
    snprintf(text, LINE, "%5.1f%% (%lld/%lld %s) %.1f %s/s, %s left",
             progress->total > 0 ? 100 * (double)done / (double)progress->total : 0, (long long)done,
             (long long)progress->total, progress->unit, rate, progress->unit, left);
}

/* A bar in the room that the figures leave in the line; where they leave none, as much of them as fits. */
static void draw_bar(const pv_progress *progress, int64_t done, const char *figures)
{
    char bar[BAR_WIDTH + 2] = "", text[2 * LINE];
    const int others = (int)(strlen("polyview:   ") + strlen(progress->what) + strlen(figures));
    const int room = progress->columns - 1 - others, width = room < BAR_WIDTH ? room : BAR_WIDTH;
    if (width > 2) {
        const int full = progress->total > 0 ? (int)((double)done / (double)progress->total * width) : 0;
        memset(bar, '#', (size_t)full);
        memset(bar + full, '.', (size_t)(width - full));
        bar[width] = ' ';
    }
    snprintf(text, sizeof text, "polyview: %s %s%s", progress->what, bar, figures);
    text[progress->columns - 1] = '\0';
    pv_log_bar(text);
}

static void draw(const pv_progress *progress, int64_t done, double now)
{
    char figures[LINE];
    format_figures(progress, done, now, figures);
    if (progress->columns > 0)
        draw_bar(progress, done, figures);
    else
        pv_log_info("%s %s", progress->what, figures);
}

void pv_progress_update(pv_progress *progress, int64_t done)
{
    if (!pv_log_speaks(1)) return;
    const double now = pv_seconds(), seldom = (now - progress->start) / LOG_SHARE;
    const double interval =
        progress->columns > 0 ? BAR_INTERVAL_S : fmin(LOG_MOST_S, fmax(LOG_LEAST_S, seldom));
    if (now - progress->last < interval) return;
    progress->last = now;
    draw(progress, done, now);
}

void pv_progress_end(pv_progress *progress, int64_t done)
{
    if (!pv_log_speaks(1) || progress->columns == 0) return;
    draw(progress, done, pv_seconds());
    pv_log_bar(NULL);
}
