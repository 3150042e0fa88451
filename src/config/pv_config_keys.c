#include "pv_config_keys.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>

/* A choice is stored as an enum of the option structs. */
static const cyaml_strval_t sources[] = {{"idx", PV_SIGNAL_IDX}, {"sine", PV_SIGNAL_SINE}};
static const cyaml_strval_t variants[] = {{"dwsnets", PV_INR_DWSNETS}, {"standard", PV_INR_STANDARD}};
static const cyaml_strval_t schedules[] = {{"constant", PV_SCHEDULE_CONSTANT},
                                           {"cosine", PV_SCHEDULE_COSINE}};
#define MODEL_KIND(identifier, name, make) {name, PV_MODEL_##identifier},
static const cyaml_strval_t model_kinds[] = {PV_MODEL_KINDS(MODEL_KIND)};
static const cyaml_strval_t set_layers[] = {{"ds", PV_SET_DS}, {"sab", PV_SET_SAB}};
static const cyaml_strval_t reductions[] = {
    {"max", PV_POOL_MAX}, {"mean", PV_POOL_MEAN}, {"sum", PV_POOL_SUM}};
static const cyaml_strval_t graph_features[] = {
    {"cat_last_layer", PV_GRAPH_CAT_LAST_LAYER}, {"mean", PV_GRAPH_MEAN}, {"cls_token", PV_GRAPH_CLS_TOKEN}};
static const cyaml_strval_t tasks[] = {{"classify", PV_TASK_CLASSIFY}, {"simclr", PV_TASK_SIMCLR}};
static const cyaml_strval_t positives[] = {
    {"augment", PV_POSITIVES_AUGMENT}, {"views", PV_POSITIVES_VIEWS}, {"both", PV_POSITIVES_BOTH}};
static const cyaml_strval_t optimizers[] = {
    {"sgd", PV_OPTIM_SGD}, {"adam", PV_OPTIM_ADAM}, {"adamw", PV_OPTIM_ADAMW}};
static const cyaml_strval_t normalisations[] = {
    {"entry", PV_NORMALISE_ENTRY}, {"tensor", PV_NORMALISE_TENSOR}, {"none", PV_NORMALISE_NONE}};
static const cyaml_strval_t canonicals[] = {{"none", PV_CANONICAL_NONE},
                                            {"sign", PV_CANONICAL_SIGN},
                                            {"phase", PV_CANONICAL_PHASE},
                                            {"both", PV_CANONICAL_BOTH}};
static const cyaml_strval_t alignments[] = {
    {"none", PV_ALIGN_NONE}, {"permutation", PV_ALIGN_PERMUTATION}, {"signed", PV_ALIGN_SIGNED}};
static const cyaml_strval_t placements[] = {
    {"auto", PV_PLACE_AUTO}, {"node", PV_PLACE_NODE}, {"job", PV_PLACE_JOB}};
#define AUGMENTATION(id, name, ...) {#name, PV_AUGMENT_##id},
static const cyaml_strval_t augmentations[] = {PV_AUGMENTS(AUGMENTATION)};
static const cyaml_strval_t lambdas[] = {{"uniform", PV_LAMBDA_UNIFORM}, {"beta", PV_LAMBDA_BETA}};
static const cyaml_strval_t partners[] = {
    {"any", PV_PARTNER_ANY}, {"object", PV_PARTNER_OBJECT}, {"view", PV_PARTNER_VIEW}};
static const cyaml_strval_t reduces[] = {{"fast", PV_REDUCE_FAST}, {"ordered", PV_REDUCE_ORDERED}};
static const cyaml_strval_t rates[] = {{"constant", PV_RATE_CONSTANT}, {"cosine", PV_RATE_COSINE}};
static const cyaml_strval_t rate_scalings[] = {
    {"none", PV_RATE_AS_IS}, {"linear", PV_RATE_LINEAR}, {"sqrt", PV_RATE_SQRT}};

static const cyaml_schema_value_t width = {CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int)};

/* The cyaml field of each type; members are named from pv_run_config: fit.views. */
#define INT(key, member)  CYAML_FIELD_INT(key, CYAML_FLAG_OPTIONAL, pv_run_config, member)
#define UINT(key, member) CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, pv_run_config, member)
#define REAL(key, member) CYAML_FIELD_FLOAT(key, CYAML_FLAG_OPTIONAL, pv_run_config, member)
#define BOOL(key, member) CYAML_FIELD_BOOL(key, CYAML_FLAG_OPTIONAL, pv_run_config, member)
#define TEXT(key, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_OPTIONAL, pv_run_config, member, 1, PATH_MAX - 1)
#define LINE(key, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_OPTIONAL, pv_run_config, member, 0, PATH_MAX - 1)
#define CHOICE(key, member, choices)                                                                         \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, pv_run_config, member, choices,               \
                     CYAML_ARRAY_LEN(choices))
#define WIDTHS(key, member)                                                                                  \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, pv_run_config, member, &width, 1,        \
                         PV_INR_MAX_LAYERS - 1)

/* The same of an item of `augment`. */
#define ITEM_INT(key, member)  CYAML_FIELD_INT(key, CYAML_FLAG_DEFAULT, pv_augment_opts, member)
#define ITEM_REAL(key, member) CYAML_FIELD_FLOAT(key, CYAML_FLAG_DEFAULT, pv_augment_opts, member)
#define ITEM_BOOL(key, member) CYAML_FIELD_BOOL(key, CYAML_FLAG_DEFAULT, pv_augment_opts, member)
#define ITEM_CHOICE(key, member, choices)                                                                    \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT, pv_augment_opts, member, choices, CYAML_ARRAY_LEN(choices))

#define BETWEEN(a, b)                                                                                        \
    {                                                                                                        \
        .low = (a), .high = (b)                                                                              \
    }
#define AT_LEAST(a)                                                                                          \
    {                                                                                                        \
        .low = (a), .high = (double)INFINITY                                                                 \
    }
#define ABOVE(a)                                                                                             \
    {                                                                                                        \
        .low = (a), .high = (double)INFINITY, .open_low = true                                               \
    }
#define SHARE                                                                                                \
    {                                                                                                        \
        .low = 0, .high = 1, .open_high = true                                                               \
    }
#define ANY                                                                                                  \
    {                                                                                                        \
        .low = -(double)INFINITY, .high = (double)INFINITY                                                   \
    }

/* Objects x views stay far below 2^63. */
#define MAX_OBJECTS 1e12
#define MAX_VIEWS   1e6
#define MAX_STEPS   1e7
#define MAX_EPOCHS  1e9
#define MAX_BATCH   1e9

enum { ROWS = PV_KEYS_ROWS, MODEL = PV_KEYS_MODEL };

const pv_config_section pv_config_sections[] = {
    {"storage", "How the store lies on disk; a grown store may have other settings than it had."},
    {"signal", "What is fitted: the objects of a data set, shared out over the train, val and test splits."},
    {"inr", "What one INR (neural view) is: a SIREN."},
    {"fit", "How the INRs of a store are fitted."},
    {"model", "The weight-space network that is trained on the INRs of a store."},
    {"train", "How the network is trained."},
    {"augment",
     "What is done to the INRs of a training batch, in order: a list of mappings, `augment: [{kind: negation}, "
     "{kind: mixup_aligned, p: 0.5}]`. At most one of them is a MixUp."},
};

/* clang-format off */
const pv_config_key pv_config_keys[] = {
    {"store", TEXT("store", store), "store.h5", ANY, 0,
     "path of the store, the HDF5 file of all INRs"},

    {"storage.shard_gib", REAL("shard_gib", storage.shard_gib), "0.0", AT_LEAST(0), 0,
     "a larger store is cut into shard files of at most so many GiB, tied together by one master file; 0: one file"},
    {"storage.reserve", BOOL("reserve", storage.reserve), "true", ANY, 0,
     "set the disk space of all rows aside when the store is made, so that the disk cannot fill up later"},
    {"storage.sync", BOOL("sync", storage.sync), "true", ANY, 0,
     "bring rows to disk before they are marked fitted: nothing marked is lost with the power of a node"},
    {"storage.hints", LINE("hints", storage.hints), "\"\"", ANY, 0,
     "hints to MPI-IO, key=value separated by spaces: striping_factor=8 striping_unit=4194304 cb_nodes=4"},

    {"signal.source", CHOICE("source", signal.source, sources), "idx", ANY, ROWS,
     "where objects come from; idx: the image and label files of MNIST and FashionMNIST; sine: waves a sin(b x) over "
     "[-pi, pi] with a and b drawn from U(0, 10), which are the objects' real targets"},
    {"signal.path", TEXT("path", signal.path), "/usr/share/datasets/fashion-mnist", ANY, 0,
     "directory of the data set's files; the default is where Debian's dataset-fashion-mnist puts them"},
    {"signal.train", INT("train", signal.train), "55000", BETWEEN(0, MAX_OBJECTS), ROWS,
     "objects of the train split, from the train file"},
    {"signal.val", INT("val", signal.val), "5000", BETWEEN(0, MAX_OBJECTS), ROWS,
     "objects of the validation split, from the train file"},
    {"signal.test", INT("test", signal.test), "10000", BETWEEN(0, MAX_OBJECTS), ROWS,
     "objects of the test split, from the test file"},
    {"signal.train_first", INT("train_first", signal.train_first), "0", BETWEEN(0, MAX_OBJECTS), ROWS,
     "index in the train file of the first train object"},
    {"signal.val_first", INT("val_first", signal.val_first), "-1", BETWEEN(-1, MAX_OBJECTS), ROWS,
     "index in the train file of the first validation object; -1: the last val images of the file"},
    {"signal.test_first", INT("test_first", signal.test_first), "0", BETWEEN(0, MAX_OBJECTS), ROWS,
     "index in the test file of the first test object"},
    {"signal.samples", INT("samples", signal.samples), "256", BETWEEN(2, 1048576), ROWS,
     "sine: samples of a wave"},
    {"signal.seed", UINT("seed", signal.seed), "1", AT_LEAST(0), ROWS,
     "sine: seed of a and b"},

    {"inr.hidden", WIDTHS("hidden", inr.hidden), "[32, 32]", BETWEEN(1, PV_INR_MAX_WIDTH), ROWS,
     "widths of the hidden layers"},
    {"inr.variant", CHOICE("variant", inr.variant, variants), "dwsnets", ANY, ROWS,
     "initialisation of the first layer; dwsnets: as the published sets, standard: Sitzmann et al. 2020"},
    {"inr.w0", REAL("w0", inr.w0), "30.0", ABOVE(0), ROWS,
     "frequency of the sine layers"},
    {"inr.offset", REAL("offset", inr.offset), "0.5", ANY, ROWS,
     "constant added to the output"},

    {"fit.views", INT("views", fit.views), "1", BETWEEN(1, MAX_VIEWS), 0,
     "independently initialised INRs of every object"},
    {"fit.steps", INT("steps", fit.steps), "1000", BETWEEN(1, MAX_STEPS), ROWS,
     "Adam steps of a fit; a stop rule (target_psnr, plateau_steps) may end it earlier"},
    {"fit.lr", REAL("lr", fit.lr), "5.0e-4", ABOVE(0), ROWS,
     "learning rate of the fits"},
    {"fit.schedule", CHOICE("schedule", fit.schedule, schedules), "constant", ANY, ROWS,
     "constant: lr at every step; cosine: from lr down to 0 over steps, by half a cosine"},
    {"fit.target_psnr", REAL("target_psnr", fit.target_psnr), "0.0", AT_LEAST(0), ROWS,
     "dB; a fit ends as soon as its loss has reached it; 0: off"},
    {"fit.plateau_steps", INT("plateau_steps", fit.plateau_steps), "0", BETWEEN(0, MAX_STEPS), ROWS,
     "a fit ends when its best loss has not improved by plateau_drop for so many steps; 0: off"},
    {"fit.plateau_drop", REAL("plateau_drop", fit.plateau_drop), "1.0e-3", SHARE, ROWS,
     "share of the best loss by which a lower one must be lower to count as an improvement"},
    {"fit.batch", INT("batch", fit.batch), "0", BETWEEN(0, MAX_BATCH), ROWS,
     "samples (coordinates) of one step, taken in a shuffled order, each once a pass; 0: all of them"},
    {"fit.restarts", INT("restarts", fit.restarts), "3", BETWEEN(0, 1000), 0,
     "times a view whose loss is not finite starts again, from its next initialisation, before it is refused"},
    {"fit.seed", UINT("seed", fit.seed), "1", AT_LEAST(0), ROWS,
     "seed of the initialisations"},

    {"model.kind", CHOICE("kind", model.kind, model_kinds), "dws", ANY, MODEL,
     "dws: equivariant deep weight-space network; mlp: perceptron on the flattened weights; gnn: relational "
     "transformer on the graph of units and weights; inr2vec: transformer over the rows of the weights (docs/models.md)"},
    {"model.hidden", INT("hidden", model.hidden), "32", BETWEEN(1, 65536), MODEL,
     "features per weight (dws), width of the hidden layers (mlp), of a token (inr2vec)"},
    {"model.layers", INT("layers", model.layers), "4", BETWEEN(1, 1024), MODEL,
     "hidden layers; dws has one equivariant layer more; gnn, inr2vec: layers of attention"},
    {"model.set_layer", CHOICE("set_layer", model.set_layer, set_layers), "ds", ANY, MODEL,
     "dws: the layer on sets; ds: DeepSets, sab: multi-head attention of the set with itself"},
    {"model.heads", INT("heads", model.heads), "8", BETWEEN(1, 1024), MODEL,
     "dws: heads of set layer sab, a divisor of model.hidden; the last equivariant layer has one; gnn, inr2vec: heads of "
     "attention, a divisor of d_attn, of hidden"},
    {"model.reduction", CHOICE("reduction", model.reduction, reductions), "max", ANY, MODEL,
     "dws: how a set is reduced to one element"},
    {"model.fc_layers", INT("fc_layers", model.fc_layers), "1", BETWEEN(1, 64), MODEL,
     "dws: linear layers in every map between tensors"},
    {"model.out_fc", INT("out_fc", model.out_fc), "1", BETWEEN(1, 64), MODEL,
     "dws: linear layers of the classifier head"},
    {"model.batch_norm", BOOL("batch_norm", model.batch_norm), "true", ANY, MODEL,
     "dws, mlp: batch normalisation between the layers"},
    {"model.diagonal", BOOL("diagonal", model.diagonal), "false", ANY, MODEL,
     "dws: only the maps between neighbouring tensors"},
    {"model.layer_skip", BOOL("layer_skip", model.layer_skip), "false", ANY, MODEL,
     "dws: a linear skip connection over every layer"},
    {"model.skip", BOOL("skip", model.skip), "false", ANY, MODEL,
     "dws: one linear skip connection over all layers"},
    {"model.downsample", INT("downsample", model.downsample), "0", BETWEEN(0, 65536), MODEL,
     "dws: for INRs with many inputs: so many channels are made of them in front of the first layer; 0: they stay as they are"},
    {"model.dropout", REAL("dropout", model.dropout), "0.0", SHARE, MODEL,
     "dws, mlp, inr2vec: probability of dropout between the layers in training"},
    {"model.d_node", INT("d_node", model.gnn.d_node), "64", BETWEEN(1, 4096), MODEL,
     "gnn: features of a node"},
    {"model.d_edge", INT("d_edge", model.gnn.d_edge), "32", BETWEEN(1, 4096), MODEL,
     "gnn: features of an edge"},
    {"model.d_attn", INT("d_attn", model.gnn.d_attn), "128", BETWEEN(1, 4096), MODEL,
     "gnn: channels of attention, all heads together"},
    {"model.d_node_hid", INT("d_node_hid", model.gnn.d_node_hid), "128", BETWEEN(1, 4096), MODEL,
     "gnn: width of the hidden layer in the update of nodes"},
    {"model.d_edge_hid", INT("d_edge_hid", model.gnn.d_edge_hid), "64", BETWEEN(1, 4096), MODEL,
     "gnn: width of the hidden layers in the update of edges"},
    {"model.d_out_hid", INT("d_out_hid", model.gnn.d_out_hid), "128", BETWEEN(1, 4096), MODEL,
     "gnn: width of the hidden layer of the classifier"},
    {"model.graph_features", CHOICE("graph_features", model.gnn.graph_features, graph_features), "cat_last_layer", ANY,
     MODEL,
     "gnn: what is read out; cat_last_layer: the output units; mean: the mean of all nodes; cls_token: a learned node"},
    {"model.rev_edge_features", BOOL("rev_edge_features", model.gnn.rev_edge_features), "false", ANY, MODEL,
     "gnn: the input of an edge is its weight, that of the edge back, and their sum"},
    {"model.sin_emb", BOOL("sin_emb", model.gnn.sin_emb), "true", ANY, MODEL,
     "gnn: weights and biases are embedded by 128 random Fourier features; false: linearly"},
    {"model.inp_factor", REAL("inp_factor", model.gnn.inp_factor), "1.0", ABOVE(0), MODEL,
     "gnn: standard deviation of the frequencies of the Fourier features"},
    {"model.input_layers", INT("input_layers", model.gnn.input_layers), "1", BETWEEN(1, 8), MODEL,
     "gnn: linear layers of the embedding, with SiLU between them"},
    {"model.modulate_v", BOOL("modulate_v", model.gnn.modulate_v), "true", ANY, MODEL,
     "gnn: edges also scale the values of attention"},
    {"model.use_ln", BOOL("use_ln", model.gnn.use_ln), "true", ANY, MODEL,
     "gnn: layer normalisation"},
    {"model.dropout_node", REAL("dropout_node", model.gnn.dropout_node), "0.2", SHARE, MODEL,
     "gnn: probability of dropout in the update of nodes"},
    {"model.dropout_edge", REAL("dropout_edge", model.gnn.dropout_edge), "0.2", SHARE, MODEL,
     "gnn: probability of dropout in the update of edges"},

    {"train.task", CHOICE("task", train.task, tasks), "classify", ANY, MODEL,
     "what is learned; classify: the label of the object from its INR; simclr: an embedding in which what stands for one "
     "object is alike, without labels"},
    {"train.output", TEXT("output", train.output), "model.h5", ANY, 0,
     "path of the model file; the checkpoint (.ckpt) and the log (.jsonl) stand beside it"},
    {"train.views", INT("views", train.views), "1", BETWEEN(1, MAX_VIEWS), MODEL,
     "views of every object to train on, from the first"},
    {"train.epochs", INT("epochs", train.epochs), "100", BETWEEN(1, MAX_EPOCHS), 0,
     "passes over the train split"},
    {"train.batch", INT("batch", train.batch), "256", BETWEEN(1, MAX_BATCH), MODEL,
     "samples of one step, over all ranks"},
    {"train.accumulate", INT("accumulate", train.accumulate), "1", BETWEEN(1, MAX_BATCH), MODEL,
     "passes of the model that a step adds up, each of an equal part of the batch: less memory; batch normalisation sees "
     "one part at a time"},
    {"train.micro_batch", INT("micro_batch", train.micro_batch), "16", BETWEEN(1, MAX_BATCH), MODEL,
     "reduce: ordered: samples of a leaf of the tree of sums, at most; there are a power of two of leaves and at most as "
     "many ranks"},
    {"train.warmup_steps", INT("warmup_steps", train.warmup_steps), "0", BETWEEN(0, MAX_OBJECTS), MODEL,
     "steps over which the learning rate rises linearly from 0"},
    {"train.checkpoint_epochs", INT("checkpoint_epochs", train.checkpoint_epochs), "1",
     BETWEEN(1, MAX_EPOCHS), 0,
     "epochs from one checkpoint to the next"},
    {"train.checkpoint_steps", INT("checkpoint_steps", train.checkpoint_steps), "0", BETWEEN(0, MAX_OBJECTS), 0,
     "steps of an epoch from one checkpoint to the next; 0: none within an epoch"},
    {"train.checkpoint_minutes", REAL("checkpoint_minutes", train.checkpoint_minutes), "0.0", AT_LEAST(0), 0,
     "minutes from one checkpoint within an epoch to the next; 0: none"},
    {"train.keep", INT("keep", train.keep), "1", BETWEEN(1, 1000), 0,
     "checkpoints that are kept: <output>.ckpt, and before it <output>.ckpt.1, .2, ...; the best model is <output>"},
    {"train.log_steps", INT("log_steps", train.log_steps), "0", BETWEEN(0, MAX_OBJECTS), 0,
     "the metrics hold the loss of every so many steps of an epoch; 0: of epochs only"},
    {"train.optimizer", CHOICE("optimizer", train.optimizer, optimizers), "adamw", ANY, MODEL,
     "the optimiser, with the semantics of PyTorch's of the same name"},
    {"train.lr", REAL("lr", train.lr), "1.0e-3", ABOVE(0), MODEL,
     "learning rate, of base_batch if lr_scaling says so"},
    {"train.schedule", CHOICE("schedule", train.schedule, rates), "constant", ANY, MODEL,
     "the rate after the warm-up; cosine: down to 0 at the end of the last epoch, by half a cosine"},
    {"train.lr_scaling", CHOICE("lr_scaling", train.lr_scaling, rate_scalings), "none", ANY, MODEL,
     "for large batches: the rate is lr, lr batch / base_batch (linear), or lr times the root of that (sqrt)"},
    {"train.base_batch", INT("base_batch", train.base_batch), "256", BETWEEN(1, MAX_BATCH), MODEL,
     "the batch that lr is for"},
    {"train.clip", REAL("clip", train.clip), "0.0", AT_LEAST(0), MODEL,
     "largest norm of the gradient of all parameters; a longer one is shortened to it; 0: never"},
    {"train.weight_decay", REAL("weight_decay", train.weight_decay), "5.0e-4", AT_LEAST(0), MODEL,
     "weight decay: decoupled in adamw, added to the gradient in sgd and adam"},
    {"train.momentum", REAL("momentum", train.momentum), "0.9", SHARE, MODEL,
     "momentum of sgd"},
    {"train.amsgrad", BOOL("amsgrad", train.amsgrad), "true", ANY, MODEL,
     "adam, adamw: divide by the maximum of the second moments so far"},
    {"train.embedding", INT("embedding", train.embedding), "64", BETWEEN(1, 65536), MODEL,
     "simclr: width of the encoder's output, which is the embedding, and of the two-layer projection on it"},
    {"train.temperature", REAL("temperature", train.temperature), "0.1", ABOVE(0), MODEL,
     "simclr: by which cosine similarities are divided"},
    {"train.positives", CHOICE("positives", train.positives, positives), "augment", ANY, MODEL,
     "simclr: the pair that an object gives; augment: two augmentations of one view; views: two views as they are; both: "
     "augmentations of two views"},
    {"train.normalise", CHOICE("normalise", train.normalise, normalisations), "entry", ANY, MODEL,
     "weights are standardised over the train split: every entry, every tensor, or not at all"},
    {"train.random_view", BOOL("random_view", train.random_view), "false", ANY, MODEL,
     "an epoch draws one random view of every object; false: it passes over every view"},
    {"train.test_each_epoch", BOOL("test_each_epoch", train.test_each_epoch), "false", ANY, 0,
     "write the test split's loss and accuracy into the metrics after every epoch; nothing is chosen by them"},
    {"train.canonical", CHOICE("canonical", train.canonical, canonicals), "none", ANY, MODEL,
     "weights are brought into a canonical form when they are loaded: sign (biases >= 0), phase (biases within "
     "pi/2w0 of 0), both"},
    {"train.align", CHOICE("align", train.align, alignments), "none", ANY, MODEL,
     "every INR is then weight-matched to the first view of the first training object, which the model file keeps: by "
     "permutations of hidden units, or by permutations with signs"},
    {"train.placement", CHOICE("placement", train.placement, placements), "auto", ANY, 0,
     "where training rows are kept; node: a copy on every node, job: one copy over all ranks, fetched by one-sided "
     "MPI; auto: node where that takes at most a quarter of its memory"},
    {"train.reduce", CHOICE("reduce", train.reduce, reduces), "fast", ANY, MODEL,
     "how sums over ranks are taken; fast: results may differ by rounding with the number of ranks; ordered: along a fixed "
     "tree, with the same bits on any power of two of ranks"},
    {"train.seed", UINT("seed", train.seed), "1", AT_LEAST(0), MODEL,
     "seed of the model's initialisation, the shuffles, dropout and augmentations"},

    {"augment.kind", ITEM_CHOICE("kind", kind, augmentations), "", ANY, MODEL,
     "which augmentation"},
    {"augment.p", ITEM_REAL("p", p), "1.0", BETWEEN(0, 1), MODEL,
     "probability that it is applied to a sample"},
    {"augment.amount", ITEM_REAL("amount", amount), "-1.0", BETWEEN(-1, 1000), MODEL,
     "its strength: translate, scale: largest shift, change (0.25, 0.2); rotate: degrees (30); noise: standard "
     "deviations (0.32); dropout, quantile_dropout: rate, largest rate (0.1); negation: probability a unit (0.5); phase: "
     "largest multiple of pi/w0 (4); label_smoothing: rate (0.1); below 0: what stands in brackets, as published"},
    {"augment.lambda", ITEM_CHOICE("lambda", lambda, lambdas), "uniform", ANY, MODEL,
     "MixUp: how the share of the sample is drawn, from U(0, 1) or Beta(beta, beta)"},
    {"augment.beta", ITEM_REAL("beta", beta), "1.0", ABOVE(0), MODEL,
     "MixUp: parameter of the Beta distribution"},
    {"augment.partner", ITEM_CHOICE("partner", partner, partners), "any", ANY, MODEL,
     "MixUp: with any other sample, a view of another object, or another view of the same object"},
    {"augment.signs", ITEM_BOOL("signs", signs), "false", ANY, MODEL,
     "mixup_aligned, self_aligned, combine: match signs of units too, not only their order"},
    {"augment.sweeps", ITEM_INT("sweeps", sweeps), "16", BETWEEN(1, 1000), MODEL,
     "matching: visits of all layers, at most"},
    {"augment.starts", ITEM_INT("starts", starts), "1", BETWEEN(0, 1000), MODEL,
     "matching: descents, of which the best is taken; 0: enough to do as well as the published algorithm"},
};
/* clang-format on */

_Static_assert(CYAML_ARRAY_LEN(pv_config_keys) == PV_CONFIG_KEYS,
               "PV_CONFIG_KEYS is the length of the table");
_Static_assert(CYAML_ARRAY_LEN(pv_config_sections) == PV_CONFIG_SECTIONS, "PV_CONFIG_SECTIONS likewise");
