/* The structs of a schema -> YAML text. */
#include "config/pv_schema.h"

#include "pv_value.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* What emits, and its first failure, after which nothing more is emitted. */
typedef struct writer {
    yaml_emitter_t emitter;
    pv_status st;
} writer;

/* Takes the event. */
static void emit(writer *out, yaml_event_t event)
{
    if (out->st != PV_OK)
        yaml_event_delete(&event);
    else if (!yaml_emitter_emit(&out->emitter, &event))
        out->st = pv_fail(PV_ERR_NOMEM, "cannot write the config as YAML: %s",
                          out->emitter.problem ? out->emitter.problem : "out of memory");
}

static void emit_scalar(writer *out, const char *key, const char *text, bool quoted)
{
    yaml_event_t event;
    const yaml_scalar_style_t style = quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
    if (yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text),
                                     !quoted, quoted, style))
        emit(out, event);
    else
        out->st = pv_fail(PV_ERR_CONFIG, "%s: cannot be written as YAML: not UTF-8, or no memory", key);
}

static void begin_mapping(writer *out, yaml_mapping_style_t style)
{
    emit(out, (yaml_event_t){.type = YAML_MAPPING_START_EVENT,
                             .data.mapping_start = {.implicit = 1, .style = style}});
}

static void begin_list(writer *out, yaml_sequence_style_t style)
{
    emit(out, (yaml_event_t){.type = YAML_SEQUENCE_START_EVENT,
                             .data.sequence_start = {.implicit = 1, .style = style}});
}

static void end(writer *out, yaml_event_type_t type)
{
    emit(out, (yaml_event_t){.type = type});
}

static void emit_list(writer *out, const pv_option *row, const void *options)
{
    char text[PV_FOUND_MAX];
    begin_list(out, YAML_FLOW_SEQUENCE_STYLE);
    for (unsigned i = 0; pv_option_entry(row, options, i, text, sizeof text); i++)
        emit_scalar(out, row->name, text, false);
    end(out, YAML_SEQUENCE_END_EVENT);
}

static void emit_row(writer *out, const char *section, const pv_option *row, const void *options)
{
    char key[2 * PV_SHOWN], *text = NULL;
    snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", row->name);
    emit_scalar(out, key, row->name, false);
    if (row->type == PV_OPTION_INTS || row->type == PV_OPTION_REALS) {
        emit_list(out, row, options);
        return;
    }
    const pv_status st = pv_option_text(row, options, &text);
    if (st == PV_OK)
        emit_scalar(out, key, text, row->type == PV_OPTION_TEXT);
    else
        out->st = st;
    free(text);
}

/* Rows, then those of the plug-ins that they pick. */
static void emit_rows(writer *out, const char *section, const pv_option *rows, const void *options)
{
    for (const pv_option *row = rows; row && row->name; row++)
        emit_row(out, section, row, options);
    for (const pv_option *row = rows; row && row->name; row++)
        if (row->type == PV_OPTION_PICK) {
            const pv_pick *pick = pv_picked(row, options);
            emit_rows(out, section, pick->plugin->options, pick->options);
        }
}

/* A list: one item a line. */
static void emit_items(writer *out, const pv_section *section, const char *config)
{
    const unsigned count = *(const unsigned *)(config + section->count);
    const char *item = *(void *const *)(config + section->offset);
    begin_list(out, count ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
    for (unsigned i = 0; i < count; i++, item += section->item_size) {
        begin_mapping(out, YAML_FLOW_MAPPING_STYLE);
        emit_rows(out, section->name, section->options, item);
        end(out, YAML_MAPPING_END_EVENT);
    }
    end(out, YAML_SEQUENCE_END_EVENT);
}

static void emit_section(writer *out, const pv_section *section, const char *config)
{
    const bool top = section->name[0] == '\0';
    if (!top) emit_scalar(out, section->name, section->name, false);
    if (section->item_size > 0) {
        emit_items(out, section, config);
        return;
    }
    if (!top) begin_mapping(out, YAML_BLOCK_MAPPING_STYLE);
    emit_rows(out, section->name, section->options, config + section->offset);
    if (!top) end(out, YAML_MAPPING_END_EVENT);
}

pv_status pv_schema_emit(const pv_schema *schema, const void *config, char **yaml_text)
{
    writer out = {.st = PV_OK};
    size_t size = 0;
    *yaml_text = NULL;
    FILE *file = open_memstream(yaml_text, &size);
    if (!file || !yaml_emitter_initialize(&out.emitter)) {
        if (file) fclose(file);
        free(*yaml_text);
        *yaml_text = NULL;
        return pv_fail(PV_ERR_NOMEM, "out of memory while writing a config");
    }
    yaml_emitter_set_output_file(&out.emitter, file);
    yaml_emitter_set_unicode(&out.emitter, 1);
    yaml_emitter_set_width(&out.emitter, -1);
    emit(&out,
         (yaml_event_t){.type = YAML_STREAM_START_EVENT, .data.stream_start.encoding = YAML_UTF8_ENCODING});
    emit(&out, (yaml_event_t){.type = YAML_DOCUMENT_START_EVENT, .data.document_start.implicit = 1});
    begin_mapping(&out, YAML_BLOCK_MAPPING_STYLE);
    for (const pv_section *section = schema->sections; section->name; section++)
        emit_section(&out, section, config);
    end(&out, YAML_MAPPING_END_EVENT);
    emit(&out, (yaml_event_t){.type = YAML_DOCUMENT_END_EVENT, .data.document_end.implicit = 1});
    end(&out, YAML_STREAM_END_EVENT);
    yaml_emitter_delete(&out.emitter);
    if (fclose(file) != 0 && out.st == PV_OK)
        out.st = pv_fail(PV_ERR_NOMEM, "out of memory while writing a config");
    if (out.st != PV_OK) {
        free(*yaml_text);
        *yaml_text = NULL;
    }
    return out.st;
}
