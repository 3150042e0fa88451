#include "base/pv_status.h"

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
    case PV_ERR_MPI:
        return "MPI error";
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
