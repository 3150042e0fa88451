/* Loops that do nothing but what they are timed for: multiply-adds, and libmvec's sines and cosines. */
#include "pv_limits_kernels.h"

#include "simd/pv_amx.h"

#include <stddef.h>

/* BLOCKS x EACH independent sums hide the latency of a multiply-add (4 or 5 cycles, up to 4 started a cycle)
 * and leave registers for its factors.  Two short loops, which a compiler unrolls whole, where it may not
 * one. */
#if defined(__AVX512F__)
enum { BLOCKS = 6 };
#define LIBMVEC(name) _ZGVeN16v_##name
#elif defined(__AVX2__)
enum { BLOCKS = 3 };
#define LIBMVEC(name) _ZGVdN8v_##name
#elif defined(__x86_64__)
enum { BLOCKS = 3 };
#define LIBMVEC(name) _ZGVbN4v_##name
#else
enum { BLOCKS = 6 };
#endif
enum { EACH = 4 };

PV_INLINE float multiply_adds(pv_dot kind, int64_t rounds)
{
    pv_vector a = pv_vector_splat(0.5f), b = pv_vector_splat(0.25f), sum[BLOCKS][EACH];
    for (int i = 0; i < BLOCKS; i++)
        for (int j = 0; j < EACH; j++)
            sum[i][j] = (pv_vector){0};
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < BLOCKS; i++)
            for (int j = 0; j < EACH; j++) {
                PV_OPAQUE(a); /* no product is used twice */
                sum[i][j] = pv_dot_add(kind, sum[i][j], a, b);
            }
    pv_vector all = {0};
    for (int i = 0; i < BLOCKS; i++)
        for (int j = 0; j < EACH; j++)
            all += sum[i][j];
    float total = 0;
    for (int i = 0; i < PV_LANES; i++)
        total += all[i];
    return total;
}

static float multiply_adds_kernel(int64_t rounds)
{
    return multiply_adds(PV_DOT_FLOAT32, rounds);
}

static float bfloat16_kernel(int64_t rounds, bool own)
{
#if defined(__AVX512F__)
    if (own) return multiply_adds(PV_DOT_BFLOAT16_X86, rounds);
#endif
    (void)own;
    return multiply_adds(PV_DOT_BFLOAT16, rounds);
}

static float int16_kernel(int64_t rounds, bool own)
{
#if defined(__AVX512F__)
    if (own) return multiply_adds(PV_DOT_INT16_X86, rounds);
#endif
    (void)own;
    return multiply_adds(PV_DOT_INT16, rounds);
}

/* Products of squares, as many that the operations are those of the others. */
static float amx_kernel(int64_t rounds, bool own)
{
    enum { SIDE = PV_AMX_MOST * PV_AMX_SIDE, DEEP = 32 /* squares: sums seldom leave the registers */ };
    static const float zero[SIDE * PV_AMX_SIDE] __attribute__((aligned(64)));
    static const double flops = 2.0 * SIDE * SIDE * 2 * PV_AMX_SIDE * DEEP;
    float c[SIDE][SIDE] __attribute__((aligned(64)));
    const pv_amx_product p = {.depth = DEEP, .a = zero, .b = zero, .c = &c[0][0], .c_row = SIDE};
    float total = 0;
    pv_amx_begin(own);
    for (double done = 0; done < (double)rounds * 4 * BLOCKS * EACH * PV_LANES; done += flops) {
        pv_amx_multiply(own, PV_AMX_MOST, PV_AMX_MOST, p);
        total += c[0][0];
    }
    pv_amx_end(own);
    return total;
}

#if defined(__GLIBC__) && defined(LIBMVEC)
pv_vector LIBMVEC(sinf)(pv_vector x);
pv_vector LIBMVEC(cosf)(pv_vector x);

static void sincos_kernel(int n, const float *x, float *sine, float *cosine)
{
    for (int i = 0; i < n; i += PV_LANES) {
        const pv_vector v = pv_vector_load_aligned(x + i);
        *pv_vector_aligned(sine + i) = LIBMVEC(sinf)(v);
        *pv_vector_aligned(cosine + i) = LIBMVEC(cosf)(v);
    }
}
#else
#define sincos_kernel NULL
#endif

extern const pv_limits_kernels PV_ISA_TABLE(pv_limits_kernels);
const pv_limits_kernels PV_ISA_TABLE(pv_limits_kernels) = {
    multiply_adds_kernel,         bfloat16_kernel, amx_kernel, int16_kernel,
    2.0 * BLOCKS *EACH *PV_LANES, sincos_kernel,
};
