/* Learned probes: an INR is evaluated at coordinates that training moves, and a perceptron reads what comes
 * out (as by Kofinas et al. 2024, whose graphs take such values too, and Kahana et al. 2024).  Unless it
 * reads hidden units, it sees the function and nothing of how the weights make it. */
#include "inr/pv_activation.h"
#include "nn/core/pv_linear.h"
#include "nn/core/pv_perceptron.h"
#include "nn/probe/pv_probe_opts.h"

#include <string.h>
#include <tgmath.h>

typedef struct net {
    pv_nn_params *params;
    pv_perceptron *reader;
    pv_arch arch;
    pv_probe_opts opts;
    int points;   /* tensor: [points][d_0] */
    int features; /* of a row: outputs [points][d_M], then, if asked for, values of layer 1, 2, ... alike */
    int batch;
    const pv_real *rows; /* of the last forward, borrowed */
    pv_real *x, *dx;     /* [max_batch][features] */
    /* Of one INR, [points][d_l] behind matrix l: what its units are, and their slopes. */
    pv_real *value[PV_INR_MAX_LAYERS + 1], *slope[PV_INR_MAX_LAYERS];
    pv_real *dvalue, *dbefore; /* [points][the widest layer] */
} net;

/* z -> sin(w0 z), and its slope unless that is NULL. */
static void take_sines(int64_t n, pv_real w0, pv_real *z, pv_real *slope)
{
    for (int64_t i = 0; slope && i < n; i++)
        slope[i] = w0 * cos(w0 * z[i]);
    for (int64_t i = 0; i < n; i++)
        z[i] = sin(w0 * z[i]);
}

/* The row's INR at all points.  The constant that some INRs add to their outputs is left to the reader. */
static void evaluate(const net *n, const pv_real *row, bool slopes)
{
    const pv_nn_kernels *kernels = n->params->kernels;
    const pv_real *input = pv_nn_values(n->params, n->points);
    for (int l = 1; l <= n->arch.layers; l++) {
        const int ins = n->arch.dims[l - 1], outs = n->arch.dims[l];
        pv_gemm(kernels, false, true, n->opts.points, outs, ins, 1, input, row, 0, n->value[l]);
        row += (int64_t)ins * outs;
        kernels->add_row(n->opts.points, outs, 1, row, n->value[l]);
        row += outs;
        if (l < n->arch.layers)
            take_sines((int64_t)n->opts.points * outs, (pv_real)n->arch.w0, n->value[l],
                       slopes ? n->slope[l] : NULL);
        input = n->value[l];
    }
}

/* Where the values of layer l are among a row's features; -1: they are none. */
static int64_t place_of(const net *n, int l)
{
    int64_t place = l < n->arch.layers ? (int64_t)n->opts.points * n->arch.dims[n->arch.layers] : 0;
    if (l < n->arch.layers && !n->opts.units) return -1;
    for (int before = 1; before < l && l < n->arch.layers; before++)
        place += (int64_t)n->opts.points * n->arch.dims[before];
    return place;
}

static void read_out(net *n, int sample)
{
    pv_real *const x = n->x + (int64_t)sample * n->features;
    evaluate(n, n->rows + (int64_t)sample * pv_arch_params(&n->arch), false);
    for (int l = 1; l <= n->arch.layers; l++)
        if (place_of(n, l) >= 0)
            memcpy(x + place_of(n, l), n->value[l],
                   sizeof *x * (size_t)n->opts.points * (size_t)n->arch.dims[l]);
}

/* Adds the features' gradient of layer l to n->dvalue, or begins with it. */
static void begin_back(net *n, int sample, int l)
{
    const int64_t place = place_of(n, l), count = (int64_t)n->opts.points * n->arch.dims[l];
    const pv_real *const dx = n->dx + (int64_t)sample * n->features + place;
    if (l == n->arch.layers)
        memcpy(n->dvalue, dx, sizeof *dx * (size_t)count);
    else
        for (int64_t i = 0; i < count; i++)
            n->dvalue[i] = n->slope[l][i] * (n->dvalue[i] + (place < 0 ? 0 : dx[i]));
}

/* From n->dvalue, behind matrix l but for its sines, to what is in front of it. */
static void pass_back(net *n, int l, const pv_real *weight, pv_real *dweight)
{
    const pv_nn_kernels *kernels = n->params->kernels;
    const int ins = n->arch.dims[l - 1], outs = n->arch.dims[l], points = n->opts.points;
    const pv_real *const input = l > 1 ? n->value[l - 1] : pv_nn_values(n->params, n->points);
    pv_real *const dinput = l > 1 ? n->dbefore : pv_nn_gradients(n->params, n->points);
    if (dweight) {
        pv_real *const dbias = dweight + (int64_t)ins * outs;
        memset(dbias, 0, sizeof *dbias * (size_t)outs);
        pv_gemm(kernels, true, false, outs, ins, points, 1, n->dvalue, input, 0, dweight);
        kernels->sum_rows(points, outs, 1, n->dvalue, dbias);
    }
    pv_gemm(kernels, false, false, points, ins, outs, 1, n->dvalue, weight, l > 1 ? 0 : 1, dinput);
    if (l == 1) return;
    n->dbefore = n->dvalue;
    n->dvalue = dinput;
}

static void read_back(net *n, int sample, pv_real *drow)
{
    const pv_real *const row = n->rows + (int64_t)sample * pv_arch_params(&n->arch);
    int64_t at = pv_arch_params(&n->arch);
    evaluate(n, row, true);
    for (int l = n->arch.layers; l >= 1; l--) {
        at -= (int64_t)(n->arch.dims[l - 1] + 1) * n->arch.dims[l];
        begin_back(n, sample, l);
        pass_back(n, l, row + at, drow ? drow + at : NULL);
    }
}

static pv_batch_sums forward(void *context, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                             pv_real *logits)
{
    net *n = context;
    if (stage == 0) {
        n->rows = rows;
        n->batch = batch;
        for (int sample = 0; sample < batch; sample++)
            read_out(n, sample);
    }
    return pv_perceptron_forward(n->reader, pass, stage, n->x, batch, logits);
}

static pv_batch_sums backward(void *context, const pv_pass *pass, int stage, const pv_real *dlogits,
                              pv_real *drows)
{
    net *n = context;
    const pv_batch_sums sums = pv_perceptron_backward(n->reader, pass, stage, dlogits, n->dx);
    if (stage > 0) return sums;
    for (int sample = 0; sample < n->batch; sample++)
        read_back(n, sample, drows ? drows + (int64_t)sample * pv_arch_params(&n->arch) : NULL);
    return sums;
}

static const pv_real *features(const void *context, int *width)
{
    const net *n = context;
    return pv_perceptron_features(n->reader, width);
}

static double forward_flops(const void *context)
{
    const net *n = context;
    double flops = pv_perceptron_flops(n->reader);
    for (int l = 1; l <= n->arch.layers; l++)
        flops += 2.0 * n->opts.points * n->arch.dims[l - 1] * n->arch.dims[l];
    return flops;
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    int widest = 0;
    for (int l = 1; l <= n->arch.layers; l++) {
        const int64_t values = (int64_t)n->opts.points * n->arch.dims[l];
        widest = n->arch.dims[l] > widest ? n->arch.dims[l] : widest;
        PV_TAKE(memory, values, &n->value[l]);
        if (l < n->arch.layers) PV_TAKE(memory, values, &n->slope[l]);
    }
    PV_TAKE(memory, (int64_t)n->opts.points * widest, &n->dvalue, &n->dbefore);
    PV_TAKE(memory, max_batch * n->features, &n->x, &n->dx);
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    const pv_probe_opts *opts = request->opts->kind.options;
    const pv_activation *activation = pv_arch_activation(request->arch);
    int values = request->arch->dims[request->arch->layers];
    if (activation->loop != PV_LOOP_SINE)
        return pv_fail(PV_ERR_CONFIG, "model.kind: probe evaluates INRs of sines, and these are of %s",
                       activation->plugin.name);
    if (request->arch->fourier.count > 0)
        return pv_fail(PV_ERR_CONFIG, "model.kind: probe evaluates INRs of coordinates, not of inr.encoding");
    for (int l = 1; opts->units && l < request->arch->layers; l++)
        values += request->arch->dims[l];
    net *n = pv_take(params->memory, 1, sizeof *n);
    if (!n) return pv_memory_status(params->memory);
    *out = n;
    *n = (net){.params = params, .arch = *request->arch, .opts = *opts, .features = opts->points * values};
    n->points = pv_nn_params_add(params, "points", 2, opts->points, n->arch.dims[0], true,
                                 (pv_init){PV_INIT_UNIFORM, 1});
    reserve(n, params->memory, request->max_batch);
    return pv_perceptron_new(request, n->features, params, &n->reader);
}

static const pv_option options[] = {
    {PV_KEY(pv_probe_opts, points), .initial = "64", PV_BETWEEN(1, 65536), .fixes = PV_FIXES_MODEL,
     .meaning = "coordinates that INRs are evaluated at; they start uniform in [-1, 1]"},
    {PV_KEY(pv_probe_opts, units), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "reads what the hidden units are there, too"},
    {0}};

const pv_model_kind pv_model_probe = {
    .plugin = {.name = "probe",
               .help = "evaluates the INR at learned coordinates, and reads its outputs by a perceptron; "
                       "wants train.normalise: none",
               PV_OWN(options, pv_probe_opts)},
    .rows = PV_ROWS_AS_THEY_ARE,
    .make = make,
    .forward = forward,
    .backward = backward,
    .features = features,
    .forward_flops = forward_flops};
