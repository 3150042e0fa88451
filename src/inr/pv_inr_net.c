/* Where the working form of an INR lies in memory, and how samples are cut into tiles. */
#include "pv_inr_net.h"

#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = PV_ALIGN / (int)sizeof(float), /* floats in a cache line */
    TILE_BYTES = 512 * 1024,              /* of activations: they are read again from L2 */
    BLOCK = 64,                           /* samples that kernels work on together, at most */
    TILE_LEAST = 128,                     /* below this, the sums at the end of a tile cost too much */
};

static int round_up(int value, int multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* The smallest equal tiles of at most as many samples as L2 holds, of whole runs where they become at most
 * twice as long by that. */
static int plan_tile(const pv_arch *arch, int samples, int run)
{
    int floats = arch->dims[arch->layers];
    for (int l = 1; l < arch->layers; l++)
        floats += 2 * arch->dims[l];
    int most = TILE_BYTES / (floats * (int)sizeof(float));
    if (most < TILE_LEAST) most = TILE_LEAST;
    const int tiles = samples > most ? (samples + most - 1) / most : 1;
    const int each = samples > 0 ? (samples + tiles - 1) / tiles : 1;
    int whole = LINE;
    while (run > 0 && whole % run != 0 && whole <= each)
        whole += LINE;
    return round_up(each, tiles > 1 && run > 0 && whole % run == 0 ? whole : LINE);
}

/* Points every buffer into net->memory; returns how many floats they take. */
static int64_t carve(pv_inr_net *net)
{
    const int M = net->arch.layers, *d = net->arch.dims;
    int64_t used = 0;
    for (int l = 0; l < M; l++) {
        net->weight[l] = pv_part(net->memory, &used, (int64_t)d[l + 1] * d[l]);
        net->transposed[l] = pv_part(net->memory, &used, (int64_t)d[l + 1] * d[l]);
        net->bias[l] = pv_part(net->memory, &used, d[l + 1]);
    }
    for (int l = 1; l < M; l++) {
        net->value[l] = pv_part(net->memory, &used, (int64_t)d[l] * net->stride);
        net->slope[l] = pv_part(net->memory, &used, (int64_t)d[l] * net->stride);
    }
    net->output = pv_part(net->memory, &used, (int64_t)d[M] * net->stride);
    net->run_sine = pv_part(net->memory, &used, (int64_t)net->run * d[1]);
    net->run_cosine = pv_part(net->memory, &used, (int64_t)net->run * d[1]);
    return used;
}

int pv_inr_net_run(int n, int inputs, const float *samples)
{
    const size_t others = (size_t)(inputs - 1) * sizeof *samples;
    int run = 1;
    while (run < n && inputs > 1 && memcmp(samples + (int64_t)run * inputs + 1, samples + 1, others) == 0)
        run++;
    if (run < 2 || run == n || n % run != 0) return 0;
    for (int64_t i = 0; i < n; i++) {
        const float *here = samples + i * inputs, *place = samples + i % run * inputs;
        const float *start = here - i % run * inputs;
        if (here[0] != place[0] || memcmp(here + 1, start + 1, others) != 0) return 0;
    }
    return run;
}

pv_status pv_inr_net_open(const pv_arch *arch, int samples, int run, pv_inr_net *net)
{
    pv_status st = PV_OK;
    const pv_activation *activation = pv_arch_activation(arch);
    const int tile = plan_tile(arch, samples, run);
    *net = (pv_inr_net){.arch = *arch,
                        .loop = activation->loop,
                        .apply = activation->apply,
                        .tile = tile,
                        .run = run > 0 && (tile >= samples || tile % run == 0) ? run : 0};
    net->scale = activation->uses_w0 ? arch->w0 : 1;
    if (net->loop == PV_LOOP_SINE) net->scale *= 0.318309886183790672f; /* 1/pi: half turns */
    /* An odd number of lines spreads the units over the sets of the cache; whole blocks may be worked on. */
    net->stride = (round_up(net->tile, BLOCK) / LINE | 1) * LINE;
    PV_ALLOC(net->memory, carve(net));
    carve(net);
done:
    return st;
}

void pv_inr_net_close(pv_inr_net *net)
{
    free(net->memory);
    *net = (pv_inr_net){0};
}

float pv_inr_net_reach(int64_t n, const float *x)
{
    float reach = 0;
    for (int64_t i = 0; i < n; i++)
        reach = fmaxf(reach, fabsf(x[i]));
    return reach;
}

int pv_inr_net_tiles(const pv_inr_net *net, int n)
{
    return (n + net->tile - 1) / net->tile;
}

void pv_inr_net_lay_out(const pv_inr_net *net, int n, int channels, const float *samples, float *tiles)
{
    const int64_t size = (int64_t)channels * net->stride;
    for (int t = 0; t < pv_inr_net_tiles(net, n); t++)
        for (int c = 0; c < channels; c++)
            for (int s = 0; s < net->stride; s++) {
                const int64_t sample = (int64_t)t * net->tile + s;
                tiles[t * size + (int64_t)c * net->stride + s] =
                    s < net->tile && sample < n ? samples[sample * channels + c] : 0.0f;
            }
}
