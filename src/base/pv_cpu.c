/* Chooses the instruction set; POLYVIEW_ISA lowers it. */
#include "base/pv_cpu.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

#if defined(__x86_64__)
#define SUPPORTS(what) (pv_cpu_isa() == PV_ISA_AVX512 && __builtin_cpu_supports(what))
#else
#define SUPPORTS(what) false
#endif

bool pv_cpu_multiplies_bfloat16(void)
{
    return SUPPORTS("avx512bf16");
}

bool pv_cpu_multiplies_int16(void)
{
    return SUPPORTS("avx512vnni");
}

/* Asked once: what a virtual machine tells of its processor takes long. */
static bool has_squares(void)
{
#if defined(__x86_64__) && defined(__linux__)
    enum { BFLOAT16 = 1 << 22, TILES = 1 << 24, REQUEST = 0x1023, TILE_DATA = 18 };
    static int has = -1;
    unsigned a, b, c, d = 0;
    if (has >= 0) return has > 0;
    has = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & BFLOAT16) && (d & TILES) &&
          syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
    return has > 0;
#else
    return false;
#endif
}

bool pv_cpu_multiplies_squares(void)
{
    return pv_cpu_multiplies_bfloat16() && has_squares();
}

/* The number of the set that POLYVIEW_ISA names; PV_ISA_COUNT if none has that name, -1 if it is not set. */
static int wished(void)
{
    const char *wish = getenv("POLYVIEW_ISA");
    int isa = 0;
    if (!wish || wish[0] == '\0') return -1;
    while (isa < PV_ISA_COUNT && strcmp(wish, isa_names[isa]) != 0)
        isa++;
    return isa;
}

pv_isa pv_cpu_isa(void)
{
    const int best = (int)widest(), wish = wished();
    return (pv_isa)(wish >= 0 && wish < best ? wish : best);
}

pv_status pv_cpu_check(void)
{
    return wished() < PV_ISA_COUNT
               ? PV_OK
               : pv_fail(PV_ERR_USAGE, "the variable POLYVIEW_ISA is '%s': it knows %s, %s and %s",
                         getenv("POLYVIEW_ISA"), isa_names[0], isa_names[1], isa_names[2]);
}

void pv_cpu_lower(pv_isa isa)
{
    setenv("POLYVIEW_ISA", isa_names[isa], 1);
}
