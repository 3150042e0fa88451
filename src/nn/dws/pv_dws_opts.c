/* The options of the DWS classifier. */
#include "nn/dws/pv_dws_opts.h"
#include "nn/core/pv_linear.h"

static const char *const set_layers[] = {[PV_SET_DS] = "ds", [PV_SET_SAB] = "sab", NULL};
static const char *const poolings[] = {
    [PV_POOL_MAX] = "max", [PV_POOL_MEAN] = "mean", [PV_POOL_SUM] = "sum", NULL};

const pv_option pv_dws_options[] = {
    {PV_KEY(pv_dws_opts, set_layer), .choices = set_layers, .initial = "ds", .fixes = PV_FIXES_MODEL,
     .meaning = "the layer on sets; ds: DeepSets, sab: multi-head attention of the set with itself"},
    {PV_KEY(pv_dws_opts, reduction), .choices = poolings, .initial = "max", .fixes = PV_FIXES_MODEL,
     .meaning = "how a set is reduced to one element"},
    {PV_KEY(pv_dws_opts, fc_layers), .initial = "1", PV_BETWEEN(1, PV_STACK_MAX), .fixes = PV_FIXES_MODEL,
     .meaning = "linear layers in every map between tensors"},
    {PV_KEY(pv_dws_opts, out_fc), .initial = "1", PV_BETWEEN(1, PV_STACK_MAX), .fixes = PV_FIXES_MODEL,
     .meaning = "linear layers of the classifier head"},
    {PV_KEY(pv_dws_opts, diagonal), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "only the maps between neighbouring tensors"},
    {PV_KEY(pv_dws_opts, layer_skip), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "a linear skip connection over every layer"},
    {PV_KEY(pv_dws_opts, skip), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "one linear skip connection over all layers"},
    {PV_KEY(pv_dws_opts, downsample), .initial = "0", PV_BETWEEN(0, 65536), .fixes = PV_FIXES_MODEL,
     .meaning = "for INRs with many inputs: so many channels are made of them in front of the first "
                "layer; 0: they stay as they are"},
    {0}};
