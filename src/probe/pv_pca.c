/* Principal components of distributed features. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "pv_judge.h"

#include <stdlib.h>

static pv_status allocate(const pv_features *features, int components, pv_pca *out)
{
    pv_status st = PV_OK;
    if (features->samples < 2) return pv_fail(PV_ERR_DATA, "principal components take at least two samples");
    if (components < 1 || components > features->width)
        return pv_fail(PV_ERR_CONFIG, "%d features have 1 to %d components, not %d", features->width,
                       features->width, components);
    *out = (pv_pca){.width = features->width, .components = components};
    PV_ALLOC(out->mean, features->width);
    PV_ALLOC(out->variance, components);
    PV_ALLOC(out->explained, components);
done:
    return st;
}

pv_status pv_pca_fit(const pv_comm *comm, const pv_features *features, int components, pv_pca *out)
{
    pv_grid grid = {0};
    pv_matrix covariance = {0};
    pv_status st;
    *out = (pv_pca){0};
    PV_TRY(pv_agree(comm, allocate(features, components, out)));
    const pv_centred x = {features->x, features->count, features->width, out->mean};
    pv_grid_open(comm, &grid);
    PV_TRY(pv_matrix_make(&grid, features->width, features->width, &covariance));
    pv_features_moments(comm, features->samples, features->count, features->width, features->x, out->mean,
                        NULL);
    PV_TRY(pv_matrix_add_products(&covariance, &x, &x));
    const double total = pv_matrix_trace(&covariance), samples = (double)features->samples;
    PV_TRY(pv_matrix_eigen(&covariance, components, out->variance, &out->directions));
    for (int i = 0; i < components; i++) {
        out->explained[i] = total > 0 ? out->variance[i] / total : 0;
        out->variance[i] /= samples - 1;
    }
done:
    pv_matrix_free(&covariance);
    pv_grid_close(&grid);
    if (st != PV_OK) pv_pca_free(out);
    return st;
}

void pv_pca_free(pv_pca *pca)
{
    PV_FREE(pca->mean, pca->variance, pca->explained, pca->directions);
    *pca = (pv_pca){0};
}

/* Coordinates of this rank's samples: [count][components], from zeros. */
static void apply(const pv_pca *pca, const pv_features *features, double *coordinates)
{
    const int components = pca->components;
    for (int64_t i = 0; i < features->count; i++)
        for (int k = 0; k < pca->width; k++) {
            const double x = features->x[i * pca->width + k] - pca->mean[k];
            for (int c = 0; c < components; c++)
                coordinates[i * components + c] += x * pca->directions[(int64_t)k * components + c];
        }
}

/* Writes what an embedding is drawn from: /coordinates [samples][components], /embedding [samples][width],
 * /explained [components]. */
static pv_status write_components(const pv_probe_job *job, const pv_features *test, const pv_pca *pca)
{
    const int components = pca->components;
    double *coordinates = pv_alloc(test->count * components, sizeof *coordinates);
    pv_status st = pv_agree(job->comm, coordinates ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK) {
        apply(pca, test, coordinates);
        const pv_column own[] = {pv_probe_column(test, "/coordinates", components, coordinates),
                                 pv_probe_column(test, "/embedding", test->width, test->x),
                                 {"/explained", H5T_NATIVE_DOUBLE, 0, components, 0,
                                  job->comm->rank == 0 ? components : 0, pca->explained}};
        st = pv_probe_write(job, "coordinates", test, own, sizeof own / sizeof *own);
    }
    free(coordinates);
    return st;
}

/* Its words on the command line. */
typedef struct words {
    int components;
} words;

static const pv_option options[] = {{PV_KEY(words, components), PV_BETWEEN(1, 65536), .initial = "2",
                                     .value = "C", .meaning = "how many, those that explain most"},
                                    {0}};

static pv_status judge(const pv_probe_job *job, const pv_probe_data *data)
{
    const words *w = job->options;
    pv_pca pca;
    pv_status st;
    PV_TRY(pv_pca_fit(job->comm, &data->train, w->components, &pca));
    json_t *explained = json_array();
    double sum = 0;
    for (int i = 0; i < pca.components; i++) {
        json_array_append_new(explained, json_real(pca.explained[i]));
        sum += pca.explained[i];
    }
    json_object_set_new(job->result, "explained", explained);
    pv_log_info("%d components explain %.1f %% of the variance", pca.components, 100 * sum);
    if (job->output) st = write_components(job, &data->test, &pca);
done:
    pv_pca_free(&pca);
    return st;
}

const pv_probe pv_probe_pca = {
    .plugin = {.name = "pca", .help = "principal components", PV_OWN(options, words)},
    .judge = judge,
};
