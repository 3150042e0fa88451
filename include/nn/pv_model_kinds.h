/* The kinds of models: a new architecture is one file with a pv_model_kind_ops (nn/core/pv_model_kind.h), and one line
 * here. */
#ifndef PV_MODEL_KINDS_H
#define PV_MODEL_KINDS_H

/* KIND(identifier, name in a config, its operations) */
#define PV_MODEL_KINDS(KIND)                                                                                 \
    KIND(DWS, "dws", pv_dws_ops)                                                                             \
    KIND(MLP, "mlp", pv_mlp_ops)                                                                             \
    KIND(GNN, "gnn", pv_gnn_ops)                                                                             \
    KIND(TOKENS, "inr2vec", pv_tokens_ops)

#endif
