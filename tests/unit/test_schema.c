/* Rows that pick plug-ins: own keys, older names, lists of items, and the words of a command by the same
 * rows. */
#include "config/pv_plugin.h"
#include "config/pv_schema.h"
#include "config/pv_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct disc_opts {
    double radius;
} disc_opts;

typedef struct wave_opts {
    int samples;
} wave_opts;

typedef struct box_opts {
    double *limits;
    unsigned limit_count;
} box_opts;

static const pv_option disc_rows[] = {{PV_KEY(disc_opts, radius), .initial = "0.5", PV_BETWEEN(0, 1),
                                       .fixes = PV_FIXES_ROWS, .meaning = "size"},
                                      {0}};
static const pv_option wave_rows[] = {{PV_KEY(wave_opts, samples), .initial = "8", PV_BETWEEN(2, 99),
                                       .fixes = PV_FIXES_ROWS, .meaning = "of one"},
                                      {0}};

static const pv_option box_rows[] = {{PV_KEY(box_opts, limits), .count = offsetof(box_opts, limit_count),
                                      .most = 2, .initial = "[]", .may_be_empty = true,
                                      .fixes = PV_FIXES_ROWS, .meaning = "of a side"},
                                     {0}};

static const pv_plugin disc = {
    .name = "disc", .help = "a disc", .options = disc_rows, .options_size = sizeof(disc_opts)};
static const pv_plugin wave = {.name = "wave",
                               .alias = "sinusoid",
                               .help = "a wave",
                               .options = wave_rows,
                               .options_size = sizeof(wave_opts)};
static const pv_plugin empty = {.name = "empty", .help = "nothing"};
static const pv_plugin box = {.name = "box", .help = "a box", PV_OWN(box_rows, box_opts)};
static const pv_registry shapes = {"shape", (const pv_plugin *const[]){&disc, &wave, &empty, &box, NULL}};

typedef struct item {
    pv_pick kind;
    double p;
} item;

typedef struct config {
    char *path;
    pv_pick shape;
    int64_t count;
    item *items;
    unsigned item_count;
} config;

static const pv_option top[] = {{PV_KEY(config, path), .initial = "a.h5", .meaning = "where"}, {0}};
static const pv_option signal_rows[] = {{PV_KEY(config, shape), .registry = &shapes, .initial = "disc",
                                         .fixes = PV_FIXES_ROWS, .meaning = "what"},
                                        {PV_KEY(config, count), .initial = "3", .meaning = "how many"},
                                        {0}};
static const pv_option item_rows[] = {
    {PV_KEY(item, kind), .registry = &shapes, .required = true, .fixes = PV_FIXES_MODEL, .meaning = "which"},
    {PV_KEY(item, p), .initial = "1.0", .fixes = PV_FIXES_MODEL, .meaning = "p"},
    {0}};
static const pv_section sections[] = {{.name = "", .options = top},
                                      {.name = "signal", .options = signal_rows, .meaning = "m"},
                                      {.name = "list",
                                       .options = item_rows,
                                       .offset = offsetof(config, items),
                                       .count = offsetof(config, item_count),
                                       .item_size = sizeof(item),
                                       .most = 2,
                                       .example = "{kind: disc}",
                                       .meaning = "m"},
                                      {0}};
static const pv_schema schema = {.sections = sections, .size = sizeof(config)};

static config *loaded(const char *text, const char *set)
{
    void *out = NULL;
    const pv_status st = pv_schema_load(&schema, "c.yaml", text, &set, set ? 1 : 0, &out);
    if (st != PV_OK) print_error("%s\n", pv_fail_message());
    assert_int_equal(st, PV_OK);
    return out;
}

static void refused(const char *text, const char *message)
{
    void *out = NULL;
    assert_int_equal(pv_schema_load(&schema, "c.yaml", text, NULL, 0, &out), PV_ERR_CONFIG);
    assert_null(out);
    assert_string_equal(pv_fail_message(), message);
}

static void emits(const config *c, const char *expected)
{
    char *text = NULL;
    assert_int_equal(pv_schema_emit(&schema, c, &text), PV_OK);
    assert_string_equal(text, expected);
    free(text);
}

static void a_pick_brings_the_options_of_what_is_picked(void **state)
{
    (void)state;
    config *c = loaded("", NULL);
    assert_ptr_equal(c->shape.plugin, &disc);
    assert_true(((const disc_opts *)c->shape.options)->radius == 0.5);
    pv_schema_free(&schema, c);
    c = loaded("signal: {samples: 9, radius: 0.25, shape: wave}", NULL);
    assert_ptr_equal(c->shape.plugin, &wave);
    assert_int_equal(((const wave_opts *)c->shape.options)->samples, 9);
    emits(c, "path: \"a.h5\"\nsignal:\n  shape: wave\n  count: 3\n  samples: 9\nlist: []\n");
    pv_schema_free(&schema, c);
    c = loaded("signal: {shape: empty}", NULL);
    assert_null(c->shape.options);
    pv_schema_free(&schema, c);
}

static void a_later_layer_may_pick_what_an_earlier_one_set(void **state)
{
    (void)state;
    config *c = loaded("signal: {samples: 9}", "signal.shape=wave");
    assert_int_equal(((const wave_opts *)c->shape.options)->samples, 9);
    pv_schema_free(&schema, c);
}

static void an_older_name_is_read_and_the_newer_one_written(void **state)
{
    (void)state;
    char text[128];
    int count = -1;
    config *c = loaded("signal: {shape: sinusoid}", NULL), *same = loaded("signal: {shape: wave}", NULL);
    emits(c, "path: \"a.h5\"\nsignal:\n  shape: wave\n  count: 3\n  samples: 8\nlist: []\n");
    assert_int_equal(pv_schema_conflicts(&schema, c, same, PV_FIXES_ROWS, text, sizeof text, &count), PV_OK);
    assert_int_equal(count, 0);
    pv_schema_free(&schema, c);
    pv_schema_free(&schema, same);
}

static void wrong_keys_of_plugins_are_named(void **state)
{
    (void)state;
    refused("signal: {radius: 2}", "c.yaml:1: signal.radius: must be a number (0 <= x <= 1), found '2'");
    refused("signal: {sample: 2}", "c.yaml:1: signal.sample: unknown key (did you mean 'samples'?)");
    refused("samples: 2", "c.yaml:1: samples: unknown key (did you mean 'signal.samples'?)");
    refused("signal: {shape: cube}",
            "c.yaml:1: signal.shape: must be one of disc, wave, empty, box, found 'cube'");
    refused("list: [{p: 0}]", "c.yaml:1: list.kind: is missing");
    refused("list: [{kind: disc, samples: 9}]", "c.yaml:1: list: disc takes no samples");
    refused("list: [{kind: disc, samples: 1}]",
            "c.yaml:1: list.samples: must be an integer (2..99), found '1'");
}

static void an_item_may_hold_the_defaults_of_other_kinds(void **state)
{
    (void)state;
    config *c =
        loaded("list:\n- {samples: 8, radius: 0.75, kind: disc}\n- {kind: sinusoid, radius: 0.5}\n", NULL);
    assert_int_equal(c->item_count, 2);
    assert_true(((const disc_opts *)c->items[0].kind.options)->radius == 0.75 && c->items[0].p == 1);
    assert_ptr_equal(c->items[1].kind.plugin, &wave);
    pv_schema_free(&schema, c);
}

static void conflicts_are_of_what_both_pick(void **state)
{
    (void)state;
    char text[256];
    int count = -1;
    config *a = loaded("signal: {radius: 0.25, samples: 9}\nlist: [{kind: disc}]", NULL);
    config *b = loaded("list: [{kind: disc, p: 0.5}]", NULL), *c = loaded("signal: {shape: wave}", NULL);
    assert_int_equal(pv_schema_conflicts(&schema, a, b, PV_FIXES_ROWS, text, sizeof text, &count), PV_OK);
    assert_string_equal(text, "signal.radius: 0.25 here, 0.5 in the store");
    assert_int_equal(pv_schema_conflicts(&schema, a, c, PV_FIXES_ROWS, text, sizeof text, &count), PV_OK);
    assert_string_equal(text, "signal.shape: disc here, wave in the store");
    assert_int_equal(pv_schema_conflicts(&schema, a, b, PV_FIXES_MODEL, text, sizeof text, &count), PV_OK);
    assert_string_equal(text, "list: [{kind: disc}] here, [{kind: disc, p: 0.5}] in the checkpoint");
    pv_schema_free(&schema, a);
    pv_schema_free(&schema, b);
    pv_schema_free(&schema, c);
}

static void a_list_of_numbers_keeps_them_exactly(void **state)
{
    (void)state;
    char text[256];
    int count = -1;
    config *none = loaded("signal: {shape: box}", NULL);
    config *c = loaded("signal: {shape: box, limits: [-1, 0.1]}", NULL);
    const box_opts *own = c->shape.options;
    assert_int_equal(((const box_opts *)none->shape.options)->limit_count, 0);
    emits(none, "path: \"a.h5\"\nsignal:\n  shape: box\n  count: 3\n  limits: []\nlist: []\n");
    assert_true(own->limit_count == 2 && own->limits[0] == -1 && own->limits[1] == 0.1);
    emits(c, "path: \"a.h5\"\nsignal:\n  shape: box\n  count: 3\n  limits: [-1.0, 0.1]\nlist: []\n");
    assert_int_equal(pv_schema_conflicts(&schema, none, c, PV_FIXES_ROWS, text, sizeof text, &count), PV_OK);
    assert_string_equal(text, "signal.limits: [] here, [-1.0, 0.1] in the store");
    refused("signal: {limits: [1, 2, 3]}",
            "c.yaml:1: signal.limits: must be a list of numbers (0..2 entries), found more entries");
    refused("signal: {limits: [1, x]}",
            "c.yaml:1: signal.limits: must be a list of numbers (0..2 entries), found 'x' as an entry");
    refused("signal: {limits: 1}",
            "c.yaml:1: signal.limits: must be a list of numbers (0..2 entries), found '1'");
    pv_schema_free(&schema, none);
    pv_schema_free(&schema, c);
}

typedef struct words {
    char *store, *o;
    pv_pick method;
    bool no_verify;
    pv_span views;
    pv_words set;
} words;

static const pv_option word_rows[] = {
    {.name = "STORE", PV_MEMBER(words, store), .required = true, .meaning = "the store"},
    {PV_KEY(words, method), .registry = &shapes, .required = true, .meaning = "how"},
    {PV_KEY(words, o), .value = "FILE", .meaning = "the picture"},
    {PV_KEY(words, no_verify), .meaning = "faster"},
    {PV_KEY(words, views), .initial = "0", .meaning = "which"},
    {PV_KEY(words, set), .value = "key=value", .meaning = "overrides"},
    {0}};

static pv_status parsed(words *w, int argc, const char *const *argv)
{
    *w = (words){0};
    const pv_status st = pv_words_parse(argc, (char **)(uintptr_t)argv, word_rows, w);
    pv_options_free(word_rows, w);
    return st;
}

static void the_words_of_a_command_fill_its_struct(void **state)
{
    (void)state;
    const char *argv[] = {"draw", "s.h5",        "--method", "wave",        "--samples",
                          "9",    "-o",          "x.png",    "--no-verify", "--set",
                          "a=1",  "--views=2-4", "--set",    "b=2",         NULL};
    words w = {0};
    assert_int_equal(pv_words_parse(14, (char **)(uintptr_t)argv, word_rows, &w), PV_OK);
    assert_string_equal(w.store, "s.h5");
    assert_string_equal(w.o, "x.png");
    assert_ptr_equal(w.method.plugin, &wave);
    assert_int_equal(((const wave_opts *)w.method.options)->samples, 9);
    assert_true(w.no_verify && w.views.first == 2 && w.views.count == 3);
    assert_int_equal(w.set.count, 2);
    assert_string_equal(w.set.words[1], "b=2");
    pv_options_free(word_rows, &w);
}

static void wrong_words_are_usage_errors(void **state)
{
    (void)state;
    words w;
    assert_int_equal(parsed(&w, 3, (const char *[]){"draw", "--method", "disc", NULL}), PV_ERR_USAGE);
    assert_string_equal(pv_fail_message(), "STORE is missing");
    assert_int_equal(parsed(&w, 6, (const char *[]){"draw", "s", "--method", "disc", "--views", "4-2", NULL}),
                     PV_ERR_USAGE);
    assert_non_null(strstr(pv_fail_message(), "--views must be"));
    assert_int_equal(
        parsed(&w, 6,
               (const char *[]){"draw", "s", "--method", "disc", "--views", "0-9223372036854775807", NULL}),
        PV_ERR_USAGE);
    assert_int_equal(parsed(&w, 5, (const char *[]){"draw", "s", "--method", "disc", "--samples=9", NULL}),
                     PV_ERR_USAGE);
    assert_non_null(strstr(pv_fail_message(), "disc takes no samples"));
    assert_int_equal(parsed(&w, 3, (const char *[]){"draw", "s", "t", NULL}), PV_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pick_brings_the_options_of_what_is_picked),
        cmocka_unit_test(a_later_layer_may_pick_what_an_earlier_one_set),
        cmocka_unit_test(an_older_name_is_read_and_the_newer_one_written),
        cmocka_unit_test(wrong_keys_of_plugins_are_named),
        cmocka_unit_test(an_item_may_hold_the_defaults_of_other_kinds),
        cmocka_unit_test(conflicts_are_of_what_both_pick),
        cmocka_unit_test(a_list_of_numbers_keeps_them_exactly),
        cmocka_unit_test(the_words_of_a_command_fill_its_struct),
        cmocka_unit_test(wrong_words_are_usage_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
