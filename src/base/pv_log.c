/* The logger. */
#include "base/pv_log.h"

#include <stdarg.h>
#include <stdio.h>

static struct {
    bool speaks;
    int verbosity;
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

bool pv_log_speaks(int level)
{
    return logger.speaks && level <= logger.verbosity;
}

static void log_line(int level, const char *prefix, const char *format, va_list args)
{
    if (!pv_log_speaks(level)) return;
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
