/* What statuses are called, and the message of the last failure. */
#include "base/pv_status.h"

#include <stdarg.h>
#include <stdio.h>

enum { FAILURE_BYTES = 2048 };

/* Belongs to the process, as errno does. */
static char failure[FAILURE_BYTES];

static const struct {
    pv_status status;
    int exit_code;
    const char *text;
} known[] = {{PV_OK, 0, "done"},
             {PV_STOPPED, 75, "stopped early"},
             {PV_ERR_USAGE, 2, "usage error"},
             {PV_ERR_CONFIG, 2, "config error"},
             {PV_ERR_DATA, 3, "bad data"},
             {PV_ERR_IO, 1, "I/O error"},
             {PV_ERR_HDF5, 1, "HDF5 error"},
             {PV_ERR_NOMEM, 1, "out of memory"},
             {PV_ERR_NUMERIC, 1, "numerical error"},
             {PV_ERR_INTERNAL, 1, "internal error"}};
enum { KNOWN = sizeof known / sizeof *known };

static int find(pv_status status)
{
    int i = 0;
    while (i < KNOWN && known[i].status != status)
        i++;
    return i;
}

const char *pv_status_text(pv_status status)
{
    const int i = find(status);
    return i < KNOWN ? known[i].text : "unknown status";
}

int pv_status_exit_code(pv_status status)
{
    const int i = find(status);
    return i < KNOWN ? known[i].exit_code : 1;
}

pv_status(pv_fail)(pv_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(failure, sizeof failure, format, args);
    va_end(args);
    return status;
}

const char *pv_fail_message(void)
{
    return failure;
}
