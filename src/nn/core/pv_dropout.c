/* Dropout's draws, of the place of a sample in the batch, and what they do to values. */
#include "nn/core/pv_dropout.h"
#include "base/pv_rng.h"

#include <math.h>

enum { DRAW_BITS = 16, CHUNK = 1024, SITE_SHIFT = 48 };

uint32_t pv_dropout_threshold(const pv_dropout *dropout)
{
    return (uint32_t)lround((1 - dropout->rate) * (1 << DRAW_BITS));
}

double pv_dropout_scale(const pv_dropout *dropout)
{
    const uint32_t keep = pv_dropout_threshold(dropout);
    return keep ? (double)(1 << DRAW_BITS) / keep : 0;
}

static pv_rng open_draws(const pv_pass *pass, int site, int sample)
{
    const uint64_t position = (uint64_t)(pass->first_sample + sample);
    return pv_rng_open(pass->seed, PV_RNG_DROPOUT, pass->step, (uint64_t)site << SITE_SHIFT | position);
}

/* A multiple of 4 draws, at least n. */
static void draw(pv_rng *rng, int64_t n, uint16_t *draws)
{
    uint64_t bits[CHUNK / 4];
    for (int64_t first = 0; first < n; first += CHUNK) {
        const int64_t words = (n - first < CHUNK ? n - first + 3 : CHUNK) / 4;
        pv_rng_fill(rng, words, bits);
        for (int64_t i = 0; i < words; i++)
            for (int64_t k = 0; k < 4; k++)
                draws[first + 4 * i + k] = (uint16_t)(bits[i] >> (DRAW_BITS * k));
    }
}

void pv_dropout_apply(const pv_dropout *dropout, const pv_pass *pass, int site, int sample, int64_t n,
                      pv_real *x)
{
    if (!pass->training || dropout->rate <= 0) return;
    pv_rng rng = open_draws(pass, site, sample);
    const pv_real scale = (pv_real)pv_dropout_scale(dropout);
    uint16_t draws[CHUNK];
    for (int64_t first = 0; first < n; first += CHUNK) {
        const int64_t count = n - first < CHUNK ? n - first : CHUNK;
        draw(&rng, count, draws);
        dropout->kernels->dropout(count, draws, pv_dropout_threshold(dropout), scale, x + first);
    }
}

void pv_dropout_draw(const pv_pass *pass, int site, int sample, int64_t n, uint16_t *draws)
{
    pv_rng rng = open_draws(pass, site, sample);
    draw(&rng, n, draws);
}
