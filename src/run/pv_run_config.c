/* The sections of a run's config, in the order of its text, and where its values come from. */
#include "run/pv_run_config.h"
#include "base/pv_mem.h"
#include "store/pv_store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
    if (*out) (*out)->train.form.features = (*out)->model.features;
    return st;
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

pv_status pv_run_config_place(pv_run_config *config, const char *path)
{
    char *const copy = pv_strdup(path);
    if (!copy) return PV_ERR_NOMEM;
    free(config->store);
    config->store = copy;
    return PV_OK;
}

pv_status pv_config_of_file(const pv_comm *comm, const char *path, const pv_words *sets,
                            pv_run_config **config)
{
    char *text = NULL;
    pv_status st;
    *config = NULL;
    if (!path)
        return pv_agree(comm, pv_run_config_load("the defaults", "", sets->words, sets->count, config));
    PV_TRY(pv_agree(comm, comm->rank == 0 ? pv_config_read_text(path, &text) : PV_OK));
    PV_TRY(pv_share_text(comm, &text));
    PV_TRY(pv_agree(comm, pv_run_config_load(path, text, sets->words, sets->count, config)));
done:
    free(text);
    return st;
}

pv_status pv_config_kept(const char *path, const char *yaml_text, pv_run_config **config)
{
    const pv_status st = pv_run_config_load(path, yaml_text, NULL, 0, config);
    if (st != PV_ERR_CONFIG) return st;
    char *why = pv_strdup(pv_fail_message());
    if (!why) return PV_ERR_NOMEM;
    pv_fail(PV_ERR_DATA, "'%s': the config it keeps is damaged: %s", path, why);
    free(why);
    return PV_ERR_DATA;
}

/* An imported store has no recipe. */
static pv_status check_made_here(const pv_store *store)
{
    json_t *signal = json_loads(pv_store_text(store, PV_STORE_SIGNAL), 0, NULL);
    const char *source = json_string_value(json_object_get(signal, "source"));
    const bool imported = source && strcmp(source, "imported") == 0;
    json_decref(signal);
    if (!imported) return PV_OK;
    return pv_fail(PV_ERR_DATA, "the INRs of '%s' were imported: how to fit them is not known here",
                   pv_store_path(store));
}

/* Loads what the store keeps once more, with words that may not change its rows. */
static pv_status set_words(const pv_store *store, const pv_words *sets, pv_run_config **config)
{
    const char *path = pv_store_path(store);
    pv_run_config *kept = *config;
    char keys[1024] = "";
    int conflicts = 0;
    pv_status st;
    *config = NULL;
    PV_TRY(pv_run_config_load(path, pv_store_text(store, PV_STORE_CONFIG), sets->words, sets->count, config));
    PV_TRY(pv_run_config_conflicts(*config, kept, PV_FIXES_ROWS, keys, sizeof keys, &conflicts));
    if (conflicts > 0 || (*config)->fit.views != kept->fit.views)
        st = pv_fail(PV_ERR_CONFIG, "--set may not change what rows '%s' holds: %s", path,
                     conflicts > 0 ? keys : "fit.views; `polyview extend` adds views");
done:
    pv_run_config_free(kept);
    return st;
}

pv_status pv_config_of_store(const pv_comm *comm, const char *path, const pv_words *sets,
                             pv_run_config **config)
{
    pv_store *store = NULL;
    pv_status st;
    *config = NULL;
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_agree(comm, check_made_here(store)));
    PV_TRY(pv_agree(comm, pv_config_kept(path, pv_store_text(store, PV_STORE_CONFIG), config)));
    if (sets->count > 0) PV_TRY(pv_agree(comm, set_words(store, sets, config)));
    PV_TRY(pv_agree(comm, pv_run_config_place(*config, path)));
done:
    pv_store_close(store);
    if (st != PV_OK) {
        pv_run_config_free(*config);
        *config = NULL;
    }
    return st;
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
        "In paths, here and in the words of commands, a leading `~/`, `$NAME` and `${NAME}` stand for the\n"
        "home directory and for variables, `$$` for a dollar sign. Links are followed to what they name:\n"
        "that is opened, locked, replaced and named in messages; a store with several hard links is not\n"
        "written.\n\n"
        "The effective config, defaults filled in, is kept in every store and model. *Fixed by* says what a\n"
        "key determines: one marked `store` must be the same when a store is resumed, one marked `model`\n"
        "when a training run is resumed; the other keys may change from start to start.\n\n"
        "`polyview help config` prints these keys on a terminal. This page is generated from the program's\n"
        "own rows: `build/tests/unit/test_config --markdown > docs/config.md`.\n\n"
        "## Top level\n\n",
        out);
    pv_schema_describe_markdown(&pv_run_schema, out);
}
