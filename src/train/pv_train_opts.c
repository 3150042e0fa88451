/* The rows of the `train` section, and the learning rate that they make. */
#include "train/pv_train_opts.h"

#include <math.h>

static const char *const optimizers[] = {
    [PV_OPTIM_SGD] = "sgd", [PV_OPTIM_ADAM] = "adam", [PV_OPTIM_ADAMW] = "adamw", NULL};
static const char *const normalisations[] = {
    [PV_NORMALISE_ENTRY] = "entry", [PV_NORMALISE_TENSOR] = "tensor", [PV_NORMALISE_SCALE] = "scale",
    [PV_NORMALISE_NONE] = "none", NULL};
static const char *const canonicals[] = {[PV_CANONICAL_NONE] = "none",
                                         [PV_CANONICAL_SIGN] = "sign",
                                         [PV_CANONICAL_PHASE] = "phase",
                                         [PV_CANONICAL_BOTH] = "both",
                                         [PV_CANONICAL_SCALE] = "scale",
                                         NULL};
static const char *const alignments[] = {[PV_ALIGN_NONE] = "none",
                                         [PV_ALIGN_PERMUTATION] = "permutation",
                                         [PV_ALIGN_SIGNED] = "signed",
                                         [PV_ALIGN_FIXED] = "fixed",
                                         NULL};
static const char *const placements[] = {
    [PV_PLACE_AUTO] = "auto", [PV_PLACE_NODE] = "node", [PV_PLACE_JOB] = "job", NULL};
static const char *const reduces[] = {[PV_REDUCE_FAST] = "fast", [PV_REDUCE_ORDERED] = "ordered", NULL};
static const char *const wires[] = {[PV_WIRE_FLOAT32] = "float32", [PV_WIRE_BFLOAT16] = "bfloat16", NULL};
static const char *const operands[] = {
    [PV_OPERANDS_FLOAT32] = "float32", [PV_OPERANDS_BFLOAT16] = "bfloat16", NULL};
static const char *const rates[] = {[PV_RATE_CONSTANT] = "constant", [PV_RATE_COSINE] = "cosine", NULL};
static const char *const rate_scalings[] = {
    [PV_RATE_AS_IS] = "none", [PV_RATE_LINEAR] = "linear", [PV_RATE_SQRT] = "sqrt", NULL};

const pv_option pv_train_options[] = {
    {PV_KEY(pv_train_opts, task), .registry = &pv_tasks, .initial = "classify", .fixes = PV_FIXES_MODEL,
     .meaning = "what is learned"},
    {PV_KEY(pv_train_opts, output), .initial = "model.h5",
     .meaning = "path of the model file; the checkpoint (.ckpt) and the log (.jsonl) stand beside it"},
    {PV_KEY(pv_train_opts, views), .initial = "1", PV_BETWEEN(1, 1e6), .fixes = PV_FIXES_MODEL,
     .meaning = "views of every object to train on, from the first"},
    {PV_KEY(pv_train_opts, epochs), .initial = "100", PV_BETWEEN(1, 1e9),
     .meaning = "passes over the train split"},
    {PV_KEY(pv_train_opts, batch), .initial = "256", PV_BETWEEN(1, 1e9), .fixes = PV_FIXES_MODEL,
     .meaning = "samples of one step, over all ranks"},
    {PV_KEY(pv_train_opts, accumulate), .initial = "1", PV_BETWEEN(1, 1e9), .fixes = PV_FIXES_MODEL,
     .meaning = "passes of the model that a step adds up, each of an equal part of the batch: less "
                "memory; batch normalisation sees one part at a time"},
    {PV_KEY(pv_train_opts, micro_batch), .initial = "16", PV_BETWEEN(1, 1e9), .fixes = PV_FIXES_MODEL,
     .meaning = "reduce: ordered: samples of a leaf of the tree of sums, at most; a batch (a part of it, "
                "with accumulate) has the least power of two of leaves, and needs one or more a rank"},
    {PV_KEY(pv_train_opts, warmup_steps), .initial = "0", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_MODEL,
     .meaning = "steps over which the learning rate rises linearly from 0"},
    {PV_KEY(pv_train_opts, checkpoint_epochs), .initial = "1", PV_BETWEEN(1, 1e9),
     .meaning = "epochs from one checkpoint to the next"},
    {PV_KEY(pv_train_opts, checkpoint_steps), .initial = "0", PV_BETWEEN(0, 1e12),
     .meaning = "steps of an epoch from one checkpoint to the next; 0: none within an epoch"},
    {PV_KEY(pv_train_opts, checkpoint_minutes), .initial = "0.0", PV_AT_LEAST(0),
     .meaning = "minutes from one checkpoint within an epoch to the next; 0: none"},
    {PV_KEY(pv_train_opts, keep), .initial = "1", PV_BETWEEN(1, 1000),
     .meaning = "checkpoints that are kept: <output>.ckpt, and before it <output>.ckpt.1, .2, ...; the "
                "best model is <output>"},
    {PV_KEY(pv_train_opts, log_steps), .initial = "0", PV_BETWEEN(0, 1e12),
     .meaning = "the metrics hold the loss of every so many steps of an epoch; 0: of epochs only"},
    {PV_KEY(pv_train_opts, optimizer), .choices = optimizers, .initial = "adamw", .fixes = PV_FIXES_MODEL,
     .meaning = "the optimiser, with the semantics of PyTorch's of the same name"},
    {PV_KEY(pv_train_opts, lr), .initial = "1.0e-3", PV_ABOVE(0), .fixes = PV_FIXES_MODEL,
     .meaning = "learning rate, of base_batch if lr_scaling says so"},
    {PV_KEY(pv_train_opts, schedule), .choices = rates, .initial = "constant", .fixes = PV_FIXES_MODEL,
     .meaning = "the rate after the warm-up; cosine: down to 0 at the end of the last epoch, by half a "
                "cosine"},
    {PV_KEY(pv_train_opts, lr_scaling), .choices = rate_scalings, .initial = "none", .fixes = PV_FIXES_MODEL,
     .meaning = "for large batches: the rate is lr, lr batch / base_batch (linear), or lr times the root "
                "of that (sqrt)"},
    {PV_KEY(pv_train_opts, base_batch), .initial = "256", PV_BETWEEN(1, 1e9), .fixes = PV_FIXES_MODEL,
     .meaning = "the batch that lr is for"},
    {PV_KEY(pv_train_opts, clip), .initial = "0.0", PV_AT_LEAST(0), .fixes = PV_FIXES_MODEL,
     .meaning = "largest norm of the gradient of all parameters; a longer one is shortened to it; 0: "
                "never"},
    {PV_KEY(pv_train_opts, weight_decay), .initial = "5.0e-4", PV_AT_LEAST(0), .fixes = PV_FIXES_MODEL,
     .meaning = "weight decay: decoupled in adamw, added to the gradient in sgd and adam"},
    {PV_KEY(pv_train_opts, momentum), .initial = "0.9", PV_FRACTION, .fixes = PV_FIXES_MODEL,
     .meaning = "momentum of sgd"},
    {PV_KEY(pv_train_opts, amsgrad), .initial = "true", .fixes = PV_FIXES_MODEL,
     .meaning = "adam, adamw: divide by the maximum of the second moments so far"},
    {.name = "normalise", PV_MEMBER(pv_train_opts, form.normalise), .choices = normalisations,
     .initial = "entry", .fixes = PV_FIXES_MODEL,
     .meaning = "weights are standardised over the train split: every entry, every tensor, or not at all; "
                "scale: a tensor is only divided by its deviation from 0, so that signs stay"},
    {PV_KEY(pv_train_opts, random_view), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "an epoch draws one random view of every object; false: it passes over every view"},
    {PV_KEY(pv_train_opts, test_each_epoch), .initial = "false",
     .meaning = "write the test split's loss and accuracy into the metrics after every epoch; nothing is "
                "chosen by them"},
    {.name = "canonical", PV_MEMBER(pv_train_opts, form.canonical), .choices = canonicals, .initial = "none",
     .fixes = PV_FIXES_MODEL,
     .meaning = "weights are brought into a canonical form when they are loaded: sign (biases >= 0), "
                "phase (biases within pi/2w0 of 0), both; of relu scale (each unit's weights and bias have "
                "norm 1)"},
    {.name = "align", PV_MEMBER(pv_train_opts, form.align), .choices = alignments, .initial = "none",
     .fixes = PV_FIXES_MODEL,
     .meaning = "every INR is then weight-matched to a reference, which the model file keeps: to the first "
                "view of the first training object, by permutations of hidden units or by permutations with "
                "signs; fixed: to one network that nobody fitted, drawn from seed as the store's INRs start"},
    {.name = "align_signs", PV_MEMBER(pv_train_opts, form.align_signs), .initial = "true",
     .fixes = PV_FIXES_MODEL,
     .meaning = "align: fixed: matches signs of units too"},
    {.name = "align_phases", PV_MEMBER(pv_train_opts, form.align_phases), .initial = "false",
     .fixes = PV_FIXES_MODEL,
     .meaning = "align: fixed: matches phases of units too: biases may move by multiples of pi / w0"},
    {PV_KEY(pv_train_opts, placement), .choices = placements, .initial = "auto",
     .meaning = "where training rows are kept; node: a copy on every node, job: one copy over all ranks, "
                "fetched by one-sided MPI; auto: node where that takes at most a quarter of its memory"},
    {PV_KEY(pv_train_opts, reduce), .choices = reduces, .initial = "fast", .fixes = PV_FIXES_MODEL,
     .meaning = "how sums over ranks are taken; fast: results may differ by rounding with the number of "
                "ranks; ordered: along a fixed tree, with the same bits on any number of ranks"},
    {PV_KEY(pv_train_opts, wire), .choices = wires, .initial = "float32", .fixes = PV_FIXES_MODEL,
     .meaning = "reduce: fast: what nodes send each other of a gradient; bfloat16: half the bytes, for slow "
                "networks: numbers of 8 significant bits, sums of float32"},
    {PV_KEY(pv_train_opts, precision), .choices = operands, .initial = "float32", .fixes = PV_FIXES_MODEL,
     .meaning = "what matrix products are made from in training; bfloat16: operands of 8 significant bits, "
                "sums of float32, faster where a processor multiplies them (AMX): but for small products and "
                "those of BLAS; kind dws, batch_norm, reduction max and hidden in 32s keeps activations and "
                "their gradients so; weights, norms, losses, the optimiser and all evaluation stay float32"},
    {PV_KEY(pv_train_opts, seed), .initial = "1", .fixes = PV_FIXES_MODEL,
     .meaning = "seed of the model's initialisation, the shuffles, dropout and augmentations"},
    {0}};

double pv_train_rate(const pv_train_opts *opts, int64_t step, int64_t steps)
{
    const double ratio = (double)opts->batch / (double)opts->base_batch;
    const double scale[] = {[PV_RATE_AS_IS] = 1, [PV_RATE_LINEAR] = ratio, [PV_RATE_SQRT] = sqrt(ratio)};
    const double rate = opts->lr * scale[opts->lr_scaling];
    const int64_t past = step - opts->warmup_steps, left = steps - opts->warmup_steps;
    if (past < 0) return rate * (double)(step + 1) / (double)opts->warmup_steps;
    if (opts->schedule == PV_RATE_CONSTANT) return rate;
    return past >= left ? 0 : rate * 0.5 * (1 + cos(M_PI * (double)past / (double)left));
}
