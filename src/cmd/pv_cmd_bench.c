/* `polyview bench`: hands its words to one of the benches. */
#include "bench/pv_benches.h"
#include "cmd/pv_commands.h"

static pv_status run_bench(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const char *name = argc > 1 ? argv[1] : "";
    const pv_command *bench = pv_command_find(pv_benches, name);
    if (bench) return bench->run(comm, argc - 1, argv + 1, result);
    return pv_agree(comm,
                    pv_fail(PV_ERR_USAGE,
                            "bench needs to know of what, fit, store, train, align or comm, not '%s'; see "
                            "`polyview bench --help`",
                            name));
}

const pv_command pv_command_bench = {
    .name = "bench",
    .summary = "measure rates beside the machine's limits",
    .usage =
        "polyview bench fit|store|train|align|comm [options]\n\n"
        "polyview bench fit [--seconds T] [--steps K] [--config FILE] [--dir D] [--json] [--set key.path=value ...]\n\n"
        "Times fits of the config's signal and recipe (made-up pictures if the signal cannot be read) beside\n"
        "the multiply-add peak of a core and the cost of a sine with its cosine, in turn, for T seconds (10):\n"
        "on rank 0 alone, and on all ranks together. Then fits 32 images for K steps (fit.steps) for their\n"
        "PSNR, and times what a view costs beside its steps with a temporary store in the directory D (the\n"
        "current one; up to 30 MB for the usual INRs). POLYVIEW_ISA=avx2 or portable lowers the instruction\n"
        "set.\n\n"
        "polyview bench store [--rounds R] [--config FILE] [--dir D] [--json] [--set key.path=value ...]\n\n"
        "Times a store of the config's objects and INRs in the directory D: writes of 1 to 1024 rows beside\n"
        "plain writes of the same bytes, with and without sync; verify, and loading for training with and without\n"
        "checksums, beside plain reads; and collective writes by MPI-IO beside independent ones. Nothing leaves the\n"
        "operating system's cache but what sync brings to disk.\n\n"
        "polyview bench train [--seconds T] [--config FILE] [--json] [--set key.path=value ...]\n\n"
        "Times training of the config's model on made-up INRs of the config's widths, with its augmentations,\n"
        "optimiser, batch and reduction, for T seconds (10): on rank 0 alone with its share of the batch, and on\n"
        "all ranks together, in turn, beside the multiply-add peak. Tells how the time is spent.\n\n"
        "polyview bench align [--seconds T] [--starts K] [--config FILE] [--json] [--set key.path=value ...]\n\n"
        "Fits pairs of INRs with two hidden layers of 32, 64 and 128 units to made-up pictures and times weight\n"
        "matching of them, plain and signed, with K descents (0: enough to do as well as the published\n"
        "algorithm), for T seconds a width (3), on all ranks at once. Tells the objective and the loss barrier\n"
        "between the two.\n\n"
        "polyview bench comm [--config FILE] [--dir D] [--json] [--set key.path=value ...]\n\n"
        "Times messages on all ranks: reductions of 8 bytes and of the config's gradient, rows fetched from other\n"
        "ranks, the work counter, the links within and between nodes; and making, opening and closing a store\n"
        "in the directory D.\n\n"
        "Figures are medians; --json leaves the table out.\n",
    .run = run_bench,
};
