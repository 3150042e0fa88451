/* The transformer over rows in double precision: gradients by finite differences. */
#include "pv_model_subject.h"
#include "pv_test_arch.h"
#include "nn/pv_model_kinds.h"

enum { BATCH = 2, LAYERS = 3 };

static const int dims[] = {2, 4, 3, 2};

static void gradients_are_slopes(void **state)
{
    (void)state;
    static const struct {
        double dropout;
        int heads, width;
    } cases[] = {{0, 1, 6}, {0, 3, 6}, {0.3, 2, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        subject s;
        const pv_model_opts opts = {.kind.plugin = &pv_model_tokens.plugin,
                                    .hidden = cases[i].width,
                                    .layers = 2,
                                    .heads = cases[i].heads,
                                    .dropout = cases[i].dropout};
        subject_open(&s, &opts, dims, LAYERS, BATCH, 0.1);
        subject_check_slopes(&s, 1);
    }
}

static void heads_must_divide_the_width(void **state)
{
    (void)state;
    pv_model *model = NULL;
    const pv_model_opts opts = {.kind.plugin = &pv_model_tokens.plugin, .hidden = 6, .layers = 1, .heads = 4};
    assert_int_equal(pv_model_new(&opts, pv_test_arch(dims, LAYERS), SUBJECT_CLASSES, BATCH, &model),
                     PV_ERR_CONFIG);
    assert_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(heads_must_divide_the_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
