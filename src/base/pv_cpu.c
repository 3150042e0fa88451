/* Chooses the instruction set; POLYVIEW_ISA lowers it. */
#include "base/pv_cpu.h"

#include <stdlib.h>
#include <string.h>

static const char *const isa_names[PV_ISA_COUNT] = {"portable", "avx2", "avx512"};

const char *pv_isa_name(pv_isa isa)
{
    return isa_names[isa];
}

static pv_isa widest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return PV_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return PV_ISA_AVX2;
#endif
    return PV_ISA_PORTABLE;
}

pv_isa pv_cpu_isa(void)
{
    const pv_isa best = widest();
    const char *wish = getenv("POLYVIEW_ISA");
    for (int isa = 0; wish && isa <= (int)best; isa++)
        if (strcmp(wish, isa_names[isa]) == 0) return (pv_isa)isa;
    return best;
}
