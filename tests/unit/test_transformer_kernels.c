/* Attention, LayerNorm, activations and Fourier features against their formulas, on every instruction set. */
#include "kernel_test.h"
#include "nn/core/pv_nn_kernels.h"
#include "nn/gnn/pv_gnn_kernels.h"

enum { NODES = 7, HEADS = 4, CHANNELS = 48, MAPS = 3, MOST_WIDTH = 16 };

static double dot(int n, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* p = softmax(scale s) of n logits, and the gradient of s from that of p. */
static void softmax_reference(int n, double scale, const double *s, double *p)
{
    double most = s[0], sum = 0;
    for (int j = 1; j < n; j++)
        most = fmax(most, s[j]);
    for (int j = 0; j < n; j++)
        sum += p[j] = exp(scale * (s[j] - most));
    for (int j = 0; j < n; j++)
        p[j] /= sum;
}

static void softmax_back_reference(int n, double scale, const double *p, const double *dp, double *ds)
{
    const double mean = dot(n, p, dp);
    for (int j = 0; j < n; j++)
        ds[j] = scale * p[j] * (dp[j] - mean);
}

/* ---- the attention of a set: queries are columns ---- */

static void set_attention(void)
{
    const pv_attention_kernels *kernels = PV_ISA_CHOOSE(pv_attention_kernels);
    const int np = 3 * PV_ISA_CHOOSE(pv_nn_kernels)->lanes;
    pv_real *s = some((int64_t)NODES * np, 1), *dp = some((int64_t)NODES * np, 2), *share = some(np, 3);
    double logits[NODES][48], dshare[NODES][48];
    for (int j = 0; j < NODES; j++)
        for (int i = 0; i < np; i++) {
            logits[j][i] = (double)s[j * np + i];
            dshare[j][i] = (double)dp[j * np + i];
        }
    kernels->softmax(NODES, np, (pv_real)0.7, s, share);
    kernels->softmax_backward(NODES, np, (pv_real)0.7, s, share, dp);
    for (int i = 0; i < np; i++) {
        double of[NODES], d[NODES], p[NODES], ds[NODES];
        for (int j = 0; j < NODES; j++) {
            of[j] = logits[j][i];
            d[j] = dshare[j][i];
        }
        softmax_reference(NODES, 0.7, of, p);
        softmax_back_reference(NODES, 0.7, p, d, ds);
        for (int j = 0; j < NODES; j++) {
            const pv_real mine = s[j * np + i] * share[i];
            assert_near(1, &mine, &p[j]);
            assert_near(1, &dp[j * np + i], &ds[j]);
        }
    }
    free(s);
    free(dp);
    free(share);
}

/* ---- the attention of a node, with edges that modulate query, key and value ---- */

typedef struct attention {
    bool edged, modulated;
    pv_real *query, *keys, *values, *edges,
        *dout;              /* keys, values [nodes][channels], edges [nodes][maps][channels] */
    double p[NODES][HEADS]; /* softmax over nodes of scale <q + e_q, k + e_k>, head by head */
} attention;

static double query_of(const attention *a, int node, int c)
{
    return (double)a->query[c] + (a->edged ? (double)a->edges[(node * MAPS + 0) * CHANNELS + c] : 0);
}

static double key_of(const attention *a, int node, int c)
{
    return (double)a->keys[node * CHANNELS + c] +
           (a->edged ? (double)a->edges[(node * MAPS + 1) * CHANNELS + c] : 0);
}

static double factor_of(const attention *a, int node, int c)
{
    return a->modulated ? (double)a->edges[(node * MAPS + 2) * CHANNELS + c] : 1;
}

static const double scale = 0.3;

static void attend_reference(attention *a)
{
    for (int h = 0; h < HEADS; h++) {
        double s[NODES] = {0}, p[NODES];
        for (int j = 0; j < NODES; j++)
            for (int c = h; c < CHANNELS; c += HEADS)
                s[j] += query_of(a, j, c) * key_of(a, j, c);
        softmax_reference(NODES, scale, s, p);
        for (int j = 0; j < NODES; j++)
            a->p[j][h] = p[j];
    }
}

/* The gradients of what node j's head compares and gives. */
static void assert_gradients(const attention *a, const pv_real *dquery, const pv_real *dkeys,
                             const pv_real *dvalues, const pv_real *dedges)
{
    double dq[CHANNELS] = {0};
    for (int h = 0; h < HEADS; h++) {
        double p[NODES], dp[NODES] = {0}, ds[NODES];
        for (int j = 0; j < NODES; j++) {
            p[j] = a->p[j][h];
            for (int c = h; c < CHANNELS; c += HEADS)
                dp[j] += (double)a->dout[c] * (double)a->values[j * CHANNELS + c] * factor_of(a, j, c);
        }
        softmax_back_reference(NODES, scale, p, dp, ds);
        for (int j = 0; j < NODES; j++)
            for (int c = h; c < CHANNELS; c += HEADS) {
                const double of_query = ds[j] * key_of(a, j, c), of_key = ds[j] * query_of(a, j, c);
                const double of_value = p[j] * (double)a->dout[c] * factor_of(a, j, c);
                const double of_factor = p[j] * (double)a->dout[c] * (double)a->values[j * CHANNELS + c];
                dq[c] += of_query;
                assert_near(1, &dkeys[j * CHANNELS + c], &of_key);
                assert_near(1, &dvalues[j * CHANNELS + c], &of_value);
                if (a->edged) {
                    assert_near(1, &dedges[(j * MAPS + 0) * CHANNELS + c], &of_query);
                    assert_near(1, &dedges[(j * MAPS + 1) * CHANNELS + c], &of_key);
                }
                if (a->modulated) assert_near(1, &dedges[(j * MAPS + 2) * CHANNELS + c], &of_factor);
            }
    }
    assert_near(CHANNELS, dquery, dq);
}

static void check_attention(bool edged, bool modulated)
{
    const pv_transformer_kernels *kernels = PV_ISA_CHOOSE(pv_transformer_kernels);
    const int lanes = PV_ISA_CHOOSE(pv_nn_kernels)->lanes, width = lanes > HEADS ? lanes : HEADS;
    attention a = {.edged = edged,
                   .modulated = modulated,
                   .query = some(CHANNELS, 1),
                   .keys = some(NODES * CHANNELS, 2),
                   .values = some(NODES * CHANNELS, 3),
                   .edges = some(NODES * MAPS * CHANNELS, 4),
                   .dout = some(CHANNELS, 5)};
    const pv_attention_row row = {.nodes = NODES,
                                  .channels = CHANNELS,
                                  .heads = HEADS,
                                  .width = width,
                                  .edge_stride = MAPS * CHANNELS,
                                  .node_stride = CHANNELS,
                                  .modulated = modulated,
                                  .scale = (pv_real)scale,
                                  .query = a.query,
                                  .keys = a.keys,
                                  .values = a.values};
    pv_real share[NODES * MOST_WIDTH], dshare[NODES * MOST_WIDTH] = {0}, out[CHANNELS] = {0},
                                                      dquery[CHANNELS] = {0};
    pv_real dkeys[NODES * CHANNELS] = {0}, dvalues[NODES * CHANNELS] = {0};
    pv_real *edges = some(NODES * MAPS * CHANNELS, 4), *given = edged ? edges : NULL;
    attend_reference(&a);
    kernels->attend(&row, given, share);
    kernels->gather(&row, given, share, out);
    for (int j = 0; j < NODES; j++)
        for (int i = 0; i < width; i++)
            assert_near(1, &share[j * width + i], &a.p[j][i % HEADS]);
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0;
        for (int j = 0; j < NODES; j++)
            sum += a.p[j][c % HEADS] * (double)a.values[j * CHANNELS + c] * factor_of(&a, j, c);
        assert_near(1, &out[c], &sum);
    }
    kernels->attend_backward(&row, share, a.dout, dshare, given, dquery, dkeys, dvalues);
    assert_gradients(&a, dquery, dkeys, dvalues, edges);
    free(edges);
    free(a.query);
    free(a.keys);
    free(a.values);
    free(a.edges);
    free(a.dout);
}

static void node_attention(void)
{
    check_attention(false, false);
    check_attention(true, false);
    check_attention(true, true);
}

/* ---- functions of one number, LayerNorm, Fourier features ---- */

static void activations(void)
{
    const pv_transformer_kernels *kernels = PV_ISA_CHOOSE(pv_transformer_kernels);
    enum { N = 512 };
    pv_real x[N], y[N], again[N], slope[N];
    double truth[N], derivative[N];
    for (int i = 0; i < N; i++) {
        const double v = (double)(x[i] = (pv_real)(i - N / 2) / 32);
        const double phi = 0.5 * erfc(-v * sqrt(0.5));
        truth[i] = v * phi;
        derivative[i] = phi + v * exp(-v * v / 2) / sqrt(2 * 3.14159265358979323846);
    }
    kernels->gelu(N, x, again);
    kernels->gelu_slope(N, x, y, slope);
    assert_near(N, again, truth);
    assert_near(N, y, truth);
    assert_near(N, slope, derivative);
    for (int i = 0; i < N; i++) {
        const double v = (double)x[i], s = 1 / (1 + exp(-v));
        truth[i] = v * s;
        derivative[i] = s + v * s * (1 - s);
    }
    kernels->silu_slope(N, x, y, slope);
    assert_near(N, y, truth);
    assert_near(N, slope, derivative);
}

/* y = gamma (x - mean) / sqrt(var + eps) + beta over the features of a row, and its gradients. */
static void layer_norm(void)
{
    const pv_transformer_kernels *kernels = PV_ISA_CHOOSE(pv_transformer_kernels);
    enum { N = 21, PADDED = 32 };
    pv_real *x = some(PADDED, 1), *gamma = some(PADDED, 2), *beta = some(PADDED, 3), *dy = some(PADDED, 4);
    pv_real y[PADDED], dgamma[PADDED] = {0}, dbeta[PADDED] = {0};
    double mean = 0, var = 0, h[N], g[N], out[N], dx[N], dg[N], db[N];
    memset(x + N, 0, sizeof *x * (PADDED - N));
    memset(gamma + N, 0, sizeof *x * (PADDED - N));
    for (int i = 0; i < N; i++)
        mean += (double)x[i] / N;
    for (int i = 0; i < N; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / N;
    const double deviation = sqrt(var + 1e-5);
    double sum_g = 0, sum_gh = 0;
    for (int i = 0; i < N; i++) {
        h[i] = ((double)x[i] - mean) / deviation;
        g[i] = (double)dy[i] * (double)gamma[i];
        out[i] = (double)gamma[i] * h[i] + (double)beta[i];
        db[i] = (double)dy[i];
        dg[i] = (double)dy[i] * h[i];
        sum_g += g[i];
        sum_gh += g[i] * h[i];
    }
    for (int i = 0; i < N; i++)
        dx[i] = (g[i] - sum_g / N - h[i] * sum_gh / N) / deviation;
    kernels->norm(1, N, PADDED, x, gamma, beta, y);
    kernels->norm_backward(1, N, PADDED, x, gamma, dy, dgamma, dbeta);
    assert_near(N, y, out);
    assert_near(N, dy, dx);
    assert_near(N, dgamma, dg);
    assert_near(N, dbeta, db);
    free(x);
    free(gamma);
    free(beta);
    free(dy);
}

/* A row's numbers are the same bits whichever rows lie beside it, so that batches may be cut anywhere. */
static void layer_norm_rows(void)
{
    const pv_transformer_kernels *kernels = PV_ISA_CHOOSE(pv_transformer_kernels);
    enum { ROWS = 37, WIDTHS = 4 };
    static const int widths[WIDTHS] = {13, 16, 29, 57};
    for (int w = 0; w < WIDTHS; w++) {
        const int n = widths[w], padded = (n + MOST_WIDTH - 1) / MOST_WIDTH * MOST_WIDTH;
        const int64_t size = (int64_t)ROWS * padded;
        pv_real *x = some(size, 1), *gamma = some(padded, 2), *beta = some(padded, 3), *dy = some(size, 4),
                *alone = some(size, 4), *y = some(size, 5), *sums = some(4 * padded, 6);
        const size_t bytes = sizeof *x * (size_t)padded;
        memset(sums, 0, 4 * bytes);
        for (int r = 0; r < ROWS; r++)
            memset(x + r * padded + n, 0, sizeof *x * (size_t)(padded - n));
        kernels->norm(ROWS, n, padded, x, gamma, beta, y);
        kernels->norm_backward(ROWS, n, padded, x, gamma, dy, sums, sums + padded);
        for (int r = 0; r < ROWS; r++) {
            pv_real one[64];
            kernels->norm(1, n, padded, x + r * padded, gamma, beta, one);
            assert_memory_equal(one, y + r * padded, bytes);
            kernels->norm_backward(1, n, padded, x + r * padded, gamma, alone + r * padded, sums + 2 * padded,
                                   sums + 3 * padded);
        }
        assert_memory_equal(alone, dy, ROWS * bytes);
        assert_memory_equal(sums + 2 * padded, sums, 2 * bytes);
        free(x);
        free(gamma);
        free(beta);
        free(dy);
        free(alone);
        free(y);
        free(sums);
    }
}

/* sin and cos of 2 pi x B. */
static void fourier(void)
{
    const pv_gnn_kernels *kernels = PV_ISA_CHOOSE(pv_gnn_kernels);
    enum { IN = 3, WAVES = 32 };
    pv_real *x = some(IN, 1), *b = some(IN * WAVES, 2), *dy = some(2 * WAVES, 3), y[2 * WAVES], dx[IN];
    double truth[2 * WAVES], gradient[IN] = {0};
    for (int k = 0; k < WAVES; k++) {
        double t = 0;
        for (int i = 0; i < IN; i++)
            t += (double)x[i] * (double)b[i * WAVES + k];
        const double angle = 2 * 3.14159265358979323846 * t;
        truth[k] = sin(angle);
        truth[WAVES + k] = cos(angle);
        for (int i = 0; i < IN; i++)
            gradient[i] += 2 * 3.14159265358979323846 * (double)b[i * WAVES + k] *
                           ((double)dy[k] * truth[WAVES + k] - (double)dy[WAVES + k] * truth[k]);
    }
    kernels->fourier(1, IN, IN, WAVES, x, b, y);
    kernels->fourier_backward(1, IN, IN, WAVES, y, b, dy, dx);
    assert_near(2 * WAVES, y, truth);
    for (int i = 0; i < IN; i++)
        assert_true(fabs((double)dx[i] - gradient[i]) <= 1e-4 * (1 + fabs(gradient[i])));
    free(x);
    free(b);
    free(dy);
}

/* ---- products of which one operand is read transposed, and transposes ---- */

static void products(void)
{
    const pv_matrix_kernels *kernels = PV_ISA_CHOOSE(pv_matrix_kernels);
    static const int sizes[] = {1, 5, 8, 17, 35};
    enum { COUNT = sizeof sizes / sizeof *sizes, MOST = 35 };
    pv_real *a = some(MOST * MOST, 1), *b = some(MOST * MOST, 2), *c = some(MOST * MOST, 3),
            *t = some(48 * MOST, 4);
    for (int i = 0; i < COUNT * COUNT * COUNT; i++) {
        const int m = sizes[i % COUNT], n = sizes[i / COUNT % COUNT], k = sizes[i / COUNT / COUNT];
        const pv_product_term terms[] = {pv_product_of(a, b, n, k),
                                         {.a = b, .b = a, .row = 1, .step = m, .ldb = n, .k = k}};
        double truth[MOST * MOST];
        for (int e = 0; e < m * n; e++) {
            truth[e] = 0;
            for (int p = 0; p < k; p++)
                truth[e] += (double)a[e / n * k + p] * (double)b[p * n + e % n] +
                            (double)b[e / n + p * m] * (double)a[p * n + e % n];
        }
        kernels->product(m, n, 2, terms, false, c);
        assert_near(m * n, c, truth);
        kernels->transpose(m, n, a, n, t, 48);
        for (int e = 0; e < n * 48; e++)
            assert_true(t[e] == (e % 48 < m ? a[e % 48 * n + e / 48] : 0));
    }
    free(a);
    free(b);
    free(c);
    free(t);
}

static void the_attention_of_a_set_is_softmax(void **state)
{
    (void)state;
    on_every_isa(set_attention);
}

static void the_attention_of_a_node_is_modulated_by_edges_if_there_are_any(void **state)
{
    (void)state;
    on_every_isa(node_attention);
}

static void gelu_and_silu_are_their_formulas(void **state)
{
    (void)state;
    on_every_isa(activations);
}

static void layer_norm_is_its_formula(void **state)
{
    (void)state;
    on_every_isa(layer_norm);
}

static void layer_norm_takes_each_row_by_itself(void **state)
{
    (void)state;
    on_every_isa(layer_norm_rows);
}

static void fourier_features_are_their_formula(void **state)
{
    (void)state;
    on_every_isa(fourier);
}

static void products_are_three_loops(void **state)
{
    (void)state;
    on_every_isa(products);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_attention_of_a_set_is_softmax),
        cmocka_unit_test(the_attention_of_a_node_is_modulated_by_edges_if_there_are_any),
        cmocka_unit_test(gelu_and_silu_are_their_formulas),
        cmocka_unit_test(layer_norm_is_its_formula),
        cmocka_unit_test(layer_norm_takes_each_row_by_itself),
        cmocka_unit_test(fourier_features_are_their_formula),
        cmocka_unit_test(products_are_three_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
