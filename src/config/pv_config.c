#include "run/pv_run_config.h"

#include "base/pv_mem.h"
#include "pv_config_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The table as cyaml wants it: a mapping of sections, each a mapping of fields. */
typedef struct schema {
    cyaml_schema_field_t fields[PV_CONFIG_KEYS + PV_CONFIG_SECTIONS]; /* a terminator ends each section */
    cyaml_schema_field_t root[PV_CONFIG_KEYS + PV_CONFIG_SECTIONS + 1];
    cyaml_schema_field_t item_fields[PV_AUGMENT_KEYS + 1];
    cyaml_schema_value_t item, value;
} schema;

static void schema_init(schema *out)
{
    *out = (schema){0};
    int fields = 0, roots = 0, section = PV_CONFIG_ROOT;
    for (int i = 0; i < PV_CONFIG_PLAIN; i++) {
        const int owner = pv_key_section(&pv_config_keys[i]);
        if (owner == PV_CONFIG_ROOT) {
            out->root[roots++] = pv_config_keys[i].field;
            continue;
        }
        if (owner != section) {
            fields += section != PV_CONFIG_ROOT; /* leave a zeroed terminator */
            section = owner;
            /* At offset 0: the fields hold their offsets from the start of pv_run_config. */
            out->root[roots++] = (cyaml_schema_field_t){
                .key = pv_config_sections[owner].name,
                .value = {CYAML_VALUE_MAPPING(CYAML_FLAG_OPTIONAL, pv_run_config, &out->fields[fields])}};
        }
        out->fields[fields++] = pv_config_keys[i].field;
    }
    for (int k = 0; k < PV_AUGMENT_KEYS; k++)
        out->item_fields[k] = pv_config_keys[PV_CONFIG_PLAIN + k].field;
    out->item =
        (cyaml_schema_value_t){CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, pv_augment_opts, out->item_fields)};
    out->root[roots++] = (cyaml_schema_field_t)CYAML_FIELD_SEQUENCE_COUNT(
        "augment", CYAML_FLAG_POINTER, pv_run_config, augment.items, augment.count, &out->item, 0,
        PV_AUGMENT_MAX);
    out->value = (cyaml_schema_value_t){CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, pv_run_config, out->root)};
}

/* cyaml's allocator, so that what it allocates can be freed with free(). */
static void *allocate(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size > 0) return realloc(pointer, size);
    free(pointer);
    return NULL;
}

/* Loads YAML that holds every key once, with a valid value. */
static pv_status load_checked(const char *yaml, pv_run_config **out)
{
    const cyaml_config_t settings = {.mem_fn = allocate, .log_level = CYAML_LOG_ERROR};
    schema keys;
    cyaml_data_t *data = NULL;
    schema_init(&keys);
    const cyaml_err_t error =
        cyaml_load_data((const uint8_t *)yaml, strlen(yaml), &settings, &keys.value, &data, NULL);
    *out = data;
    if (error == CYAML_OK) return PV_OK;
    return pv_fail(error == CYAML_ERR_OOM ? PV_ERR_NOMEM : PV_ERR_INTERNAL,
                   "cannot load the merged config: %s", cyaml_strerror(error));
}

static pv_status merge_defaults(pv_config_texts *texts)
{
    pv_status st = PV_OK;
    char text[PV_CONFIG_TEXT_MAX];
    for (int i = 0; i < PV_CONFIG_PLAIN; i++) {
        snprintf(text, sizeof text, "%s=%s", pv_config_keys[i].name, pv_config_keys[i].initial);
        PV_TRY(pv_config_parse(NULL, text, texts));
    }
done:
    return st;
}

pv_status pv_run_config_load(const char *name, const char *yaml_text, const char *const *sets, int set_count,
                         pv_run_config **out)
{
    pv_status st = PV_OK;
    pv_config_texts texts = {0};
    char *yaml = NULL;
    *out = NULL;
    PV_TRY(merge_defaults(&texts));
    PV_TRY(pv_config_parse(name ? name : "config", yaml_text, &texts));
    for (int i = 0; i < set_count; i++)
        PV_TRY(pv_config_parse(NULL, sets[i], &texts));
    PV_TRY(pv_config_write(&texts, &yaml));
    st = load_checked(yaml, out);
done:
    free(yaml);
    pv_config_texts_free(&texts);
    return st;
}

pv_status pv_config_read_text(const char *path, char **text)
{
    enum { LIMIT = 1 << 20 };
    pv_status st = PV_OK;
    size_t length = 0;
    char *buffer = NULL;
    *text = NULL;
    FILE *file = fopen(path, "rb");
    if (!file) return pv_fail(PV_ERR_CONFIG, "cannot read the config '%s': %s", path, strerror(errno));
    PV_ALLOC(buffer, LIMIT + 1);
    length = fread(buffer, 1, LIMIT + 1, file);
    if (ferror(file))
        PV_TRY(pv_fail(PV_ERR_CONFIG, "cannot read the config '%s': %s", path, strerror(errno)));
    if (length > LIMIT)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "the config '%s' is longer than 1 MiB: is it a config?", path));
    if (memchr(buffer, '\0', length))
        PV_TRY(pv_fail(PV_ERR_CONFIG, "the config '%s' holds NUL bytes: is it a text file?", path));
    buffer[length] = '\0';
    *text = pv_strdup(buffer);
    if (!*text) st = PV_ERR_NOMEM;
done:
    free(buffer);
    fclose(file);
    return st;
}

void pv_run_config_free(pv_run_config *config)
{
    if (!config) return;
    for (int i = 0; i < PV_CONFIG_PLAIN; i++)
        if (pv_config_keys[i].field.value.flags & CYAML_FLAG_POINTER)
            free(*(void **)((char *)config + pv_config_keys[i].field.data_offset));
    free(config->augment.items);
    free(config);
}

/* The texts of all values. */
static pv_status take_texts(const pv_run_config *config, pv_config_texts *texts)
{
    pv_status st = PV_OK;
    for (int i = 0; i < PV_CONFIG_PLAIN; i++)
        PV_TRY(pv_key_text(&pv_config_keys[i], config, &texts->of[i]));
    for (int i = 0; i < (int)config->augment.count; i++) {
        texts->augment_count++;
        for (int k = 0; k < PV_AUGMENT_KEYS; k++)
            PV_TRY(pv_key_text(&pv_config_keys[PV_CONFIG_PLAIN + k], &config->augment.items[i],
                               &texts->augment[i][k]));
    }
done:
    return st;
}

pv_status pv_run_config_emit(const pv_run_config *config, char **yaml_text)
{
    pv_status st = PV_OK;
    pv_config_texts texts = {0};
    *yaml_text = NULL;
    PV_TRY(take_texts(config, &texts));
    st = pv_config_write(&texts, yaml_text);
done:
    pv_config_texts_free(&texts);
    return st;
}

/* Adds "fit.lr: 0.005 here, 0.0005 in the store" as a line, if there is room for all of it. */
static void add_line(char *text, size_t size, const char *name, const char *here, const char *there,
                     const char *where)
{
    const size_t used = strnlen(text, size);
    const int added = snprintf(text + used, size - used, "%s%s: %s here, %s in the %s", used ? "\n" : "",
                               name, here, there, where);
    if (added < 0 || (size_t)added >= size - used) text[used] = '\0';
}

static void add_conflict(const pv_config_key *key, const char *here, const char *there, char *text,
                         size_t size)
{
    const bool list = key->field.value.type == CYAML_SEQUENCE;
    const char *where = key->scopes & PV_KEYS_ROWS ? "store" : "checkpoint";
    char here_list[PV_CONFIG_TEXT_MAX], there_list[PV_CONFIG_TEXT_MAX];
    snprintf(here_list, sizeof here_list, "[%s]", here);
    snprintf(there_list, sizeof there_list, "[%s]", there);
    add_line(text, size, key->name, list ? here_list : here, list ? there_list : there, where);
}

/* The list `augment` as text: "[{kind: noise, p: 1.0, ...}]", with what differs from the defaults. */
static pv_status augment_text(const pv_run_config *config, char **text)
{
    pv_status st = PV_OK;
    pv_config_texts texts = {0};
    const size_t size = (size_t)config->augment.count * PV_CONFIG_TEXT_MAX + 3;
    PV_ALLOC(*text, size);
    PV_TRY(take_texts(config, &texts));
    size_t used = (size_t)snprintf(*text, size, "[");
    for (int i = 0; i < texts.augment_count; i++) {
        bool first = true;
        used += (size_t)snprintf(*text + used, size - used, i ? ", {" : "{");
        for (int k = 0; k < PV_AUGMENT_KEYS; k++) {
            const pv_config_key *key = &pv_config_keys[PV_CONFIG_PLAIN + k];
            if (strcmp(texts.augment[i][k], key->initial) == 0) continue;
            used += (size_t)snprintf(*text + used, size - used, "%s%s: %s", first ? "" : ", ", key->field.key,
                                     texts.augment[i][k]);
            first = false;
        }
        used += (size_t)snprintf(*text + used, size - used, "}");
    }
    snprintf(*text + used, size - used, "]");
done:
    pv_config_texts_free(&texts);
    return st;
}

pv_status pv_run_config_conflicts(const pv_run_config *now, const pv_run_config *stored, unsigned scope, char *text,
                              size_t size, int *count)
{
    pv_status st = PV_OK;
    char *here = NULL, *there = NULL;
    *count = 0;
    if (size > 0) text[0] = '\0';
    for (int i = 0; i < PV_CONFIG_PLAIN; i++) {
        if (!(pv_config_keys[i].scopes & scope)) continue;
        PV_TRY(pv_key_text(&pv_config_keys[i], now, &here));
        PV_TRY(pv_key_text(&pv_config_keys[i], stored, &there));
        if (strcmp(here, there) != 0) {
            ++*count;
            if (size > 0) add_conflict(&pv_config_keys[i], here, there, text, size);
        }
        free(here);
        free(there);
        here = there = NULL;
    }
    if (scope & PV_KEYS_MODEL) {
        PV_TRY(augment_text(now, &here));
        PV_TRY(augment_text(stored, &there));
        if (strcmp(here, there) != 0) {
            ++*count;
            if (size > 0) add_line(text, size, "augment", here, there, "checkpoint");
        }
    }
done:
    free(here);
    free(there);
    return st;
}
