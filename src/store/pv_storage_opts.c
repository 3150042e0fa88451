/* The rows of the `storage` section: how a store lies on disk. */
#include "store/pv_storage_opts.h"

const pv_option pv_storage_options[] = {
    {PV_KEY(pv_storage_opts, shard_gib), .initial = "0.0", PV_AT_LEAST(0),
     .meaning = "a larger store is cut into shard files of at most so many GiB, tied together by one "
                "master file; 0: one file"},
    {PV_KEY(pv_storage_opts, reserve), .initial = "true",
     .meaning = "set the disk space of all rows aside when the store is made, so that the disk cannot "
                "fill up later"},
    {PV_KEY(pv_storage_opts, sync), .initial = "true",
     .meaning = "bring rows to disk before they are marked fitted: nothing marked is lost with the power "
                "of a node"},
    {PV_KEY(pv_storage_opts, hints), .may_be_empty = true, .initial = "\"\"",
     .meaning = "hints to MPI-IO, key=value separated by spaces: striping_factor=8 striping_unit=4194304 "
                "cb_nodes=4"},
    {0}};
