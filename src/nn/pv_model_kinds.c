/* The registry of architectures, and the rows that they share. */
#include "nn/pv_model_kinds.h"

#define ENTRY(name) &pv_model_##name.plugin,
const pv_registry pv_model_kinds = {"kind of model", (const pv_plugin *const[]){PV_MODEL_KINDS(ENTRY) NULL}};

const pv_option pv_model_options[] = {
    {PV_KEY(pv_model_opts, kind), .registry = &pv_model_kinds, .initial = "dws", .fixes = PV_FIXES_MODEL,
     .meaning = "the architecture (docs/models.md)"},
    {PV_KEY(pv_model_opts, hidden), .initial = "32", PV_BETWEEN(1, 65536), .fixes = PV_FIXES_MODEL,
     .meaning = "features per weight (dws, scalegmn), width of the hidden layers (mlp, probe), of a token "
                "(tokens)"},
    {PV_KEY(pv_model_opts, layers), .initial = "4", PV_BETWEEN(1, 1024), .fixes = PV_FIXES_MODEL,
     .meaning = "hidden layers; dws has one equivariant layer more; gnn, tokens: layers of attention; "
                "scalegmn: of messages"},
    {PV_KEY(pv_model_opts, heads), .initial = "8", PV_BETWEEN(1, 1024), .fixes = PV_FIXES_MODEL,
     .meaning =
         "dws: heads of set layer sab, a divisor of model.hidden; the last equivariant layer has one; gnn, "
         "tokens: heads of attention, a divisor of d_attn, of hidden"},
    {PV_KEY(pv_model_opts, batch_norm), .initial = "true", .fixes = PV_FIXES_MODEL,
     .meaning = "dws, mlp, probe: batch normalisation between the layers"},
    {PV_KEY(pv_model_opts, dropout), .initial = "0.0", PV_FRACTION, .fixes = PV_FIXES_MODEL,
     .meaning = "dws, mlp, probe, tokens, scalegmn: probability of dropout between the layers in training; "
                "scalegmn: and within them"},
    {PV_KEY(pv_model_opts, features), .choices = pv_readings, .initial = "raw", .fixes = PV_FIXES_MODEL,
     .meaning = "what is read of an INR; raw: its weights; phasor: hidden weights times w0, and of a hidden "
                "bias the cosine and sine of w0 b, which do not change when b moves by 2 pi / w0"},
    {0}};
