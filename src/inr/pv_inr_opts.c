/* The rows of the `inr` and `fit` sections: what an INR is and how it is fitted. */
#include "inr/pv_inr_opts.h"

static const char *const variants[] = {
    [PV_INR_DWSNETS] = "dwsnets", [PV_INR_STANDARD] = "standard", [PV_INR_FLAT] = "flat", NULL};
static const char *const encodings[] = {
    [PV_ENCODING_NONE] = "none", [PV_ENCODING_FOURIER] = "fourier", NULL};
static const char *const schedules[] = {
    [PV_SCHEDULE_CONSTANT] = "constant", [PV_SCHEDULE_COSINE] = "cosine", NULL};

static const char *const inits[] = {[PV_INIT_INDEPENDENT] = "independent", [PV_INIT_SHARED] = "shared", NULL};

static const char *const precisions[] = {[PV_PRECISION_FLOAT32] = "float32",
                                         [PV_PRECISION_BFLOAT16] = "bfloat16",
                                         [PV_PRECISION_BFLOAT16_AMX] = "bfloat16_amx",
                                         [PV_PRECISION_INT16] = "int16",
                                         NULL};

const char *pv_inr_variant_name(pv_inr_variant variant)
{
    return variants[variant];
}

const char *pv_precision_name(pv_precision precision)
{
    return precisions[precision];
}

const char *pv_fit_init_name(pv_fit_init init)
{
    return inits[init];
}

const pv_option pv_inr_options[] = {
    {PV_KEY(pv_inr_opts, hidden), .count = offsetof(pv_inr_opts, hidden_count), .most = PV_INR_MAX_LAYERS - 1,
     .initial = "[32, 32]", PV_BETWEEN(1, PV_INR_MAX_WIDTH), .fixes = PV_FIXES_ROWS,
     .meaning = "widths of the hidden layers"},
    {PV_KEY(pv_inr_opts, activation), .registry = &pv_activations, .initial = "sine", .fixes = PV_FIXES_ROWS,
     .meaning = "what a hidden unit makes of its input"},
    {PV_KEY(pv_inr_opts, variant), .choices = variants, .initial = "dwsnets", .fixes = PV_FIXES_ROWS,
     .meaning = "initialisation; dwsnets: as the published sets, standard: the first layer as by Sitzmann et "
                "al. 2020, flat: the first layer of sines with twice the range of dwsnets and the last layer "
                "with 0.08 times its range, so that a fit starts from a nearly flat picture"},
    {PV_KEY(pv_inr_opts, w0), .initial = "30.0", PV_ABOVE(0), .fixes = PV_FIXES_ROWS,
     .meaning = "frequency of the hidden layers, of activations that have one"},
    {PV_KEY(pv_inr_opts, offset), .initial = "0.5", .fixes = PV_FIXES_ROWS,
     .meaning = "constant added to the output"},
    {PV_KEY(pv_inr_opts, encoding), .choices = encodings, .initial = "none", .fixes = PV_FIXES_ROWS,
     .meaning = "what the first layer takes; none: the coordinates; fourier: cos(2 pi B x) and sin(2 pi B x) "
                "of random frequencies B, the same for every INR, drawn from fit.seed and kept in the store"},
    {PV_KEY(pv_inr_opts, frequencies), .initial = "64", PV_BETWEEN(1, PV_INR_MOST_FREQUENCIES),
     .fixes = PV_FIXES_ROWS, .meaning = "of inr.encoding fourier: the first layer has twice as many inputs"},
    {PV_KEY(pv_inr_opts, sigma), .initial = "2.0", PV_ABOVE(0), .fixes = PV_FIXES_ROWS,
     .meaning = "standard deviation of these frequencies, in waves a unit of the coordinates, which go from "
                "-1 to 1"},
    {0}};

const pv_option pv_fit_options[] = {
    {PV_KEY(pv_fit_opts, views), .initial = "1", PV_BETWEEN(1, 1e6),
     .meaning = "INRs of every object, each from another start"},
    {PV_KEY(pv_fit_opts, init), .choices = inits, .initial = "independent", .fixes = PV_FIXES_ROWS,
     .meaning =
         "what a fit starts from; independent: random weights of its own; shared: view k of every object "
         "from the same random weights, which networks then read more easily, an MLP above all"},
    {PV_KEY(pv_fit_opts, steps), .initial = "1000", PV_BETWEEN(1, 1e7), .fixes = PV_FIXES_ROWS,
     .meaning = "Adam steps of a fit; a stop rule (target_psnr, plateau_steps) may end it earlier"},
    {PV_KEY(pv_fit_opts, lr), .initial = "5.0e-4", PV_ABOVE(0), .fixes = PV_FIXES_ROWS,
     .meaning = "learning rate of the fits"},
    {PV_KEY(pv_fit_opts, schedule), .choices = schedules, .initial = "constant", .fixes = PV_FIXES_ROWS,
     .meaning = "constant: lr at every step; cosine: from lr down to 0 over steps, by half a cosine"},
    {PV_KEY(pv_fit_opts, target_psnr), .initial = "0.0", PV_AT_LEAST(0), .fixes = PV_FIXES_ROWS,
     .meaning = "dB; a fit ends as soon as its loss has reached it; 0: off"},
    {PV_KEY(pv_fit_opts, plateau_steps), .initial = "0", PV_BETWEEN(0, 1e7), .fixes = PV_FIXES_ROWS,
     .meaning = "a fit ends when its best loss has not improved by plateau_drop for so many steps; 0: off"},
    {PV_KEY(pv_fit_opts, plateau_drop), .initial = "1.0e-3", PV_FRACTION, .fixes = PV_FIXES_ROWS,
     .meaning = "share of the best loss by which a lower one must be lower to count as an improvement"},
    {PV_KEY(pv_fit_opts, batch), .initial = "0", PV_BETWEEN(0, 1e9), .fixes = PV_FIXES_ROWS,
     .meaning = "samples (coordinates) of one step, taken in a shuffled order, each once a pass; 0: all "
                "of them"},
    {PV_KEY(pv_fit_opts, restarts), .initial = "3", PV_BETWEEN(0, 1000),
     .meaning = "times a view whose loss is not finite starts again, from its next initialisation, "
                "before it is refused"},
    {PV_KEY(pv_fit_opts, precision), .choices = precisions, .initial = "float32", .fixes = PV_FIXES_ROWS,
     .meaning = "of what hidden layers multiply: float32, or operands rounded to bfloat16 or to int16 (whole "
                "numbers to a scale), which processors with instructions for them multiply faster: bfloat16 "
                "in the order of AVX512-BF16, bfloat16_amx in that of AMX, int16 by AVX512-VNNI; sums, "
                "weights, sines and Adam stay float32"},
    {PV_KEY(pv_fit_opts, polish), .initial = "0", PV_BETWEEN(0, 1e7), .fixes = PV_FIXES_ROWS,
     .meaning = "the last steps of fit.steps, taken in float32 whatever fit.precision"},
    {PV_KEY(pv_fit_opts, seed), .initial = "1", .fixes = PV_FIXES_ROWS,
     .meaning = "seed of the initialisations"},
    {0}};
