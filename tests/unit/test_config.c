/* Configs: defaults, layers, errors by file, line and key, and text that reads back the same. */
#include "base/pv_mem.h"
#include "run/pv_run_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static pv_run_config *loaded(const char *text, const char *set)
{
    pv_run_config *config = NULL;
    const pv_status st = pv_run_config_load("config.yaml", text, &set, set ? 1 : 0, &config);
    if (st != PV_OK) print_error("%s\n", pv_fail_message());
    assert_int_equal(st, PV_OK);
    return config;
}

static char *emitted(const pv_run_config *config)
{
    char *text = NULL;
    assert_int_equal(pv_run_config_emit(config, &text), PV_OK);
    return text;
}

/* Loading `text` and `set` ends with exactly this message. */
static void refused(const char *text, const char *set, const char *message)
{
    pv_run_config *config = NULL;
    const pv_status st = pv_run_config_load("config.yaml", text, &set, set ? 1 : 0, &config);
    assert_string_equal(pv_fail_message(), message);
    assert_int_equal(st, PV_ERR_CONFIG);
    assert_null(config);
}

/* The same, of a message that quotes libyaml: its beginning. */
static void refused_as(const char *text, const char *beginning)
{
    pv_run_config *config = NULL;
    assert_int_equal(pv_run_config_load("config.yaml", text, NULL, 0, &config), PV_ERR_CONFIG);
    assert_null(config);
    char start[256];
    snprintf(start, sizeof start, "%.*s", (int)strlen(beginning), pv_fail_message());
    assert_string_equal(start, beginning);
}

/* That the key of a row, set to its own default, changes nothing of what the config is without it. */
static void has_its_default(const char *section, const pv_option *row, const char *defaults)
{
    char set[256], key[128];
    snprintf(key, sizeof key, "%s%s: ", section[0] ? "  " : "", row->name);
    snprintf(set, sizeof set, "%s%s%s=%s", section, section[0] ? "." : "", row->name, row->initial);
    pv_run_config *config = loaded("", set);
    char *text = emitted(config);
    assert_non_null(strstr(defaults, key));
    assert_string_equal(text, defaults);
    free(text);
    pv_run_config_free(config);
}

static void every_key_has_its_default(void **state)
{
    (void)state;
    pv_run_config *config = loaded("", NULL);
    char *defaults = emitted(config);
    for (const pv_section *section = pv_run_schema.sections; section->name; section++)
        for (const pv_option *row = section->options; section->item_size == 0 && row->name; row++)
            has_its_default(section->name, row, defaults);
    assert_non_null(strstr(defaults, "\naugment: []\n"));
    free(defaults);
    pv_run_config_free(config);
    pv_run_config_free(NULL);
}

static void the_defaults_reach_the_structs(void **state)
{
    (void)state;
    pv_run_config *config = loaded("", NULL);
    assert_string_equal(config->store, "store.h5");
    assert_string_equal(config->signal.path, "/usr/share/datasets/fashion-mnist");
    assert_true(config->signal.train == PV_USUAL && config->signal.val_first == -1);
    assert_true(config->inr.hidden_count == 2 && config->inr.hidden[0] == 32 && config->inr.hidden[1] == 32);
    assert_true(config->inr.variant == PV_INR_DWSNETS && config->inr.w0 == 30 && config->inr.offset == 0.5);
    assert_true(config->fit.lr == 5.0e-4 && config->fit.seed == 1);
    assert_true(config->fit.schedule == PV_SCHEDULE_CONSTANT && config->fit.target_psnr == 0);
    assert_true(config->fit.plateau_steps == 0 && config->fit.plateau_drop == 1.0e-3);
    assert_true(config->fit.batch == 0 && config->fit.restarts == 3);
    assert_true(config->model.kind.plugin == &pv_model_dws.plugin && config->model.batch_norm);
    assert_true(config->train.optimizer == PV_OPTIM_ADAMW && config->train.amsgrad);
    assert_true(config->train.form.normalise == PV_NORMALISE_ENTRY && config->train.lr == 1.0e-3);
    pv_run_config_free(config);
}

static void files_that_say_nothing_give_the_defaults(void **state)
{
    (void)state;
    pv_run_config *config = loaded("", NULL);
    char *defaults = emitted(config);
    pv_run_config_free(config);
    static const char *const texts[] = {
        "\n",
        "# a comment\n",
        "---\n",
        "---\n...\n",
        "~",
        "{}",
        "fit:\ntrain:\n",
        "fit: {}",
        "\xEF\xBB\xBF",
        "\xEF\xBB\xBF"
        "fit:\t\r\n  seed: 1\t\r\ntrain:\r\n", // a byte order mark and line ends of Windows
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        config = loaded(texts[i], NULL);
        char *text = emitted(config);
        assert_string_equal(text, defaults);
        free(text);
        pv_run_config_free(config);
    }
    free(defaults);
}

static void later_layers_win_over_earlier_ones(void **state)
{
    (void)state;
    const char *sets[] = {"fit.views=4", "inr.hidden=[64]", "fit.views=5", "fit={lr: 0.25, seed: 9}"};
    pv_run_config *config = NULL;
    assert_int_equal(pv_run_config_load("config.yaml",
                                        "fit:\n  views: 3\n  steps: 20\ninr:\n  hidden: [8, 8, 8]\n", sets, 4,
                                        &config),
                     PV_OK);
    assert_true(config->fit.views == 5 && config->fit.steps == 20);
    assert_true(config->fit.lr == 0.25 && config->fit.seed == 9);
    assert_true(config->inr.hidden_count == 1 && config->inr.hidden[0] == 64);
    assert_true(config->inr.w0 == 30);
    pv_run_config_free(config);
}

static void a_set_reaches(const char *set, const char *line)
{
    pv_run_config *config = loaded("", set);
    char *text = emitted(config);
    if (!strstr(text, line)) fail_msg("--set %s does not give '%s'", set, line);
    free(text);
    pv_run_config_free(config);
}

static void sets_of_every_type_reach_the_config(void **state)
{
    (void)state;
    a_set_reaches("store=runs/a b=c.h5", "store: \"runs/a b=c.h5\"\n");
    a_set_reaches("store='it''s \"it\".h5'", "store: \"it's \\\"it\\\".h5\"\n");
    a_set_reaches("train.output=123", "  output: \"123\"\n");
    a_set_reaches("signal.train=700000000000", "  train: 700000000000\n");
    a_set_reaches("signal.val_first=-1", "  val_first: -1\n");
    a_set_reaches("fit.seed=18446744073709551615", "  seed: 18446744073709551615\n");
    a_set_reaches("inr.hidden=[1, 2, 3, 4, 5, 6, 256]", "  hidden: [1, 2, 3, 4, 5, 6, 256]\n");
    a_set_reaches("inr.variant=standard", "  variant: standard\n");
    a_set_reaches("inr.offset=-1e-30", "  offset: -1.0e-30\n");
    a_set_reaches("fit.lr=1", "  lr: 1.0\n");
    a_set_reaches("fit.lr=.1e+2", "  lr: 10.0\n");
    a_set_reaches("fit.schedule=cosine", "  schedule: cosine\n");
    a_set_reaches("fit.target_psnr=30", "  target_psnr: 30.0\n");
    a_set_reaches("fit.batch=4096", "  batch: 4096\n");
    a_set_reaches("train.lr=0.30000000000000004", "  lr: 0.30000000000000004\n");
    a_set_reaches("model.kind=mlp", "  kind: mlp\n");
    a_set_reaches("model.reduction=sum", "  reduction: sum\n");
    a_set_reaches("model.diagonal=true", "  diagonal: true\n");
    a_set_reaches("train.optimizer=sgd", "  optimizer: sgd\n");
    a_set_reaches("train.normalise=none", "  normalise: none\n");
}

static void unknown_keys_are_named_with_file_and_line(void **state)
{
    (void)state;
    refused("# first\nfit:\n  vews: 3\n", NULL,
            "config.yaml:3: fit.vews: unknown key (did you mean 'views'?)");
    refused("fit:\n  dropout: 0.5\n", NULL,
            "config.yaml:2: fit.dropout: unknown key (the keys here are views, init, steps, lr, schedule, "
            "target_psnr, plateau_steps, plateau_drop, batch, restarts, precision, polish, seed)");
    refused("\nsignl: {}\n", NULL, "config.yaml:2: signl: unknown key (did you mean 'signal'?)");
    refused("w0: 3\n", NULL, "config.yaml:1: w0: unknown key (did you mean 'inr.w0'?)");
    refused("fit.views: 3\n", NULL,
            "config.yaml:1: fit.views: unknown key (the keys here are store, storage, signal, inr, fit, "
            "model, train, augment)");
    refused("fit: {\"views\\0\": 3}\n", NULL,
            "config.yaml:1: fit.views?: unknown key (did you mean 'views'?)");
    refused("<<: {fit: {views: 1}}\n", NULL,
            "config.yaml:1: <<: unknown key (the keys here are store, storage, signal, inr, fit, "
            "model, train, augment)");
}

static void wrong_types_are_named_with_file_line_and_key(void **state)
{
    (void)state;
    refused("fit:\n  views: ten\n", NULL,
            "config.yaml:2: fit.views: must be an integer (1..1000000), found 'ten'");
    refused("fit: {views: \"10\"}", NULL,
            "config.yaml:1: fit.views: must be an integer (1..1000000), found the text \"10\"");
    refused("fit: {views: 1.5}", NULL,
            "config.yaml:1: fit.views: must be an integer (1..1000000), found '1.5'");
    refused("fit: {views: 010}", NULL,
            "config.yaml:1: fit.views: must be an integer (1..1000000), found '010'");
    refused("fit: {views: 0x10}", NULL,
            "config.yaml:1: fit.views: must be an integer (1..1000000), found '0x10'");
    refused("fit: {views: [1]}", NULL,
            "config.yaml:1: fit.views: must be an integer (1..1000000), found a list");
    refused("fit:\n  views:\n", NULL,
            "config.yaml:2: fit.views: must be an integer (1..1000000), found nothing");
    refused("fit: {lr: 1e}", NULL, "config.yaml:1: fit.lr: must be a number (> 0), found '1e'");
    refused("fit: {lr: fast}", NULL, "config.yaml:1: fit.lr: must be a number (> 0), found 'fast'");
    refused("model: {skip: yes}", NULL, "config.yaml:1: model.skip: must be true or false, found 'yes'");
    refused("inr: {hidden: 32}", NULL,
            "config.yaml:1: inr.hidden: must be a list of integers (1..7 entries of 1..256), found '32'");
    refused("inr: {hidden: [32, {a: 1}]}", NULL,
            "config.yaml:1: inr.hidden: must be a list of integers (1..7 entries of 1..256), found a mapping "
            "as an "
            "entry");
    refused("store: {a: b}", NULL, "config.yaml:1: store: must be text (1..4095 bytes), found a mapping");
    refused("store: ~", NULL, "config.yaml:1: store: must be text (1..4095 bytes), found '~'");
    refused("store: \"a\\0b\"", NULL,
            "config.yaml:1: store: must be text (1..4095 bytes), found the text \"a?b\"");
    refused("fit: 3\n", NULL, "config.yaml:1: fit: must be a mapping of keys to values, found '3'");
}

static void values_out_of_range_are_named_with_file_line_and_key(void **state)
{
    (void)state;
    refused("fit:\n  lr: 1\n  views: 0\n", NULL,
            "config.yaml:3: fit.views: must be an integer (1..1000000), found '0'");
    refused("fit: {steps: 10000001}", NULL,
            "config.yaml:1: fit.steps: must be an integer (1..10000000), found '10000001'");
    refused("fit: {steps: 99999999999999999999}", NULL,
            "config.yaml:1: fit.steps: must be an integer (1..10000000), found '99999999999999999999'");
    refused("fit: {seed: -1}", NULL,
            "config.yaml:1: fit.seed: must be an integer (0..18446744073709551615), found '-1'");
    refused("fit: {seed: 18446744073709551616}", NULL,
            "config.yaml:1: fit.seed: must be an integer (0..18446744073709551615), found "
            "'18446744073709551616'");
    refused("fit: {lr: 0}", NULL, "config.yaml:1: fit.lr: must be a number (> 0), found '0'");
    refused("fit: {target_psnr: -1}", NULL,
            "config.yaml:1: fit.target_psnr: must be a number (>= 0), found '-1'");
    refused("fit: {plateau_drop: 1}", NULL,
            "config.yaml:1: fit.plateau_drop: must be a number (0 <= x < 1), found '1'");
    refused("fit: {batch: -1}", NULL,
            "config.yaml:1: fit.batch: must be an integer (0..1000000000), found '-1'");
    refused("fit: {schedule: linear}", NULL,
            "config.yaml:1: fit.schedule: must be one of constant, cosine, found 'linear'");
    refused("fit: {lr: .nan}", NULL, "config.yaml:1: fit.lr: must be a number (> 0), found '.nan'");
    refused("fit: {lr: 1e999}", NULL, "config.yaml:1: fit.lr: must be a number (> 0), found '1e999'");
    refused("inr: {offset: .inf}", NULL,
            "config.yaml:1: inr.offset: must be a number (finite), found '.inf'");
    refused("model: {dropout: 1.0}", NULL,
            "config.yaml:1: model.dropout: must be a number (0 <= x < 1), found '1.0'");
    refused("train:\n  optimizer: adamz\n", NULL,
            "config.yaml:2: train.optimizer: must be one of sgd, adam, adamw, found 'adamz'");
    refused("train:\n  reduce: 0\n", NULL,
            "config.yaml:2: train.reduce: must be one of fast, ordered, found '0'");
    refused("inr:\n  hidden: [32, 257]\n", NULL,
            "config.yaml:2: inr.hidden: must be a list of integers (1..7 entries of 1..256), found '257' as "
            "an entry");
    refused("inr: {hidden: []}", NULL,
            "config.yaml:1: inr.hidden: must be a list of integers (1..7 entries of 1..256), found no entry");
    refused(
        "inr: {hidden: [1, 1, 1, 1, 1, 1, 1, 1]}", NULL,
        "config.yaml:1: inr.hidden: must be a list of integers (1..7 entries of 1..256), found more entries");
    refused("store: ''", NULL, "config.yaml:1: store: must be text (1..4095 bytes), found the text \"\"");
}

static void a_wrong_set_is_named_by_itself(void **state)
{
    (void)state;
    refused("", "fit.views=0", "--set fit.views=0: must be an integer (1..1000000), found '0'");
    refused("", "fit.views=", "--set fit.views=: must be an integer (1..1000000), found nothing");
    refused("", "fit.vews=3", "--set fit.vews=3: unknown key (did you mean 'views'?)");
    refused("", "views=3", "--set views=3: unknown key (did you mean 'fit.views'?)");
    refused("", "ft.views=3", "--set ft.views=3: ft: unknown key (did you mean 'fit'?)");
    refused("", "fit={views: 0}",
            "--set fit={views: 0}: fit.views: must be an integer (1..1000000), found '0'");
    refused("", "fit.views", "--set fit.views: must be key.path=value, as in fit.views=10");
    refused("", "=3", "--set =3: must be key.path=value, as in fit.views=10");
    refused("", "train.optimizer=x", "--set train.optimizer=x: must be one of sgd, adam, adamw, found 'x'");
}

static void yaml_that_a_config_does_not_use_is_refused(void **state)
{
    (void)state;
    refused("fit: {views: 1}\ninr: {}\nfit: {lr: 1}\n", NULL,
            "config.yaml:3: fit: given twice (first on line 1)");
    refused("fit:\n  views: 1\n  views: 1\n", NULL,
            "config.yaml:3: fit.views: given twice (first on line 2)");
    refused("fit: &a {views: 1}\n", NULL,
            "config.yaml:1: anchors (&) and aliases (*) are not used in a config");
    refused("fit: *a\n", NULL, "config.yaml:1: anchors (&) and aliases (*) are not used in a config");
    refused("&a [*a]\n", NULL, "config.yaml:1: anchors (&) and aliases (*) are not used in a config");
    refused("fit: {views: !!int 3}\n", NULL, "config.yaml:1: tags (!) are not used in a config");
    refused("%TAG ! x\n--- {}\n", NULL, "config.yaml:1: directives (%) are not used in a config");
    refused("---\nfit: {}\n---\ninr: {}\n", NULL, "config.yaml:3: holds more than one YAML document");
    refused("- fit\n", NULL, "config.yaml:1: must be a mapping of keys to values, found a list");
    refused("hello\n", NULL, "config.yaml:1: must be a mapping of keys to values, found 'hello'");
    refused("? [a]\n: 3\n", NULL, "config.yaml:1: a key must be a name, found a list");
    refused_as("fit:\n\tviews: 1\n", "config.yaml:2: not valid YAML: ");
    refused_as("fit: {views: 1\n", "config.yaml:2: not valid YAML: ");
    refused_as("fit:\n  views: 1\n# \xFF\n", "config.yaml:3: not valid YAML: ");
}

static void deep_nesting_ends_in_an_error(void **state)
{
    (void)state;
    enum { DEEP = 1 << 19 };
    char *text = malloc(DEEP + 1);
    memset(text, '[', DEEP);
    text[DEEP] = '\0';
    refused(text, NULL, "config.yaml:1: must be a mapping of keys to values, found a list");
    memset(text, '{', DEEP);
    refused(text, NULL, "config.yaml:1: a key must be a name, found a mapping");
    memset(text, 'a', DEEP);
    memcpy(text, "store: ", 7);
    refused_as(text, "config.yaml:1: store: must be text (1..4095 bytes), found 'aaaa");
    free(text);
}

static void emitting_and_loading_again_changes_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "store: \"line\\nbreak \\x01 \\u263a \\U0001F600 \\u2028 'quotes' # no comment: \\\\\"\n",
        "fit: {lr: 1.2345678901234567e-5, steps: 7}\ninr: {hidden: [7], w0: 1e300, offset: -0.1}\n",
        "train: {weight_decay: 0, momentum: 0.1, seed: 18446744073709551615, output: 'true'}\n",
        "store: |\n  two\n  lines\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pv_run_config *config = loaded(texts[i], NULL);
        char *first = emitted(config);
        pv_run_config *again = loaded(first, NULL);
        char *second = emitted(again);
        assert_string_equal(first, second);
        assert_string_equal(config->store, again->store);
        assert_true(config->fit.lr == again->fit.lr && config->inr.w0 == again->inr.w0);
        free(first);
        free(second);
        pv_run_config_free(config);
        pv_run_config_free(again);
    }
}

static void a_replaced_string_is_emitted_and_checked(void **state)
{
    (void)state;
    char *text = NULL;
    pv_run_config *config = loaded("", NULL);
    free(config->store);
    config->store = pv_strdup("other.h5");
    text = emitted(config);
    assert_non_null(strstr(text, "store: \"other.h5\"\n"));
    free(text);
    free(config->store);
    config->store = pv_strdup("not \xFF UTF-8");
    assert_int_equal(pv_run_config_emit(config, &text), PV_ERR_CONFIG);
    assert_null(text);
    assert_string_equal(pv_fail_message(), "store: cannot be written as YAML: not UTF-8, or no memory");
    pv_run_config_free(config);
}

static void conflicts_name_the_keys_of_the_scope(void **state)
{
    (void)state;
    char text[512];
    int count = -1;
    pv_run_config *stored = loaded("", NULL);
    pv_run_config *now =
        loaded("store: b.h5\nsignal: {path: /data}\nfit: {lr: 0.005, views: 9}\n"
               "inr: {hidden: [64], variant: standard}\n"
               "train: {batch: 64, epochs: 3, output: c.h5, checkpoint_epochs: 2, amsgrad: false}\n",
               NULL);
    assert_int_equal(pv_run_config_conflicts(now, stored, PV_FIXES_ROWS, text, sizeof text, &count), PV_OK);
    assert_int_equal(count, 3);
    assert_string_equal(text, "inr.hidden: [64] here, [32, 32] in the store\n"
                              "inr.variant: standard here, dwsnets in the store\n"
                              "fit.lr: 0.005 here, 0.0005 in the store");
    assert_int_equal(pv_run_config_conflicts(now, stored, PV_FIXES_MODEL, text, sizeof text, &count), PV_OK);
    assert_int_equal(count, 2);
    assert_string_equal(text, "train.batch: 64 here, 256 in the checkpoint\n"
                              "train.amsgrad: false here, true in the checkpoint");
    assert_int_equal(pv_run_config_conflicts(now, stored, PV_FIXES_ROWS, text, 50, &count), PV_OK);
    assert_int_equal(count, 3);
    assert_string_equal(text, "inr.hidden: [64] here, [32, 32] in the store");
    assert_int_equal(
        pv_run_config_conflicts(now, now, PV_FIXES_ROWS | PV_FIXES_MODEL, text, sizeof text, &count), PV_OK);
    assert_int_equal(count, 0);
    assert_string_equal(text, "");
    pv_run_config_free(stored);
    pv_run_config_free(now);
}

static void the_shipped_configs_load(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(pv_config_read_text("configs/fmnist.yaml", &text), PV_OK);
    pv_run_config *config = loaded(text, NULL);
    assert_true(config->fit.views == 10 && config->signal.train == 55000);
    pv_run_config_free(config);
    free(text);
    assert_int_equal(pv_config_read_text("configs/quickstart.yaml", &text), PV_OK);
    config = loaded(text, NULL);
    assert_string_equal(config->store, "runs/quickstart/store.h5");
    pv_run_config_free(config);
    free(text);
}

static void files_that_are_no_config_are_refused(void **state)
{
    (void)state;
    char folder[] = "/tmp/polyview-config-XXXXXX", path[64], message[256], *text = NULL;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(pv_config_read_text(folder, &text), PV_ERR_CONFIG);
    snprintf(message, sizeof message, "cannot read the config '%s': Is a directory", folder);
    assert_string_equal(pv_fail_message(), message);
    snprintf(path, sizeof path, "%s/c.yaml", folder);
    assert_int_equal(pv_config_read_text(path, &text), PV_ERR_CONFIG);
    snprintf(message, sizeof message, "cannot read the config '%s': No such file or directory", path);
    assert_string_equal(pv_fail_message(), message);
    FILE *file = fopen(path, "wb");
    fwrite("fit: \0", 1, 6, file);
    fclose(file);
    assert_int_equal(pv_config_read_text(path, &text), PV_ERR_CONFIG);
    snprintf(message, sizeof message, "the config '%s' holds NUL bytes: is it a text file?", path);
    assert_string_equal(pv_fail_message(), message);
    assert_int_equal(truncate(path, (1 << 20) + 1), 0);
    assert_int_equal(pv_config_read_text(path, &text), PV_ERR_CONFIG);
    snprintf(message, sizeof message, "the config '%s' is longer than 1 MiB: is it a config?", path);
    assert_string_equal(pv_fail_message(), message);
    assert_null(text);
    unlink(path);
    rmdir(folder);
}

static void the_documented_keys_are_the_programs(void **state)
{
    (void)state;
    char *now = NULL, *documented = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&now, &size);
    pv_run_config_describe_markdown(memory);
    fclose(memory);
    assert_int_equal(pv_config_read_text("docs/config.md", &documented), PV_OK);
    assert_string_equal(documented, now); /* regenerate: test_config --markdown > docs/config.md */
    free(documented);
    free(now);
}

static void the_description_has_every_key_and_default(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    pv_run_config_describe(memory);
    fclose(memory);
    assert_non_null(strstr(text, "  fit.lr                   number: > 0 (default 5.0e-4)\n"));
    assert_non_null(strstr(
        text, "  inr.hidden               list of integers: 1..7 entries of 1..256 (default [32, 32])\n"));
    assert_non_null(
        strstr(text, "  train.seed               integer: 0..18446744073709551615 (default 1)\n"));
    free(text);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        pv_run_config_describe_markdown(stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_default),
        cmocka_unit_test(the_defaults_reach_the_structs),
        cmocka_unit_test(files_that_say_nothing_give_the_defaults),
        cmocka_unit_test(later_layers_win_over_earlier_ones),
        cmocka_unit_test(sets_of_every_type_reach_the_config),
        cmocka_unit_test(unknown_keys_are_named_with_file_and_line),
        cmocka_unit_test(wrong_types_are_named_with_file_line_and_key),
        cmocka_unit_test(values_out_of_range_are_named_with_file_line_and_key),
        cmocka_unit_test(a_wrong_set_is_named_by_itself),
        cmocka_unit_test(yaml_that_a_config_does_not_use_is_refused),
        cmocka_unit_test(deep_nesting_ends_in_an_error),
        cmocka_unit_test(emitting_and_loading_again_changes_nothing),
        cmocka_unit_test(a_replaced_string_is_emitted_and_checked),
        cmocka_unit_test(conflicts_name_the_keys_of_the_scope),
        cmocka_unit_test(the_shipped_configs_load),
        cmocka_unit_test(files_that_are_no_config_are_refused),
        cmocka_unit_test(the_documented_keys_are_the_programs),
        cmocka_unit_test(the_description_has_every_key_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
