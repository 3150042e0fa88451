/* The passes of a net that works on one INR after the other, and what is read out of it. */
#include "nn/core/pv_encoder.h"

#include <string.h>

int pv_readout_features(const pv_readout *readout)
{
    return readout->mean ? readout->width : readout->count * readout->width;
}

/* Where vector i begins among the features, and what it is divided by. */
static int place(const pv_readout *r, int i)
{
    return r->mean ? 0 : i * r->width;
}

static pv_real divisor(const pv_readout *r)
{
    return r->mean ? (pv_real)r->count : 1;
}

static void read_out(const pv_readout *r, const pv_real *x, pv_real *feature)
{
    memset(feature, 0, sizeof *feature * (size_t)pv_readout_features(r));
    for (int i = 0; i < r->count; i++)
        for (int k = 0; k < r->width; k++)
            feature[place(r, i) + k] += x[(int64_t)i * r->padded + k] / divisor(r);
}

static void read_back(const pv_readout *r, const pv_real *dfeature, pv_real *dx)
{
    memset(dx, 0, sizeof *dx * (size_t)r->count * (size_t)r->padded);
    for (int i = 0; i < r->count; i++)
        for (int k = 0; k < r->width; k++)
            dx[(int64_t)i * r->padded + k] = dfeature[place(r, i) + k] / divisor(r);
}

void pv_encoder_close(pv_encoder *encoder, const pv_model_request *request, pv_stack head)
{
    encoder->inputs = pv_reading_count(request->arch, request->opts->features);
    encoder->head = pv_head_new(encoder->packed.params, head, request->max_batch);
}

pv_batch_sums pv_encoder_forward(void *net, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                                 pv_real *logits)
{
    pv_encoder *const e = net;
    if (stage == 1) {
        pv_head_forward(&e->head, batch, logits);
        return (pv_batch_sums){0};
    }
    e->batch = batch;
    e->rows = rows;
    pv_packed_load(&e->packed);
    for (int64_t i = 0; i < batch; i++)
        read_out(&e->readout, e->forward(net, pass, (int)i, rows + i * e->inputs),
                 e->head.x + i * pv_readout_features(&e->readout));
    return (pv_batch_sums){0};
}

pv_batch_sums pv_encoder_backward(void *net, const pv_pass *pass, int stage, const pv_real *dlogits,
                                  pv_real *drows)
{
    pv_encoder *const e = net;
    if (stage == 1) {
        pv_head_backward(&e->head, e->batch, dlogits);
        return (pv_batch_sums){0};
    }
    pv_packed_clear(&e->packed);
    for (int64_t i = 0; i < e->batch; i++) {
        read_back(&e->readout, e->head.dx + i * pv_readout_features(&e->readout), e->dvectors);
        e->backward(net, pass, (int)i, e->rows + i * e->inputs, drows ? drows + i * e->inputs : NULL);
    }
    pv_packed_flush(&e->packed);
    return (pv_batch_sums){0};
}

const pv_real *pv_encoder_features(const void *net, int *width)
{
    const pv_head *const head = &((const pv_encoder *)net)->head;
    return pv_stack_features(&head->stack, head->x, width);
}
