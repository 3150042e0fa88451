/* The sections of a run's config, in the order of its text. */
#include "run/pv_run_config.h"

static const pv_option top_level[] = {{PV_KEY(pv_run_config, store), .initial = "store.h5",
                                       .meaning = "path of the store, the HDF5 file of all INRs"},
                                      {0}};

#define SECTION(member, rows) .name = #member, .options = (rows), .offset = offsetof(pv_run_config, member)

static const pv_section sections[] = {
    {.name = "", .options = top_level},
    {SECTION(storage, pv_storage_options),
     .meaning = "How the store lies on disk; a grown store may have other settings than it had."},
    {SECTION(signal, pv_signal_options),
     .meaning = "What is fitted: the objects of a data set, shared out over the train, val and test splits."},
    {SECTION(inr, pv_inr_options), .meaning = "What one INR (neural view) is: a SIREN."},
    {SECTION(fit, pv_fit_options), .meaning = "How the INRs of a store are fitted."},
    {SECTION(model, pv_model_options),
     .meaning = "The weight-space network that is trained on the INRs of a store."},
    {SECTION(train, pv_train_options), .meaning = "How the network is trained."},
    {.name = "augment",
     .options = pv_augment_options,
     .offset = offsetof(pv_run_config, augment.items),
     .count = offsetof(pv_run_config, augment.count),
     .item_size = sizeof(pv_augment_opts),
     .most = 16,
     .example = "{kind: noise}",
     .meaning = "What is done to the INRs of a training batch, in order: a list of mappings, `augment: "
                "[{kind: negation}, {kind: mixup_aligned, p: 0.5}]`. At most one of them is a MixUp."},
    {0}};

const pv_schema pv_run_schema = {.sections = sections, .size = sizeof(pv_run_config)};

pv_status pv_run_config_load(const char *name, const char *yaml_text, const char *const *sets, int set_count,
                             pv_run_config **out)
{
    void *config = NULL;
    const pv_status st = pv_schema_load(&pv_run_schema, name, yaml_text, sets, set_count, &config);
    *out = config;
    return st;
}

pv_status pv_run_config_set(pv_run_config *config, const char *key, const char *text)
{
    return pv_schema_set(&pv_run_schema, config, key, text);
}

void pv_run_config_free(pv_run_config *config)
{
    pv_schema_free(&pv_run_schema, config);
}

pv_status pv_run_config_emit(const pv_run_config *config, char **yaml_text)
{
    return pv_schema_emit(&pv_run_schema, config, yaml_text);
}

pv_status pv_run_config_conflicts(const pv_run_config *now, const pv_run_config *stored, unsigned scope,
                                  char *text, size_t size, int *count)
{
    return pv_schema_conflicts(&pv_run_schema, now, stored, scope, text, size, count);
}

void pv_run_config_describe(FILE *out)
{
    pv_schema_describe(&pv_run_schema, out);
}

void pv_run_config_describe_markdown(FILE *out)
{
    fputs(
        "# Configuration\n\n"
        "A config is a YAML file of the sections below; a key that is left out has its default. Later wins:\n"
        "the defaults, the file, every `--set key.path=value` of the command line in turn, so that\n"
        "`--set fit.views=10 --set 'inr.hidden=[64, 64]'` overrides the file. An unknown key, a key given\n"
        "twice, a wrong type or a value out of range ends the program with a message that names file, line\n"
        "and key. Anchors, aliases, tags, directives and several documents in a file are not used.\n\n"
        "The effective config, defaults filled in, is kept in every store and model. *Fixed by* says what a\n"
        "key determines: one marked `store` must be the same when a store is resumed, one marked `model`\n"
        "when a training run is resumed; the other keys may change from start to start.\n\n"
        "`polyview help config` prints these keys on a terminal. This page is generated from the program's\n"
        "own rows: `build/tests/unit/test_config --markdown > docs/config.md`.\n\n"
        "## Top level\n\n",
        out);
    pv_schema_describe_markdown(&pv_run_schema, out);
}
