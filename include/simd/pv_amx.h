/* Products of matrices of bfloat16 with sums of float32, in the order of Intel's AMX, by its instruction or
 * in plain arithmetic.  For kernel files (*_kernels.c) only, of float.
 *
 * Matrices are of 32-bit words: those of a and b hold pairs of bfloat16 (pv_dot.h) that lie next to each
 * other along what is summed over, the lower half first.  They are worked on in squares of 16 x 16 words, 32
 * numbers deep.  Every square that is summed over gives one sum of its even and one of its odd numbers, each
 * added up from 0 with a rounding a number; both are added, and then to c.  Plain arithmetic gives the same
 * bits but for operands, products and sums below the smallest normal float, which the instruction takes for
 * 0.  (Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS.) */
#ifndef PV_AMX_H
#define PV_AMX_H

#include "simd/pv_dot.h"

enum { PV_AMX_SIDE = 16, PV_AMX_MOST = 2 };

/* c = start + a b, of up to PV_AMX_MOST squares down and across: rows of a [16 down][16 depth], b [16 depth]
 * [16 across] and c [16 down][16 across] are a_row, b_row and c_row words apart. */
typedef struct pv_amx_product {
    int depth; /* squares */
    const float *a, *b;
    int64_t a_row, b_row;
    const float *start; /* NULL: 0; may be c */
    int64_t start_row,
        start_across; /* words from a row to the next, and from a square to the one beside it */
    float *c;
    int64_t c_row;
} pv_amx_product;

/* The plain arithmetic of `rows` rows and one vector of columns. */
PV_INLINE void pv_amx_plain_block(int rows, pv_amx_product p)
{
    const pv_bits upper = (pv_bits){0} + UINT32_C(0xffff0000);
    pv_vector sum[4];
    for (int r = 0; r < rows; r++)
        sum[r] = p.start ? pv_vector_load(p.start + r * p.start_row) : (pv_vector){0};
    for (int k = 0; k < p.depth * PV_AMX_SIDE; k += PV_AMX_SIDE) {
        pv_vector even[4] = {{0}}, odd[4] = {{0}};
        for (int i = k; i < k + PV_AMX_SIDE; i++) {
            const pv_bits b = (pv_bits)pv_vector_load(p.b + i * p.b_row);
            for (int r = 0; r < rows; r++) {
                const pv_bits a = (pv_bits)pv_dot_splat(PV_DOT_BFLOAT16, p.a + r * p.a_row + i);
                even[r] += (pv_vector)(a << 16) * (pv_vector)(b << 16);
                odd[r] += (pv_vector)(a & upper) * (pv_vector)(b & upper);
            }
        }
        for (int r = 0; r < rows; r++)
            sum[r] += even[r] + odd[r];
    }
    for (int r = 0; r < rows; r++)
        pv_vector_store(p.c + r * p.c_row, sum[r]);
}

/* Squares that begin with row `down` and column `across`. */
PV_INLINE pv_amx_product pv_amx_part(pv_amx_product p, int down, int across)
{
    p.a += down * p.a_row;
    p.b += across;
    if (p.start) p.start += down * p.start_row + across / PV_AMX_SIDE * p.start_across + across % PV_AMX_SIDE;
    p.c += down * p.c_row + across;
    return p;
}

static void pv_amx_plain(int down, int across, pv_amx_product p)
{
    for (int i = 0; i < down * PV_AMX_SIDE; i += 4)
        for (int j = 0; j < across * PV_AMX_SIDE; j += PV_LANES)
            pv_amx_plain_block(4, pv_amx_part(p, i, j));
}

#if defined(__AVX512F__)
#define PV_AMX_LOAD(tile, at, row)                                                                           \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(at), "r"((int64_t)(row)*4) : "memory")
#define PV_AMX_STORE(tile, at, row)                                                                          \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(at), "r"((int64_t)(row)*4) : "memory")
#define PV_AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::: "memory")
#define PV_AMX_ADD(a, b, c)                                                                                  \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory") /* c += a b */

/* Makes the registers of the instruction ready, and gives them back: between the two are its products. */
PV_INLINE void pv_amx_begin(bool own)
{
    if (!own) return;
    enum { ROW = 4 * PV_AMX_SIDE };
    static const struct shapes {
        uint8_t palette, first_row, reserved[14];
        uint16_t bytes[16]; /* of a row */
        uint8_t rows[16];
    } shapes = {.palette = 1,
                .bytes = {ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW},
                .rows = {PV_AMX_SIDE, PV_AMX_SIDE, PV_AMX_SIDE, PV_AMX_SIDE, PV_AMX_SIDE, PV_AMX_SIDE,
                         PV_AMX_SIDE, PV_AMX_SIDE}};
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
}

PV_INLINE void pv_amx_end(bool own)
{
    if (own) __asm__ volatile("tilerelease" ::: "memory");
}

/* A product that nobody wants.  Where none has been asked for in some hundred nanoseconds, the next one
 * waits for about 300 (Sapphire Rapids): loops that go on for longer between products call this as they
 * go. */
PV_INLINE void pv_amx_stay_awake(bool own)
{
    if (own) PV_AMX_ADD(5, 7, 3);
}

/* Sums are in registers 0 to 3, of a in 4 and 5, of b in 6 and 7. */
PV_INLINE void pv_amx_own_start(int down, int across, pv_amx_product p)
{
    const bool two_down = down > 1, two_across = across > 1;
    const int64_t start_down = PV_AMX_SIDE * p.start_row;
    if (p.start) {
        PV_AMX_LOAD(0, p.start, p.start_row);
        if (two_across) PV_AMX_LOAD(1, p.start + p.start_across, p.start_row);
        if (two_down) PV_AMX_LOAD(2, p.start + start_down, p.start_row);
        if (two_down && two_across) PV_AMX_LOAD(3, p.start + start_down + p.start_across, p.start_row);
    } else {
        PV_AMX_ZERO(0);
        if (two_across) PV_AMX_ZERO(1);
        if (two_down) PV_AMX_ZERO(2);
        if (two_down && two_across) PV_AMX_ZERO(3);
    }
}

PV_INLINE void pv_amx_own_add(int down, int across, pv_amx_product p)
{
    const bool two_down = down > 1, two_across = across > 1;
    const int64_t a_down = PV_AMX_SIDE * p.a_row;
    for (int k = 0; k < p.depth; k++, p.a += PV_AMX_SIDE, p.b += PV_AMX_SIDE * p.b_row) {
        PV_AMX_LOAD(4, p.a, p.a_row);
        PV_AMX_LOAD(6, p.b, p.b_row);
        PV_AMX_ADD(4, 6, 0);
        if (two_across) {
            PV_AMX_LOAD(7, p.b + PV_AMX_SIDE, p.b_row);
            PV_AMX_ADD(4, 7, 1);
        }
        if (two_down) {
            PV_AMX_LOAD(5, p.a + a_down, p.a_row);
            PV_AMX_ADD(5, 6, 2);
            if (two_across) PV_AMX_ADD(5, 7, 3);
        }
    }
}

PV_INLINE void pv_amx_own_store(int down, int across, float *c, int64_t c_row)
{
    const bool two_down = down > 1, two_across = across > 1;
    const int64_t c_down = PV_AMX_SIDE * c_row;
    PV_AMX_STORE(0, c, c_row);
    if (two_across) PV_AMX_STORE(1, c + PV_AMX_SIDE, c_row);
    if (two_down) PV_AMX_STORE(2, c + c_down, c_row);
    if (two_down && two_across) PV_AMX_STORE(3, c + c_down + PV_AMX_SIDE, c_row);
}
#else
PV_INLINE void pv_amx_begin(bool own)
{
    (void)own;
}
PV_INLINE void pv_amx_end(bool own)
{
    (void)own;
}

PV_INLINE void pv_amx_stay_awake(bool own)
{
    (void)own;
}
#endif

/* The steps of a product, or of the sum of several: by the instruction (`own`, between pv_amx_begin and
 * pv_amx_end) from start, through additions of a b, to c; or plainly, where only the additions do anything,
 * each with the c of the last as its start. */
PV_INLINE void pv_amx_start(bool own, int down, int across, pv_amx_product p)
{
#if defined(__AVX512F__)
    if (own) pv_amx_own_start(down, across, p);
#else
    (void)own, (void)down, (void)across, (void)p;
#endif
}

PV_INLINE void pv_amx_add(bool own, int down, int across, pv_amx_product p)
{
#if defined(__AVX512F__)
    if (own) {
        pv_amx_own_add(down, across, p);
        return;
    }
#else
    (void)own;
#endif
    pv_amx_plain(down, across, p);
}

PV_INLINE void pv_amx_store(bool own, int down, int across, pv_amx_product p)
{
#if defined(__AVX512F__)
    if (own) pv_amx_own_store(down, across, p.c, p.c_row);
#else
    (void)own, (void)down, (void)across, (void)p;
#endif
}

PV_INLINE void pv_amx_multiply(bool own, int down, int across, pv_amx_product p)
{
    pv_amx_start(own, down, across, p);
    pv_amx_add(own, down, across, p);
    pv_amx_store(own, down, across, p);
}

/* Any number of squares down and across. */
PV_INLINE void pv_amx_multiply_all(bool own, int down, int across, pv_amx_product p)
{
    for (int i = 0; i < down; i += PV_AMX_MOST)
        for (int j = 0; j < across; j += PV_AMX_MOST) {
            const pv_amx_product part = pv_amx_part(p, i * PV_AMX_SIDE, j * PV_AMX_SIDE);
            const int high = down - i < PV_AMX_MOST ? down - i : PV_AMX_MOST;
            if (across - j >= PV_AMX_MOST)
                pv_amx_multiply(own, high, PV_AMX_MOST, part);
            else
                pv_amx_multiply(own, high, 1, part);
        }
}

#endif
