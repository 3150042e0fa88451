/* Values of all keys -> YAML text. */
#include "pv_config_keys.h"

#include "base/pv_mem.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Text that grows; always NUL-terminated once something was written. */
typedef struct writer {
    yaml_emitter_t emitter;
    char *text;
    size_t length, capacity;
} writer;

static int append(void *data, unsigned char *bytes, size_t size)
{
    writer *out = data;
    if (out->length + size + 1 > out->capacity) {
        const size_t capacity = 2 * (out->length + size + 1);
        char *text = realloc(out->text, capacity);
        if (!text) return 0;
        out->text = text;
        out->capacity = capacity;
    }
    memcpy(out->text + out->length, bytes, size);
    out->length += size;
    out->text[out->length] = '\0';
    return 1;
}

/* Emits an event that was initialised (`ready`); the emitter owns it from then on. */
static pv_status emit(writer *out, int ready, yaml_event_t *event, const char *key)
{
    if (!ready) return pv_fail(PV_ERR_CONFIG, "%s: cannot be written as YAML: not UTF-8, or no memory", key);
    if (!yaml_emitter_emit(&out->emitter, event))
        return pv_fail(PV_ERR_NOMEM, "cannot write the config as YAML: %s",
                       out->emitter.problem ? out->emitter.problem : "out of memory");
    return PV_OK;
}

static pv_status emit_scalar(writer *out, const char *text, size_t length, bool quoted, const char *key)
{
    yaml_event_t event;
    const int ready = yaml_scalar_event_initialize(
        &event, NULL, NULL, (const yaml_char_t *)text, (int)length, !quoted, quoted,
        quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);
    return emit(out, ready, &event, key);
}

static pv_status emit_name(writer *out, const char *name)
{
    return emit_scalar(out, name, strlen(name), false, name);
}

static pv_status emit_value(writer *out, const pv_config_key *key, const char *text)
{
    pv_status st = PV_OK;
    yaml_event_t event;
    if (key->field.value.type != CYAML_SEQUENCE)
        return emit_scalar(out, text, strlen(text), key->field.value.type == CYAML_STRING, key->name);
    PV_TRY(emit(out, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_SEQUENCE_STYLE),
                &event, key->name));
    for (const char *entry = text; *entry;) {
        const size_t length = strcspn(entry, ",");
        PV_TRY(emit_scalar(out, entry, length, false, key->name));
        entry += length + (entry[length] == ',' ? 2 : 0);
    }
    st = emit(out, yaml_sequence_end_event_initialize(&event), &event, key->name);
done:
    return st;
}

/* The list `augment`: one item a line. */
static pv_status emit_augment(writer *out, const pv_config_texts *texts)
{
    pv_status st = PV_OK;
    yaml_event_t event;
    const char *what = pv_config_sections[PV_CONFIG_AUGMENT].name;
    const yaml_sequence_style_t style =
        texts->augment_count > 0 ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    PV_TRY(emit_name(out, what));
    PV_TRY(emit(out, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style), &event, what));
    for (int i = 0; i < texts->augment_count; i++) {
        PV_TRY(emit(out, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_MAPPING_STYLE),
                    &event, what));
        for (int k = 0; k < PV_AUGMENT_KEYS; k++) {
            const pv_config_key *key = &pv_config_keys[PV_CONFIG_PLAIN + k];
            PV_TRY(emit_name(out, key->field.key));
            PV_TRY(emit_value(out, key, texts->augment[i][k]));
        }
        PV_TRY(emit(out, yaml_mapping_end_event_initialize(&event), &event, what));
    }
    st = emit(out, yaml_sequence_end_event_initialize(&event), &event, what);
done:
    return st;
}

static pv_status emit_keys(writer *out, const pv_config_texts *texts)
{
    pv_status st = PV_OK;
    yaml_event_t event;
    int section = PV_CONFIG_ROOT;
    for (int i = 0; i < PV_CONFIG_PLAIN; i++) {
        const pv_config_key *key = &pv_config_keys[i];
        if (pv_key_section(key) != section) {
            if (section != PV_CONFIG_ROOT)
                PV_TRY(emit(out, yaml_mapping_end_event_initialize(&event), &event, key->name));
            section = pv_key_section(key);
            PV_TRY(emit_name(out, pv_config_sections[section].name));
            PV_TRY(emit(out,
                        yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE),
                        &event, key->name));
        }
        PV_TRY(emit_name(out, key->field.key));
        PV_TRY(emit_value(out, key, texts->of[i]));
    }
    PV_TRY(emit(out, yaml_mapping_end_event_initialize(&event), &event, "the last section"));
    st = emit_augment(out, texts);
done:
    return st;
}

static pv_status emit_document(writer *out, const pv_config_texts *texts)
{
    pv_status st = PV_OK;
    yaml_event_t event;
    const char *what = "the config";
    PV_TRY(emit(out, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event, what));
    PV_TRY(emit(out, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event, what));
    PV_TRY(emit(out, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE),
                &event, what));
    PV_TRY(emit_keys(out, texts));
    PV_TRY(emit(out, yaml_mapping_end_event_initialize(&event), &event, what));
    PV_TRY(emit(out, yaml_document_end_event_initialize(&event, 1), &event, what));
    st = emit(out, yaml_stream_end_event_initialize(&event), &event, what);
done:
    return st;
}

pv_status pv_config_write(const pv_config_texts *texts, char **yaml)
{
    writer out = {0};
    *yaml = NULL;
    if (!yaml_emitter_initialize(&out.emitter))
        return pv_fail(PV_ERR_NOMEM, "out of memory while writing a config");
    yaml_emitter_set_output(&out.emitter, append, &out);
    yaml_emitter_set_unicode(&out.emitter, 1);
    yaml_emitter_set_width(&out.emitter, -1);
    const pv_status st = emit_document(&out, texts);
    yaml_emitter_delete(&out.emitter);
    if (st == PV_OK)
        *yaml = out.text;
    else
        free(out.text);
    return st;
}
