#include "cmd/pv_config.h"

#include "base/pv_mem.h"
#include "cmd/pv_config_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The table as cyaml wants it: a mapping of sections, each a mapping of fields. */
typedef struct schema {
    cyaml_schema_field_t fields[PV_CONFIG_KEYS + PV_CONFIG_SECTIONS]; /* a terminator ends each section */
    cyaml_schema_field_t root[PV_CONFIG_KEYS + PV_CONFIG_SECTIONS + 1];
    cyaml_schema_value_t value;
} schema;

static void schema_init(schema *out)
{
    *out = (schema){0};
    int fields = 0, roots = 0, section = PV_CONFIG_ROOT;
    for (int i = 0; i < PV_CONFIG_KEYS; i++) {
        const int owner = pv_key_section(&pv_config_keys[i]);
        if (owner == PV_CONFIG_ROOT) {
            out->root[roots++] = pv_config_keys[i].field;
            continue;
        }
        if (owner != section) {
            fields += section != PV_CONFIG_ROOT; /* leave a zeroed terminator */
            section = owner;
            /* At offset 0: the fields hold their offsets from the start of pv_config. */
            out->root[roots++] = (cyaml_schema_field_t){
                .key = pv_config_sections[owner].name,
                .value = {CYAML_VALUE_MAPPING(CYAML_FLAG_OPTIONAL, pv_config, &out->fields[fields])}};
        }
        out->fields[fields++] = pv_config_keys[i].field;
    }
    out->value = (cyaml_schema_value_t){CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, pv_config, out->root)};
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
static pv_status load_checked(const char *yaml, pv_config **out)
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
    for (int i = 0; i < PV_CONFIG_KEYS; i++) {
        snprintf(text, sizeof text, "%s=%s", pv_config_keys[i].name, pv_config_keys[i].initial);
        PV_TRY(pv_config_parse(NULL, text, texts));
    }
done:
    return st;
}

pv_status pv_config_load(const char *name, const char *yaml_text, const char *const *sets, int set_count,
                         pv_config **out)
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

void pv_config_free(pv_config *config)
{
    if (!config) return;
    for (int i = 0; i < PV_CONFIG_KEYS; i++)
        if (pv_config_keys[i].field.value.flags & CYAML_FLAG_POINTER)
            free(*(void **)((char *)config + pv_config_keys[i].field.data_offset));
    free(config);
}

pv_status pv_config_emit(const pv_config *config, char **yaml_text)
{
    pv_status st = PV_OK;
    pv_config_texts texts = {0};
    *yaml_text = NULL;
    for (int i = 0; i < PV_CONFIG_KEYS; i++)
        PV_TRY(pv_key_text(&pv_config_keys[i], config, &texts.of[i]));
    st = pv_config_write(&texts, yaml_text);
done:
    pv_config_texts_free(&texts);
    return st;
}

/* Adds "fit.lr: 0.005 here, 0.0005 in the store" as a line, if there is room for all of it. */
static void add_conflict(const pv_config_key *key, const char *here, const char *there, char *text,
                         size_t size)
{
    const bool list = key->field.value.type == CYAML_SEQUENCE;
    const char *open = list ? "[" : "", *close = list ? "]" : "";
    const size_t used = strnlen(text, size);
    const int added =
        snprintf(text + used, size - used, "%s%s: %s%s%s here, %s%s%s in the %s", used ? "\n" : "", key->name,
                 open, here, close, open, there, close, key->scopes & PV_KEYS_ROWS ? "store" : "checkpoint");
    if (added < 0 || (size_t)added >= size - used) text[used] = '\0';
}

pv_status pv_config_conflicts(const pv_config *now, const pv_config *stored, unsigned scope, char *text,
                              size_t size, int *count)
{
    pv_status st = PV_OK;
    char *here = NULL, *there = NULL;
    *count = 0;
    if (size > 0) text[0] = '\0';
    for (int i = 0; i < PV_CONFIG_KEYS; i++) {
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
done:
    free(here);
    free(there);
    return st;
}
