/* What statuses are called, and the message of the last failure. */
#include "base/pv_status.h"

#include <stdarg.h>
#include <stdio.h>

enum { FAILURE_BYTES = 2048 };

/* Belongs to the process, as errno does. */
static char failure[FAILURE_BYTES];

const char *pv_status_text(pv_status status)
{
    switch (status) {
    case PV_OK:
        return "done";
    case PV_STOPPED:
        return "stopped early";
    case PV_ERR_USAGE:
        return "usage error";
    case PV_ERR_CONFIG:
        return "config error";
    case PV_ERR_DATA:
        return "bad data";
    case PV_ERR_IO:
        return "I/O error";
    case PV_ERR_HDF5:
        return "HDF5 error";
    case PV_ERR_NOMEM:
        return "out of memory";
    case PV_ERR_NUMERIC:
        return "numerical error";
    case PV_ERR_INTERNAL:
        return "internal error";
    }
    return "unknown status";
}

int pv_status_exit_code(pv_status status)
{
    switch (status) {
    case PV_OK:
        return 0;
    case PV_STOPPED:
        return 75;
    case PV_ERR_USAGE:
    case PV_ERR_CONFIG:
        return 2;
    case PV_ERR_DATA:
        return 3;
    default:
        return 1;
    }
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
