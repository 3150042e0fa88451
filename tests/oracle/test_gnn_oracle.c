/* The relational transformer against the published one: names, logits, loss, gradients of every option. */
#include "pv_model_case.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256, DIMS = 17 };

/* float32 against float64 */
static const double TOLERANCE = 1e-4, GRADIENT_FLOOR = 1e-3;

/* A case of the oracle, before its model is made. */
typedef struct subject {
    const pv_oracle *oracle;
    const char *name;
} subject;

static int integer(const subject *s, const char *key)
{
    return (int)pv_oracle_int(s->oracle, s->name, key);
}

static pv_gnn_opts own_options(const subject *s)
{
    char features[TEXT];
    pv_oracle_text(s->oracle, s->name, "graph_features", features, TEXT);
    return (pv_gnn_opts){.d_node = integer(s, "d_node"),
                         .d_edge = integer(s, "d_edge"),
                         .d_attn = integer(s, "d_attn_hid"),
                         .d_node_hid = integer(s, "d_node_hid"),
                         .d_edge_hid = integer(s, "d_edge_hid"),
                         .d_out_hid = integer(s, "d_out_hid"),
                         .graph_features = strcmp(features, "mean") == 0        ? PV_GRAPH_MEAN
                                           : strcmp(features, "cls_token") == 0 ? PV_GRAPH_CLS_TOKEN
                                                                                : PV_GRAPH_CAT_LAST_LAYER,
                         .rev_edge_features = integer(s, "rev_edge_features"),
                         .sin_emb = integer(s, "sin_emb"),
                         .inp_factor = pv_oracle_real(s->oracle, s->name, "inp_factor"),
                         .input_layers = integer(s, "input_layers"),
                         .modulate_v = integer(s, "modulate_v"),
                         .use_ln = integer(s, "use_ln")};
}

/* `own` is borrowed. */
static pv_model_opts options(const subject *s, pv_gnn_opts *own)
{
    *own = own_options(s);
    return (pv_model_opts){.kind = {&pv_model_gnn.plugin, own},
                           .layers = integer(s, "n_layers"),
                           .heads = integer(s, "n_heads")};
}

static void check_case(const pv_oracle *oracle, const char *name)
{
    pv_gnn_opts own;
    const pv_model_opts opts = options(&(subject){oracle, name}, &own);
    pv_model_case c;
    pv_model_case_open(&c, oracle, name, &opts, "layer_layout", "d_out");
    c.floor = GRADIENT_FLOOR;
    const pv_pass pass = {.training = true, .global_batch = c.batch};
    pv_model_case_load(&c);
    pv_model_case_input(&c, "input/");
    pv_model_forward(c.model, &pass, c.rows, c.batch, c.logits);
    double error = pv_model_case_distance(&c, "output/logits", c.batch * c.classes, c.logits);
    pv_case_check(error < TOLERANCE, name, "the logits agree", error);
    const pv_real loss =
        (pv_real)(pv_cross_entropy(c.batch, c.classes, c.logits, c.labels, 1.0 / c.batch, c.dlogits) /
                  c.batch);
    error = pv_model_case_distance(&c, "output/loss", 1, &loss);
    pv_case_check(error < TOLERANCE, name, "the loss agrees", error);
    pv_model_backward(c.model, &pass, c.dlogits, c.drows);
    error = pv_model_case_gradients(&c, TOLERANCE);
    pv_case_check(error < TOLERANCE, name, "the gradients of all parameters agree", error);
    error = pv_model_case_row_gradients(&c);
    pv_case_check(error < TOLERANCE, name, "the gradients of the rows agree", error);
    pv_model_case_close(&c);
}

int main(void)
{
    pv_oracle *oracle = pv_oracle_open("relational_transformer.h5");
    for (int i = 0; i < pv_oracle_cases(oracle); i++)
        check_case(oracle, pv_oracle_case(oracle, i));
    pv_oracle_close(oracle);
    return pv_case_end();
}
