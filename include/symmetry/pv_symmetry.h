/* The symmetries of the weight space of INRs as values: what permutes the hidden units of a layer, flips
 * their signs and shifts their phases, and leaves the function as it is; for a SIREN, h = sin(w0 (W h + b)),
 * whose pi is another activation's antiperiod.
 *
 * An element says for every hidden unit u of every hidden layer l = 0 .. M-2 (width dims[l + 1]) which unit
 * it is made of: with v = source[u], s = sign[u], k = phase[u],
 *     new W_l[u, :] = s * old W_l[v, :],   new b_l[u] = s * old b_l[v] + k pi / w0,
 *     new W_{l+1}[:, u] = s * (-1)^k * old W_{l+1}[:, v]
 * without the s in the last line where the activation is even; and with c = scale[u] of one that has scales,
 *     new W_l[u, :] = c * old W_l[v, :],   new b_l[u] = c * old b_l[v],   new W_{l+1}[:, u] = old / c
 * (rows and columns of neighbouring layers are moved by their own layer's part of the element too). */
#ifndef PV_SYMMETRY_H
#define PV_SYMMETRY_H

#include "base/pv_rng.h"
#include "inr/pv_arch.h"

/* What units of an INR allow besides a change of their order, as their activation does. */
enum {
    PV_SYMMETRY_SIGNS = 1,  /* a unit's weights, its bias and, if odd, what is made of it may change signs */
    PV_SYMMETRY_PHASES = 2, /* its bias may move by multiples of the activation's antiperiod / w0 */
    PV_SYMMETRY_SCALES = 4  /* its weights and its bias may be multiplied, what is made of it divided */
};
unsigned pv_symmetry_kinds(const pv_arch *arch);

/* The phases that are looked for in a bias: of a larger one a float has no digits left of its phase, and it
 * stays as it is. */
enum { PV_SYMMETRY_MOST_PHASES = 1 << 21 };

/* One element.  Shapes: [pv_symmetry_units(arch)], layer by layer; `source` counts within its layer. */
typedef struct pv_symmetry {
    int32_t *source;
    int8_t *sign;   /* +1 or -1 */
    int32_t *phase; /* multiples of pi / w0 */
    float *scale;   /* > 0 */
    bool even;      /* signs stay with the incoming weights */
} pv_symmetry;

/* All hidden units of an architecture; 0 if it has no hidden layer. */
int pv_symmetry_units(const pv_arch *arch);
/* Where the units of hidden layer `layer` begin. */
int pv_symmetry_offset(const pv_arch *arch, int layer);

/* What a phase of 1 moves a bias by; 0: the activation has none. */
double pv_symmetry_period(const pv_arch *arch);

/* The sign of a unit's outgoing weights; `unit` counts over all layers.  phase & 1 is right for negative
 * ones too; a sign of 0 is of a unit that does not count. */
static inline int8_t pv_symmetry_outgoing(const pv_symmetry *symmetry, int unit)
{
    if (symmetry->even) return symmetry->sign[unit] != 0;
    return symmetry->phase[unit] & 1 ? (int8_t)-symmetry->sign[unit] : symmetry->sign[unit];
}

/* Makes the identity.  Owner: pv_symmetry_free, safe on a zeroed value.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_symmetry_make(const pv_arch *arch, pv_symmetry *out);
void pv_symmetry_free(pv_symmetry *symmetry);
/* Makes an element the identity again. */
void pv_symmetry_identity(const pv_arch *arch, pv_symmetry *symmetry);
void pv_symmetry_copy(const pv_arch *arch, const pv_symmetry *from, pv_symmetry *to);

/* Applying `out` equals applying `first`, then `second`.  `out` is neither of them. */
void pv_symmetry_compose(const pv_arch *arch, const pv_symmetry *first, const pv_symmetry *second,
                         pv_symmetry *out);
/* The element that undoes `symmetry`.  `out` is another one. */
void pv_symmetry_invert(const pv_arch *arch, const pv_symmetry *symmetry, pv_symmetry *out);

/* Applies an element to a row.  Shapes: row, out [P]; out is not row. */
void pv_symmetry_apply(const pv_arch *arch, const pv_symmetry *symmetry, const float *row, float *out);

/* How alike two rows are, which weight matching makes as large as it can: the sum over all tensors but the
 * last bias of <a, b>.  Shapes: a, b [P]. */
double pv_match_objective(const pv_arch *arch, const float *a, const float *b);

/* Random parts of an element, the other parts untouched: uniform permutations (Fisher-Yates); each sign -1
 * with probability p; phases uniform in low .. high; scales e^x, x uniform in +-log(most).  Random: `rng`,
 * layer by layer, unit by unit. */
void pv_symmetry_draw_permutation(const pv_arch *arch, pv_rng *rng, pv_symmetry *symmetry);
void pv_symmetry_draw_signs(const pv_arch *arch, double p, pv_rng *rng, pv_symmetry *symmetry);
void pv_symmetry_draw_phases(const pv_arch *arch, int low, int high, pv_rng *rng, pv_symmetry *symmetry);
void pv_symmetry_draw_scales(const pv_arch *arch, double most, pv_rng *rng, pv_symmetry *symmetry);

/* What a canonical form fixes. */
typedef enum pv_canonical {
    PV_CANONICAL_NONE = 0,
    PV_CANONICAL_SIGN = PV_SYMMETRY_SIGNS,
    PV_CANONICAL_PHASE = PV_SYMMETRY_PHASES,
    PV_CANONICAL_BOTH = 3, /* SIGN and PHASE */
    PV_CANONICAL_SCALE = PV_SYMMETRY_SCALES,
    PV_CANONICAL_TURN = 8 /* beside SIGN: turns of a bias by two phases are taken away, too */
} pv_canonical;

/* The element that brings `row` into canonical form: with PV_CANONICAL_PHASE every hidden bias is moved by
 * multiples of pi / w0 to within pi / (2 w0) of 0, up to rounding; with PV_CANONICAL_SIGN every hidden unit's
 * bias is >= 0 (a zero bias: the first non-zero incoming weight is > 0); both together: the bias is in
 * [0, pi / (2 w0)]; SIGN with PV_CANONICAL_TURN: in [0, pi / w0].  With PV_CANONICAL_SCALE every hidden
 * unit's incoming weights and bias have norm 1, up to rounding, unless all are 0.  Applying it twice changes
 * nothing more. */
void pv_symmetry_canonical(const pv_arch *arch, const float *row, pv_canonical what, pv_symmetry *out);

#endif
