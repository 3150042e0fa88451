/* The kinds of models: a new architecture is one file that fills a pv_model (nn/pv_model_kind.h), and one line here. */
#ifndef PV_MODEL_KINDS_H
#define PV_MODEL_KINDS_H

/* KIND(identifier, name in a config, constructor) */
#define PV_MODEL_KINDS(KIND)                                                                                 \
    KIND(DWS, "dws", pv_dws_model_new)                                                                       \
    KIND(MLP, "mlp", pv_mlp_new)                                                                             \
    KIND(GNN, "gnn", pv_gnn_new)                                                                             \
    KIND(TOKENS, "inr2vec", pv_tokens_new)

#endif
