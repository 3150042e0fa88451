/* The logger. */
#include "base/pv_log.h"

#include <stdarg.h>
#include <stdio.h>

static struct {
    bool speaks;
    int verbosity;
    bool bar; /* stands in the last line */
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

/* What begins a line: it wipes the bar away. */
static const char *beginning(void)
{
    const bool bar = logger.bar;
    logger.bar = false;
    return bar ? "\r\033[K" : "";
}

void pv_log_bar(const char *text)
{
    if (text)
        fprintf(stderr, "%s%s", beginning(), text);
    else
        fputc('\n', stderr);
    logger.bar = text != NULL;
}

void pv_log(int level, const char *prefix, const char *format, ...)
{
    char line[2304];
    va_list args;
    if (!pv_log_speaks(level)) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "%spolyview: %s%s\n", beginning(), prefix, line);
}
