/* The kinds of models: a new architecture is one file with a pv_model_kind (nn/core/pv_model_kind.h), and one
 * line here. */
#ifndef PV_MODEL_KINDS_H
#define PV_MODEL_KINDS_H

#include "nn/core/pv_model_kind.h"

#define PV_MODEL_KINDS(X) X(dws) X(mlp) X(gnn) X(tokens) X(scalegmn) X(probe)

#define PV_MODEL_KIND_EXTERN(name) extern const pv_model_kind pv_model_##name;
PV_MODEL_KINDS(PV_MODEL_KIND_EXTERN)

extern const pv_registry pv_model_kinds;

/* The rows of the section. */
extern const pv_option pv_model_options[];

#endif
