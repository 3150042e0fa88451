/* Config text <-> one checked value a key.  YAML is read as events, so that a message can name its line. */
#include "pv_config_keys.h"

#include "base/pv_mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { SHOWN = 64, MESSAGE = 1536 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;                                                /* the current one */
    const char *text;                                                  /* what is parsed */
    const char *file;                                                  /* NULL: a --set */
    const char *set;                                                   /* "key.path=value", NULL: a file */
    size_t key_line[PV_CONFIG_KEYS], section_line[PV_CONFIG_SECTIONS]; /* where it was given; 0: not yet */
    pv_config_texts *texts;
} reader;

/* A copy of at most SHOWN bytes, fit for a message: whole UTF-8 characters, no control characters. */
static const char *shown(const char *bytes, size_t length, char copy[SHOWN + 4])
{
    size_t n = length < SHOWN ? length : SHOWN;
    while (n < length && n > 0 && ((unsigned char)bytes[n] & 0xC0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        copy[i] = (unsigned char)bytes[i] < ' ' || bytes[i] == 0x7F ? '?' : bytes[i];
    memcpy(copy + n, n < length ? "..." : "", n < length ? 4 : 1);
    return copy;
}

/* "config.yaml:7: fit.views: <message>", "--set fit.views=0: <message>".  line 0, key NULL: not known. */
static pv_status fail(const reader *in, size_t line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static pv_status fail(const reader *in, size_t line, const char *key, const char *format, ...)
{
    char message[MESSAGE], copy[SHOWN + 4], place[32] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (in->set) {
        const size_t name_length = strcspn(in->set, "=");
        if (key && strlen(key) == name_length && memcmp(key, in->set, name_length) == 0) key = NULL;
    }
    if (line > 0 && !in->set) snprintf(place, sizeof place, ":%zu", line);
    return pv_fail(PV_ERR_CONFIG, "%s%s%s: %s%s%s", in->set ? "--set " : in->file,
                   in->set ? shown(in->set, strlen(in->set), copy) : "", place, key ? key : "",
                   key ? ": " : "", message);
}

static size_t event_line(const reader *in)
{
    return in->event.start_mark.line + 1;
}

static pv_status syntax_error(const reader *in)
{
    const yaml_parser_t *parser = &in->parser;
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_MEMORY_ERROR)
        return pv_fail(PV_ERR_NOMEM, "out of memory while reading a config");
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && in->text[i]; i++)
            line += in->text[i] == '\n';
    }
    return fail(in, line, NULL, "not valid YAML: %s%s%s", parser->problem ? parser->problem : "unknown cause",
                parser->context ? " " : "", parser->context ? parser->context : "");
}

/* Moves to the next event; refuses what a config has no use for. */
static pv_status next(reader *in)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    yaml_event_delete(&in->event);
    if (!yaml_parser_parse(&in->parser, &in->event)) return syntax_error(in);
    switch (in->event.type) {
    case YAML_ALIAS_EVENT:
        anchor = in->event.data.alias.anchor;
        break;
    case YAML_SCALAR_EVENT:
        anchor = in->event.data.scalar.anchor;
        tag = in->event.data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = in->event.data.sequence_start.anchor;
        tag = in->event.data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = in->event.data.mapping_start.anchor;
        tag = in->event.data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor) return fail(in, event_line(in), NULL, "anchors (&) and aliases (*) are not used in a config");
    if (tag) return fail(in, event_line(in), NULL, "tags (!) are not used in a config");
    return PV_OK;
}

/* What stands at the current event, for messages; quotes tell that a number was written as a text. */
static const char *found(const reader *in, char text[SHOWN + 16])
{
    char copy[SHOWN + 4];
    const bool plain = in->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    switch (in->event.type) {
    case YAML_SCALAR_EVENT:
        if (plain && in->event.data.scalar.length == 0) return "nothing";
        snprintf(text, SHOWN + 16, plain ? "'%s'" : "the text \"%s\"",
                 shown((const char *)in->event.data.scalar.value, in->event.data.scalar.length, copy));
        return text;
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    default:
        return "nothing";
    }
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp((const char *)event->data.scalar.value, words[i]) == 0) return true;
    return false;
}

static pv_status wrong_value(const reader *in, const pv_config_key *key, const char *entry)
{
    char expected[PV_CONFIG_TEXT_MAX], text[SHOWN + 16];
    pv_key_expected(key, expected, sizeof expected);
    return fail(in, event_line(in), key->name, "must be %s, found %s%s", expected, found(in, text), entry);
}

/* Whether the current event is a scalar that the key (of a list: an entry) accepts. */
static bool accepted(const reader *in, const pv_config_key *key)
{
    return in->event.type == YAML_SCALAR_EVENT && !is_null(&in->event) &&
           pv_key_accepts(key, (const char *)in->event.data.scalar.value, in->event.data.scalar.length,
                          in->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

static pv_status read_list(reader *in, const pv_config_key *key, char **text)
{
    enum { ENTRY = 24 }; /* an accepted integer and ", " */
    pv_status st = PV_OK;
    const unsigned max = key->field.value.sequence.max;
    const size_t line = event_line(in);
    unsigned count = 0;
    size_t used = 0;
    char *list = NULL, expected[PV_CONFIG_TEXT_MAX];
    if (in->event.type != YAML_SEQUENCE_START_EVENT) return wrong_value(in, key, "");
    PV_ALLOC(list, (max + 1) * ENTRY);
    pv_key_expected(key, expected, sizeof expected);
    PV_TRY(next(in));
    for (; in->event.type != YAML_SEQUENCE_END_EVENT; count++) {
        if (!accepted(in, key)) PV_TRY(wrong_value(in, key, " as an entry"));
        if (count == max) PV_TRY(fail(in, line, key->name, "must be %s, found more entries", expected));
        used += (size_t)snprintf(list + used, ENTRY, "%s%s", count ? ", " : "",
                                 (const char *)in->event.data.scalar.value);
        PV_TRY(next(in));
    }
    if (count < key->field.value.sequence.min)
        PV_TRY(fail(in, line, key->name, "must be %s, found no entry", expected));
    *text = list;
    list = NULL;
done:
    free(list);
    return st;
}

/* Reads the value at the current event into *slot, and moves past it. */
static pv_status read_value(reader *in, const pv_config_key *key, char **slot)
{
    pv_status st = PV_OK;
    char *text = NULL;
    if (key->field.value.type == CYAML_SEQUENCE) {
        PV_TRY(read_list(in, key, &text));
    } else {
        if (!accepted(in, key)) return wrong_value(in, key, "");
        text = pv_strdup((const char *)in->event.data.scalar.value);
        if (!text) return PV_ERR_NOMEM;
    }
    free(*slot);
    *slot = text;
    st = next(in);
done:
    return st;
}

/* Names a key for messages: "fit.views", cut to what is shown of it. */
static const char *full_name(int section, const char *name, size_t length, char text[2 * SHOWN])
{
    char copy[SHOWN + 4];
    snprintf(text, 2 * SHOWN, "%s%s%s", section >= 0 ? pv_config_sections[section].name : "",
             section >= 0 ? "." : "", shown(name, length, copy));
    return text;
}

static pv_status unknown_key(const reader *in, int section, const char *name, size_t length)
{
    char full[2 * SHOWN], advice[PV_CONFIG_TEXT_MAX], copy[SHOWN + 4];
    pv_key_advice(section, shown(name, length, copy), advice, sizeof advice);
    return fail(in, event_line(in), full_name(section, name, length, full), "unknown key (%s)", advice);
}

/* Notes that a key or section is given here; refuses a second time. */
static pv_status give(const reader *in, size_t *first_line, const char *name)
{
    if (*first_line > 0)
        return fail(in, event_line(in), name, "given twice (first on line %zu)", *first_line);
    *first_line = event_line(in);
    return PV_OK;
}

/* Reads the keys of an item of `augment` into texts, from behind the start of its mapping up to its end. */
static pv_status read_item_keys(reader *in, char *texts[PV_AUGMENT_KEYS])
{
    pv_status st = PV_OK;
    size_t first_line[PV_AUGMENT_KEYS] = {0};
    char text[SHOWN + 16];
    while (in->event.type != YAML_MAPPING_END_EVENT) {
        if (in->event.type != YAML_SCALAR_EVENT)
            PV_TRY(fail(in, event_line(in), "augment", "a key must be a name, found %s", found(in, text)));
        const char *name = (const char *)in->event.data.scalar.value;
        const size_t length = in->event.data.scalar.length;
        const int key = pv_key_find(PV_CONFIG_AUGMENT, name, length), k = key - PV_CONFIG_PLAIN;
        if (key < 0) PV_TRY(unknown_key(in, PV_CONFIG_AUGMENT, name, length));
        PV_TRY(give(in, &first_line[k], pv_config_keys[key].name));
        PV_TRY(next(in));
        PV_TRY(read_value(in, &pv_config_keys[key], &texts[k]));
    }
done:
    return st;
}

/* Reads one item of `augment`, a mapping, and fills its defaults in. */
static pv_status read_item(reader *in)
{
    pv_status st = PV_OK;
    char text[SHOWN + 16], **texts = in->texts->augment[in->texts->augment_count];
    const size_t line = event_line(in);
    if (in->event.type != YAML_MAPPING_START_EVENT)
        return fail(in, line, "augment", "an entry must be a mapping such as {kind: noise}, found %s",
                    found(in, text));
    if (in->texts->augment_count == PV_AUGMENT_MAX)
        return fail(in, line, "augment", "more than %d entries", PV_AUGMENT_MAX);
    in->texts->augment_count++;
    PV_TRY(next(in));
    PV_TRY(read_item_keys(in, texts));
    for (int k = 0; k < PV_AUGMENT_KEYS; k++) {
        const pv_config_key *key = &pv_config_keys[PV_CONFIG_PLAIN + k];
        if (texts[k]) continue;
        if (key->initial[0] == '\0') PV_TRY(fail(in, line, key->name, "is missing"));
        texts[k] = pv_strdup(key->initial);
        if (!texts[k]) return PV_ERR_NOMEM;
    }
    st = next(in);
done:
    return st;
}

/* Reads the list `augment`, which replaces an earlier one, and moves past it. */
static pv_status read_augment(reader *in)
{
    pv_status st = PV_OK;
    char text[SHOWN + 16];
    pv_config_texts_clear_augment(in->texts);
    if (is_null(&in->event)) return next(in);
    if (in->event.type != YAML_SEQUENCE_START_EVENT)
        return fail(in, event_line(in), "augment", "must be a list such as [{kind: noise}], found %s",
                    found(in, text));
    PV_TRY(next(in));
    while (in->event.type != YAML_SEQUENCE_END_EVENT)
        PV_TRY(read_item(in));
    st = next(in);
done:
    return st;
}

/* Reads the mapping of a section, or of the top level, at the current event, and moves past it. */
static pv_status read_mapping(reader *in, int section)
{
    pv_status st = PV_OK;
    if (section == PV_CONFIG_AUGMENT) return read_augment(in);
    const char *where = section >= 0 ? pv_config_sections[section].name : NULL;
    char text[SHOWN + 16];
    if (is_null(&in->event)) return next(in);
    if (in->event.type != YAML_MAPPING_START_EVENT)
        return fail(in, event_line(in), where, "must be a mapping of keys to values, found %s",
                    found(in, text));
    PV_TRY(next(in));
    while (in->event.type != YAML_MAPPING_END_EVENT) {
        if (in->event.type != YAML_SCALAR_EVENT)
            PV_TRY(fail(in, event_line(in), where, "a key must be a name, found %s", found(in, text)));
        const char *name = (const char *)in->event.data.scalar.value;
        const size_t length = in->event.data.scalar.length;
        const int key = pv_key_find(section, name, length);
        const int inner = section == PV_CONFIG_ROOT ? pv_section_find(name, length) : -1;
        if (key >= 0) {
            PV_TRY(give(in, &in->key_line[key], pv_config_keys[key].name));
            PV_TRY(next(in));
            PV_TRY(read_value(in, &pv_config_keys[key], &in->texts->of[key]));
        } else if (inner >= 0) {
            PV_TRY(give(in, &in->section_line[inner], pv_config_sections[inner].name));
            PV_TRY(next(in));
            PV_TRY(read_mapping(in, inner)); /* sections hold no sections: at most this deep */
        } else {
            PV_TRY(unknown_key(in, section, name, length));
        }
    }
    st = next(in);
done:
    return st;
}

/* Finds what "fit.views" or "fit" of a --set names: *key, or else *section. */
static pv_status find_set(const reader *in, int *section, int *key)
{
    const size_t length = strcspn(in->set, "="), head = strcspn(in->set, ".=");
    *section = PV_CONFIG_ROOT;
    if (head < length) {
        *section = pv_section_find(in->set, head);
        if (*section < 0) return unknown_key(in, PV_CONFIG_ROOT, in->set, head);
        if (*section == PV_CONFIG_AUGMENT)
            return fail(in, 0, NULL, "augment is a list: give it whole, as [{kind: noise}]");
        *key = pv_key_find(*section, in->set + head + 1, length - head - 1);
        return *key >= 0 ? PV_OK : unknown_key(in, *section, in->set + head + 1, length - head - 1);
    }
    *key = pv_key_find(PV_CONFIG_ROOT, in->set, length);
    if (*key < 0) *section = pv_section_find(in->set, length);
    return *key >= 0 || *section >= 0 ? PV_OK : unknown_key(in, PV_CONFIG_ROOT, in->set, length);
}

/* libyaml compares each directive with all before it: refused unread, a hostile file would take minutes. */
static pv_status refuse_directives(const reader *in)
{
    size_t line = 1;
    for (const char *at = in->text; *at; at++) {
        if (*at == '%' && (at == in->text || at[-1] == '\n' || at[-1] == '\r'))
            return fail(in, line, NULL, "directives (%%) are not used in a config");
        line += *at == '\n';
    }
    return PV_OK;
}

static pv_status read_document(reader *in, int section, int key)
{
    pv_status st = PV_OK;
    PV_TRY(next(in)); /* the start of the stream */
    PV_TRY(next(in));
    if (in->event.type == YAML_STREAM_END_EVENT) { /* nothing but comments */
        if (key >= 0) st = wrong_value(in, &pv_config_keys[key], "");
        goto done;
    }
    PV_TRY(next(in));
    PV_TRY(key >= 0 ? read_value(in, &pv_config_keys[key], &in->texts->of[key]) : read_mapping(in, section));
    PV_TRY(next(in)); /* past the end of the document */
    if (in->event.type != YAML_STREAM_END_EVENT)
        st = fail(in, event_line(in), NULL, "holds more than one YAML document");
done:
    return st;
}

pv_status pv_config_parse(const char *file, const char *text, pv_config_texts *texts)
{
    pv_status st = PV_OK;
    reader in = {.file = file, .text = text, .set = file ? NULL : text, .texts = texts};
    int section = PV_CONFIG_ROOT, key = -1;
    if (!file) {
        in.text = strchr(text, '=');
        if (!in.text || in.text == text)
            return fail(&in, 0, NULL, "must be key.path=value, as in fit.views=10");
        in.text++;
        st = find_set(&in, &section, &key);
        if (st != PV_OK) return st;
    }
    st = refuse_directives(&in);
    if (st != PV_OK) return st;
    if (!yaml_parser_initialize(&in.parser))
        return pv_fail(PV_ERR_NOMEM, "out of memory while reading a config");
    yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in.parser, (const unsigned char *)in.text, strlen(in.text));
    st = read_document(&in, section, key);
    yaml_event_delete(&in.event);
    yaml_parser_delete(&in.parser);
    return st;
}
