/* The version, which the Makefile gives. */
#include "base/pv_version.h"

const char *pv_version(void)
{
    return PV_CODE_VERSION;
}
