/* The list of sources, and the rows of the `signal` section. */
#include "signal/pv_source.h"

#define ENTRY(name) &pv_source_##name.plugin,
const pv_registry pv_sources = {"source of signals", (const pv_plugin *const[]){PV_SOURCES(ENTRY) NULL}};

/* In the order of PV_ALL and PV_USUAL. */
static const char *const amounts[] = {"all", "usual", NULL};
#define AMOUNT(split)                                                                                        \
    PV_KEY(pv_signal_opts, split), .initial = "usual", PV_BETWEEN(0, 1e12), .choices = amounts,              \
                                   .fixes = PV_FIXES_ROWS

const pv_option pv_signal_options[] = {
    {PV_KEY(pv_signal_opts, source), .registry = &pv_sources, .initial = "idx", .fixes = PV_FIXES_ROWS,
     .meaning = "where objects come from"},
    {PV_KEY(pv_signal_opts, path), .initial = "/usr/share/datasets/fashion-mnist",
     .meaning = "directory of the data set's files; the default is where Debian's dataset-fashion-mnist "
                "puts them"},
    {AMOUNT(train),
     .meaning =
         "objects of the train split: a number, a share of those that there are, all, or what is usual for "
         "the source"},
    {AMOUNT(val),
     .meaning =
         "objects of the validation split, which are taken from the train file where there is none for it"},
    {AMOUNT(test), .meaning = "objects of the test split"},
    {PV_KEY(pv_signal_opts, train_first), .initial = "0", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "index in the train file of the first train object"},
    {PV_KEY(pv_signal_opts, val_first), .initial = "-1", PV_BETWEEN(-1, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "index in the train file of the first validation object; -1: the last val images of the "
                "file"},
    {PV_KEY(pv_signal_opts, test_first), .initial = "0", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "index in the test file of the first test object"},
    {PV_KEY(pv_signal_opts, keep), .initial = "0.25", PV_BETWEEN(0, 1),
     .meaning = "share of the node's free shared memory that the objects may take; where they do not fit in, "
                "each is read again whenever it is needed"},
    {0}};
