/* The list of sources, and the rows of the `signal` section. */
#include "signal/pv_source.h"

#define ENTRY(name) &pv_source_##name.plugin,
const pv_registry pv_sources = {"source of signals", (const pv_plugin *const[]){PV_SOURCES(ENTRY) NULL}};

const pv_option pv_signal_options[] = {
    {PV_KEY(pv_signal_opts, source), .registry = &pv_sources, .initial = "idx", .fixes = PV_FIXES_ROWS,
     .meaning = "where objects come from"},
    {PV_KEY(pv_signal_opts, path), .initial = "/usr/share/datasets/fashion-mnist",
     .meaning = "directory of the data set's files; the default is where Debian's dataset-fashion-mnist "
                "puts them"},
    {PV_KEY(pv_signal_opts, train), .initial = "55000", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "objects of the train split, from the train file"},
    {PV_KEY(pv_signal_opts, val), .initial = "5000", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "objects of the validation split, from the train file"},
    {PV_KEY(pv_signal_opts, test), .initial = "10000", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "objects of the test split, from the test file"},
    {PV_KEY(pv_signal_opts, train_first), .initial = "0", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "index in the train file of the first train object"},
    {PV_KEY(pv_signal_opts, val_first), .initial = "-1", PV_BETWEEN(-1, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "index in the train file of the first validation object; -1: the last val images of the "
                "file"},
    {PV_KEY(pv_signal_opts, test_first), .initial = "0", PV_BETWEEN(0, 1e12), .fixes = PV_FIXES_ROWS,
     .meaning = "index in the test file of the first test object"},
    {0}};
