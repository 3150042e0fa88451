/* The key table for readers: on a terminal, and as docs/config.md. */
#include "pv_config_keys.h"

#include <stdio.h>

void pv_run_config_describe(FILE *out)
{
    int section = PV_CONFIG_ROOT;
    char limits[PV_CONFIG_TEXT_MAX];
    fputs(
        "Keys of a config file (YAML); any of them may be left out.  --set KEY=VALUE overrides the file.\n\n",
        out);
    for (int i = 0; i < PV_CONFIG_KEYS; i++) {
        const pv_config_key *key = &pv_config_keys[i];
        if (pv_key_section(key) != section) {
            section = pv_key_section(key);
            fprintf(out, "\n%s: %s\n\n", pv_config_sections[section].name,
                    pv_config_sections[section].meaning);
        }
        pv_key_limits(key, limits, sizeof limits);
        fprintf(out, "  %-24s %s: %s (default %s)\n  %-24s %s\n", key->name, pv_key_type(key), limits,
                key->initial, "", key->meaning);
    }
}

static void markdown_table_head(FILE *out)
{
    fputs("| key | type | range or choices | default | fixed by | meaning |\n|---|---|---|---|---|---|\n",
          out);
}

void pv_run_config_describe_markdown(FILE *out)
{
    int section = PV_CONFIG_ROOT;
    char limits[PV_CONFIG_TEXT_MAX];
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
        "own table: `build/tests/unit/test_config --markdown > docs/config.md`.\n\n"
        "## Top level\n\n",
        out);
    markdown_table_head(out);
    for (int i = 0; i < PV_CONFIG_KEYS; i++) {
        const pv_config_key *key = &pv_config_keys[i];
        if (pv_key_section(key) != section) {
            section = pv_key_section(key);
            fprintf(out, "\n## %s\n\n%s\n\n", pv_config_sections[section].name,
                    pv_config_sections[section].meaning);
            markdown_table_head(out);
        }
        pv_key_limits(key, limits, sizeof limits);
        fprintf(out, "| `%s` | %s | %s | `%s` | %s | %s |\n", key->name, pv_key_type(key), limits,
                key->initial,
                key->scopes & PV_KEYS_ROWS    ? "store"
                : key->scopes & PV_KEYS_MODEL ? "model"
                                              : "",
                key->meaning);
    }
}
