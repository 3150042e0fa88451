/* The four cases of a pair of units: either sign, an even or an odd phase. */
#include "pv_pair.h"
#include "symmetry/pv_symmetry.h"

#include <math.h>

double pv_pair_value(pv_pair pair, double period, int sign, int32_t phase)
{
    const double outgoing = phase & 1 ? -sign : sign;
    const double mine = (double)pair.mine, theirs = (double)pair.theirs;
    const double moved = sign * theirs + phase * period;
    if (sign == 0) return 0;
    return sign * (double)pair.in + outgoing * (double)pair.out + mine * moved -
           (moved + theirs) * (moved - theirs) / 2;
}

/* The multiple of the period that is closest to `distance`, in periods, of the even or of the odd ones. */
static int32_t closest(double distance, int odd)
{
    return fabs(distance) < PV_SYMMETRY_MOST_PHASES ? 2 * (int32_t)rint((distance - odd) / 2) + odd : 0;
}

/* To the nearest whole number, of numbers that are not huge. */
static inline float whole(float x)
{
    const float large = 0x1.8p23F;
    return (x + large) - large;
}

/* Of one sign: the outgoing weights count as they are with even phases, and against it with odd ones. */
static inline float better(float in, float out, float distance, float period)
{
    const float even = distance - 2 * period * whole(distance / period * 0.5F);
    const float odd = distance - period - 2 * period * whole((distance / period - 1) * 0.5F);
    const float with_even = in + out - even * even * 0.5F, with_odd = in - out - odd * odd * 0.5F;
    return with_even > with_odd ? with_even : with_odd;
}

void pv_pair_values(int n, const float *restrict in, const float *restrict out, float mine,
                    const float *restrict theirs, float period, bool signs, float *restrict best)
{
    for (int v = 0; v < n; v++) {
        const float as_is = better(in[v], out[v], mine - theirs[v], period);
        const float flipped = signs ? better(-in[v], -out[v], mine + theirs[v], period) : as_is;
        best[v] = (as_is > flipped ? as_is : flipped) + (mine * mine + theirs[v] * theirs[v]) * 0.5F;
    }
}

double pv_pair_turn(pv_pair pair, double period, bool signs, int8_t *sign, int32_t *phase)
{
    double best = -INFINITY;
    *sign = 1;
    *phase = 0;
    for (int s = 1; s >= (signs ? -1 : 1); s -= 2)
        for (int odd = 0; odd < 2; odd++) {
            const double distance = ((double)pair.mine - s * (double)pair.theirs) / period;
            const int32_t k = closest(distance, odd);
            const double value = pv_pair_value(pair, period, s, k);
            if (!(value > best)) continue;
            best = value;
            *sign = (int8_t)s;
            *phase = k;
        }
    return best;
}
