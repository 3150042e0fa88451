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

void pv_log(int level, const char *prefix, const char *format, ...)
{
    char line[2304];
    va_list args;
    if (!pv_log_speaks(level)) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "polyview: %s%s\n", prefix, line);
}
