/* Which instruction set the dense kernels use: compiled several times, chosen once at run time. */
#ifndef PV_CPU_H
#define PV_CPU_H

#include "base/pv_status.h"

#include <stdbool.h>

/* From the narrowest to the widest. */
typedef enum pv_isa { PV_ISA_PORTABLE, PV_ISA_AVX2, PV_ISA_AVX512, PV_ISA_COUNT } pv_isa;

/* The widest set that this build has and this processor runs; the environment variable POLYVIEW_ISA
 * (portable, avx2, avx512) lowers it.  Local. */
pv_isa pv_cpu_isa(void);
/* Whether POLYVIEW_ISA, if it is set, names a set.  Local.  Errors: PV_ERR_USAGE. */
pv_status pv_cpu_check(void);
/* Lets pv_cpu_isa choose at most `isa` from here on, by POLYVIEW_ISA.  Local. */
void pv_cpu_lower(pv_isa isa);

/* "portable", "avx2", "avx512"; static storage. */
const char *pv_isa_name(pv_isa isa);

/* Whether the set in use is avx512 and the processor multiplies pairs of bfloat16 (AVX512-BF16), of int16
 * (AVX512-VNNI).  Local. */
bool pv_cpu_multiplies_bfloat16(void);
bool pv_cpu_multiplies_int16(void);
/* Whether the processor multiplies squares of bfloat16 as well (AMX-BF16), which the kernel is asked to let
 * this process do.  Local. */
bool pv_cpu_multiplies_squares(void);

/* A kernel file src/<room>/<name>_kernels.c is compiled once per instruction set with PV_ISA set to portable,
 * avx2 or avx512, and exports one table of function pointers, named <table>_portable and so on:
 *
 *     const pv_foo_kernels PV_ISA_TABLE(pv_foo_kernels) = {...};       in the kernel file
 *     PV_ISA_DECLARE(pv_foo_kernels);                                  in the room's private or public header
 *     const pv_foo_kernels *k = PV_ISA_CHOOSE(pv_foo_kernels);         where it is used
 *
 * where pv_foo_kernels is also the name of the table's struct type. */
#define PV_ISA_PASTE_(name, isa) name##_##isa
#define PV_ISA_PASTE(name, isa)  PV_ISA_PASTE_(name, isa)
#define PV_ISA_TABLE(name)       PV_ISA_PASTE(name, PV_ISA)

#if defined(__x86_64__)
#define PV_ISA_DECLARE(name)                                                                                 \
    extern const name PV_ISA_PASTE_(name, portable), PV_ISA_PASTE_(name, avx2), PV_ISA_PASTE_(name, avx512)
#define PV_ISA_CHOOSE(name)                                                                                  \
    (pv_cpu_isa() == PV_ISA_AVX512 ? &PV_ISA_PASTE_(name, avx512)                                            \
     : pv_cpu_isa() == PV_ISA_AVX2 ? &PV_ISA_PASTE_(name, avx2)                                              \
                                   : &PV_ISA_PASTE_(name, portable))
#else
#define PV_ISA_DECLARE(name) extern const name PV_ISA_PASTE_(name, portable)
#define PV_ISA_CHOOSE(name)  (&PV_ISA_PASTE_(name, portable))
#endif

#endif
