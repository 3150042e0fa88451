#include "pv_match_kernels.h"

enum { LANES = PV_MATCH_LANES, ROWS = 4 };

static void product(int n, int k, int stride, const float *restrict a, const float *restrict b,
                    float *restrict out)
{
    for (int i = 0; i < n; i += ROWS) {
        const int rows = n - i < ROWS ? n - i : ROWS;
        for (int j = 0; j < n; j += LANES) {
            float sum[ROWS][LANES] = {{0}};
            for (int m = 0; m < k; m++)
                for (int r = 0; r < ROWS; r++) {
                    const float factor = a[(i + (r < rows ? r : 0)) * k + m];
                    for (int l = 0; l < LANES; l++)
                        sum[r][l] += factor * b[m * stride + j + l];
                }
            const int lanes = n - j < LANES ? n - j : LANES;
            for (int r = 0; r < rows; r++)
                for (int l = 0; l < lanes; l++)
                    out[(i + r) * n + j + l] = sum[r][l];
        }
    }
}

const pv_match_kernels PV_ISA_TABLE(pv_match_kernels) = {.product = product};
