/* Exponentials and waves of vectors.  In double, the arithmetic of witnesses, they are the C library's, lane
 * by lane. */
#ifndef PV_FUNCTIONS_H
#define PV_FUNCTIONS_H

#include "simd/pv_vector.h"

#ifdef PV_REAL_IS_DOUBLE
PV_INLINE pv_vector pv_vector_exp(pv_vector x)
{
    for (int i = 0; i < PV_LANES; i++)
        x[i] = exp(x[i]);
    return x;
}

PV_INLINE pv_vector pv_vector_exp_below(pv_vector x)
{
    return pv_vector_exp(x);
}

PV_INLINE void pv_vector_sincos_turns(pv_vector t, pv_vector *sine, pv_vector *cosine)
{
    for (int i = 0; i < PV_LANES; i++) {
        const double angle = 2 * 3.14159265358979323846 * t[i];
        (*sine)[i] = sin(angle);
        (*cosine)[i] = cos(angle);
    }
}
#else
/* Adding it rounds to a whole number, which then stands in the lowest bits. */
#define PV_SHIFT 0x1.8p23f

/* 2^(x log2 e), by a minimax polynomial of the fraction with an error of 2e-9 before rounding; -87 <= x <=
 * 88, else as at the nearest of these. */
PV_INLINE pv_vector pv_vector_exp(pv_vector x)
{
    const float log2e = 0x1.715476p0f, rest = 0x1.4ae0bep-26f;
    x = pv_vector_max(pv_vector_splat(-87.0f), x);
    x = pv_vector_min(pv_vector_splat(88.0f), x);
    const pv_vector shifted = x * log2e + PV_SHIFT, whole = shifted - PV_SHIFT;
    const pv_vector f = (x * log2e - whole) + x * rest;
    pv_vector p = f * 0.00015345794f + 0.0013399931f;
    p = p * f + 0.00961848902f;
    p = p * f + 0.0555032878f;
    p = p * f + 0.240226469f;
    p = p * f + 0.693147206f;
    p = p * f + 1.0f;
    return (pv_vector)((pv_bits)p + ((pv_bits)shifted << 23));
}

/* exp(x) for x <= 0 to 2 ulp: 2^n e^r with |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 7.  Not
 * below e^-87, where it stays at the smallest normal numbers.  Of the two exponentials the older one, kept
 * for the attention of sets, so that a training that goes on keeps its bits. */
PV_INLINE pv_vector pv_vector_exp_below(pv_vector x)
{
    x = pv_vector_max(x, pv_vector_splat(-87.0f));
    const pv_vector shifted = x * 1.44269504f + PV_SHIFT, n = shifted - PV_SHIFT;
    const pv_vector r = x - n * 0.693359375f + n * 2.12194440e-4f;
    pv_vector e = r * (1.0f / 5040) + 1.0f / 720;
    e = e * r + 1.0f / 120;
    e = e * r + 1.0f / 24;
    e = e * r + 1.0f / 6;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    return e * (pv_vector)(((pv_bits)shifted + 127) << 23);
}

/* t less a whole number of half turns, |f| <= 1/2, exact, and their parity as the sign of a number; |t| <
 * 2^21. */
PV_INLINE pv_vector pv_vector_half_turn(pv_vector t, pv_bits *sign)
{
    const pv_vector shifted = t + PV_SHIFT;
    *sign = (pv_bits)shifted << 31;
    return t - (shifted - PV_SHIFT);
}

/* sin(pi f), |f| <= 1/2: an odd minimax polynomial, whose error is 4e-9 before rounding. */
PV_INLINE pv_vector pv_vector_sine_of_half(pv_vector f)
{
    const pv_vector z = f * f;
    pv_vector s = z * 0x1.3c4b2cp-4f - 0x1.3232fap-1f;
    s = s * z + 0x1.46676ep+1f;
    s = s * z - 0x1.4abbb6p+2f;
    s = s * z + 0x1.921fb4p+1f;
    return s * f;
}

/* sin(pi t) and its slope, pi cos(pi t), |t| < 2^21; the slope by a polynomial of its own, whose error is
 * 5e-8. */
PV_INLINE void pv_vector_sine_slope(pv_vector t, pv_vector *sine, pv_vector *slope)
{
    pv_bits sign;
    const pv_vector f = pv_vector_half_turn(t, &sign), z = f * f;
    pv_vector c = z * 0.690197849f - 4.18422493f;
    c = c * z + 12.7498771f;
    c = c * z - 15.503109f;
    c = c * z + 3.14159251f;
    *sine = (pv_vector)((pv_bits)pv_vector_sine_of_half(f) ^ sign);
    *slope = (pv_vector)((pv_bits)c ^ sign);
}

/* sin and cos of 2 pi t, |t| < 2^20, the cosine as the sine of what is left of a quarter. */
PV_INLINE void pv_vector_sincos_turns(pv_vector t, pv_vector *sine, pv_vector *cosine)
{
    pv_bits sign;
    const pv_vector f = pv_vector_half_turn(2.0f * t, &sign);
    *sine = (pv_vector)((pv_bits)pv_vector_sine_of_half(f) ^ sign);
    *cosine = (pv_vector)((pv_bits)pv_vector_sine_of_half(0.5f - pv_vector_abs(f)) ^ sign);
}
#endif

#endif
