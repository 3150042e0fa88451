/* What the fuzz targets share: files made of inputs, and what must hold. */
#include "fuzz.h"
#include "base/pv_status.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_require(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "broken promise: %s (last message: %s)\n", what, pv_fail_message());
    abort();
}
