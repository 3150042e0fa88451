/* The structs of a schema -> YAML text. */
#include "config/pv_schema.h"

#include "base/pv_mem.h"
#include "pv_value.h"

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

static pv_status begin_mapping(writer *out, yaml_mapping_style_t style, const char *key)
{
    yaml_event_t event;
    return emit(out, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style), &event, key);
}

static pv_status end_mapping(writer *out, const char *key)
{
    yaml_event_t event;
    return emit(out, yaml_mapping_end_event_initialize(&event), &event, key);
}

static pv_status begin_list(writer *out, yaml_sequence_style_t style, const char *key)
{
    yaml_event_t event;
    return emit(out, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style), &event, key);
}

static pv_status end_list(writer *out, const char *key)
{
    yaml_event_t event;
    return emit(out, yaml_sequence_end_event_initialize(&event), &event, key);
}

static pv_status emit_ints(writer *out, const pv_option *row, const void *options, const char *key)
{
    const unsigned count = *(const unsigned *)((const char *)options + row->count);
    char text[16];
    pv_status st;
    PV_TRY(begin_list(out, YAML_FLOW_SEQUENCE_STYLE, key));
    for (unsigned i = 0; i < count; i++) {
        const int length = snprintf(text, sizeof text, "%d", (*(int *const *)pv_member(row, options))[i]);
        PV_TRY(emit_scalar(out, text, (size_t)length, false, key));
    }
    st = end_list(out, key);
done:
    return st;
}

static pv_status emit_row(writer *out, const char *section, const pv_option *row, const void *options)
{
    pv_status st = PV_OK;
    char key[2 * PV_SHOWN], *text = NULL;
    snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", row->name);
    PV_TRY(emit_name(out, row->name));
    if (row->type == PV_OPTION_INTS) return emit_ints(out, row, options, key);
    PV_TRY(pv_option_text(row, options, &text));
    st = emit_scalar(out, text, strlen(text), row->type == PV_OPTION_TEXT, key);
done:
    free(text);
    return st;
}

/* Rows, then those of the plug-ins that they pick. */
static pv_status emit_rows(writer *out, const char *section, const pv_option *rows, const void *options)
{
    pv_status st = PV_OK;
    for (const pv_option *row = rows; row && row->name; row++)
        PV_TRY(emit_row(out, section, row, options));
    for (const pv_option *row = rows; row && row->name; row++)
        if (row->type == PV_OPTION_PICK) {
            const pv_pick *pick = pv_picked(row, options);
            PV_TRY(emit_rows(out, section, pick->plugin->options, pick->options));
        }
done:
    return st;
}

/* A list: one item a line. */
static pv_status emit_items(writer *out, const pv_section *section, const char *config)
{
    pv_status st = PV_OK;
    const unsigned count = *(const unsigned *)(config + section->count);
    const char *item = *(void *const *)(config + section->offset);
    PV_TRY(begin_list(out, count ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE, section->name));
    for (unsigned i = 0; i < count; i++, item += section->item_size) {
        PV_TRY(begin_mapping(out, YAML_FLOW_MAPPING_STYLE, section->name));
        PV_TRY(emit_rows(out, section->name, section->options, item));
        PV_TRY(end_mapping(out, section->name));
    }
    st = end_list(out, section->name);
done:
    return st;
}

static pv_status emit_section(writer *out, const pv_section *section, const char *config)
{
    pv_status st = PV_OK;
    if (section->name[0] == '\0') return emit_rows(out, "", section->options, config + section->offset);
    PV_TRY(emit_name(out, section->name));
    if (section->item_size > 0) return emit_items(out, section, config);
    PV_TRY(begin_mapping(out, YAML_BLOCK_MAPPING_STYLE, section->name));
    PV_TRY(emit_rows(out, section->name, section->options, config + section->offset));
    st = end_mapping(out, section->name);
done:
    return st;
}

static pv_status emit_document(writer *out, const pv_schema *schema, const void *config)
{
    pv_status st = PV_OK;
    yaml_event_t event;
    const char *what = "the config";
    PV_TRY(emit(out, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event, what));
    PV_TRY(emit(out, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event, what));
    PV_TRY(begin_mapping(out, YAML_BLOCK_MAPPING_STYLE, what));
    for (const pv_section *section = schema->sections; section->name; section++)
        PV_TRY(emit_section(out, section, config));
    PV_TRY(end_mapping(out, what));
    PV_TRY(emit(out, yaml_document_end_event_initialize(&event, 1), &event, what));
    st = emit(out, yaml_stream_end_event_initialize(&event), &event, what);
done:
    return st;
}

pv_status pv_schema_emit(const pv_schema *schema, const void *config, char **yaml_text)
{
    writer out = {0};
    *yaml_text = NULL;
    if (!yaml_emitter_initialize(&out.emitter))
        return pv_fail(PV_ERR_NOMEM, "out of memory while writing a config");
    yaml_emitter_set_output(&out.emitter, append, &out);
    yaml_emitter_set_unicode(&out.emitter, 1);
    yaml_emitter_set_width(&out.emitter, -1);
    const pv_status st = emit_document(&out, schema, config);
    yaml_emitter_delete(&out.emitter);
    if (st == PV_OK)
        *yaml_text = out.text;
    else
        free(out.text);
    return st;
}
