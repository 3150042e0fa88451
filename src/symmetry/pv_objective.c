/* A scalar product of two rows. */
#include "symmetry/pv_objective.h"

double pv_match_objective(const pv_arch *arch, const float *a, const float *b)
{
    enum { SUMS = 8 }; /* side by side: one sum would wait for each addition */
    const int count = pv_arch_params(arch) - arch->dims[arch->layers];
    double sum[SUMS] = {0};
    int i = 0;
    for (; i + SUMS <= count; i += SUMS)
        for (int s = 0; s < SUMS; s++)
            sum[s] += (double)a[i + s] * (double)b[i + s];
    for (int s = 0; i < count; i++, s++)
        sum[s] += (double)a[i] * (double)b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
