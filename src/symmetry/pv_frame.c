/* Frames as words: of every unit phase * 512 + 256 for the sign - + its source. */
#include "symmetry/pv_frame.h"

#include <string.h>

enum { SOURCES = 256, SIGNS = 2 * SOURCES };

_Static_assert((int)PV_INR_MAX_WIDTH <= (int)SOURCES && sizeof(int32_t) == sizeof(float), "a unit is a word");

int pv_frame_words(const pv_arch *arch)
{
    return pv_symmetry_units(arch);
}

void pv_frame_pack(const pv_arch *arch, const pv_symmetry *symmetry, float *words)
{
    const int units = pv_symmetry_units(arch);
    for (int u = 0; u < units; u++) {
        const int32_t word =
            symmetry->phase[u] * SIGNS + (symmetry->sign[u] < 0 ? SOURCES : 0) + symmetry->source[u];
        memcpy(&words[u], &word, sizeof word);
    }
}

void pv_frame_unpack(const pv_arch *arch, const float *words, pv_symmetry *symmetry)
{
    const int units = pv_symmetry_units(arch);
    for (int u = 0; u < units; u++) {
        int32_t word;
        memcpy(&word, &words[u], sizeof word);
        const int32_t rest = word & (SIGNS - 1);
        symmetry->source[u] = rest % SOURCES;
        symmetry->sign[u] = rest < SOURCES ? 1 : -1;
        symmetry->phase[u] = (word - rest) / SIGNS;
        symmetry->scale[u] = 1; /* matching finds none */
    }
}
