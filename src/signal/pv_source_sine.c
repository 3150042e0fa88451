/* Waves a sin(b x) over [-pi, pi], what the published self-supervised task is about: made up as they are
 * asked for; a and b are an object's real targets. */
#include "base/pv_rng.h"
#include "signal/pv_source.h"

#include <math.h>

static const double HIGHEST = 10, PI = 3.14159265358979323846;
/* Objects of each pool. */
static const int64_t ENDLESS = INT64_C(1) << 40;

typedef struct sine_opts {
    int samples;
    uint64_t seed;
} sine_opts;

static const pv_option options[] = {
    {PV_KEY(sine_opts, samples), .initial = "256", PV_BETWEEN(2, 1048576), .fixes = PV_FIXES_ROWS,
     .meaning = "samples of a wave"},
    {PV_KEY(sine_opts, seed), .initial = "1", .fixes = PV_FIXES_ROWS, .meaning = "seed of a and b"},
    {0}};

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    const sine_opts *own = opts->source.options;
    (void)reader;
    *form = (pv_source_form){.pool = {ENDLESS, ENDLESS},
                             .inputs = 1,
                             .channels = 1,
                             .samples = own->samples,
                             .targets = 2,
                             .seed = own->seed};
    return PV_OK;
}

static void grid(const pv_source_form *form, float *x)
{
    const int64_t n = form->samples;
    for (int64_t i = 0; i < n; i++)
        x[i] = n > 1 ? (float)(PI * (double)(2 * i - (n - 1)) / (double)(n - 1)) : 0;
}

/* Random: PV_RNG_SIGNAL, (id, 0); a and b from U(0, 10), as published. */
static void targets(const pv_source_object *object, float *ab)
{
    pv_rng rng = pv_rng_open(object->form->seed, PV_RNG_SIGNAL, object->id, 0);
    for (int i = 0; i < object->form->targets; i++)
        ab[i] = (float)pv_rng_range(&rng, 0, HIGHEST);
}

static pv_status samples(const pv_source_object *object, float *coords, float *y)
{
    float ab[2] = {0};
    (void)coords; /* shared */
    targets(object, ab);
    grid(object->form, y);
    for (int64_t i = 0; i < object->form->samples; i++)
        y[i] = (float)((double)ab[0] * sin((double)ab[1] * (double)y[i]));
    return PV_OK;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    (void)opts, (void)form;
    return json_pack("{s:[s,s], s:s, s:s}", "targets", "a", "b", "function", "a sin(b x)", "coordinates",
                     "linspace(-pi, pi)");
}

const pv_source pv_source_sine = {
    .plugin = {.name = "sine",
               .help = "waves a sin(b x) over [-pi, pi] with a and b drawn from U(0, 10), which are the "
                       "objects' real targets; usual: 55000, 5000 and 10000",
               PV_OWN(options, sine_opts)},
    .pools = {"the source", "the source", "the source"},
    .usual = {[PV_SPLIT_TRAIN] = 55000, [PV_SPLIT_VAL] = 5000, [PV_SPLIT_TEST] = 10000},
    .survey = survey,
    .grid = grid,
    .samples = samples,
    .targets = targets,
    .describe = describe,
};
