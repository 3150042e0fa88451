/* What the rows of the key table say about a value: look-up, checks, descriptions, text forms. */
#include "pv_config_keys.h"

#include "base/pv_mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void pv_config_texts_free(pv_config_texts *texts)
{
    for (int i = 0; i < PV_CONFIG_PLAIN; i++)
        free(texts->of[i]);
    pv_config_texts_clear_augment(texts);
    *texts = (pv_config_texts){0};
}

void pv_config_texts_clear_augment(pv_config_texts *texts)
{
    for (int i = 0; i < texts->augment_count; i++)
        for (int k = 0; k < PV_AUGMENT_KEYS; k++) {
            free(texts->augment[i][k]);
            texts->augment[i][k] = NULL;
        }
    texts->augment_count = 0;
}

static bool same(const char *name, const char *bytes, size_t length)
{
    return strlen(name) == length && memcmp(name, bytes, length) == 0;
}

int pv_section_find(const char *name, size_t length)
{
    for (int i = 0; i < PV_CONFIG_SECTIONS; i++)
        if (same(pv_config_sections[i].name, name, length)) return i;
    return -1;
}

int pv_key_section(const pv_config_key *key)
{
    const char *dot = strchr(key->name, '.');
    return dot ? pv_section_find(key->name, (size_t)(dot - key->name)) : PV_CONFIG_ROOT;
}

int pv_key_find(int section, const char *name, size_t length)
{
    for (int i = 0; i < PV_CONFIG_KEYS; i++)
        if (pv_key_section(&pv_config_keys[i]) == section && same(pv_config_keys[i].field.key, name, length))
            return i;
    return -1;
}

/* Appends to a text of `size` bytes, cutting what does not fit. */
static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

/* Levenshtein distance, for names of up to 31 bytes; 32 for longer ones. */
static int distance(const char *a, const char *b)
{
    enum { LONG = 32 };
    int row[LONG + 1];
    const int a_length = (int)strnlen(a, LONG), b_length = (int)strnlen(b, LONG);
    if (a_length == LONG || b_length == LONG) return LONG;
    for (int j = 0; j <= b_length; j++)
        row[j] = j;
    for (int i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            const int replaced = diagonal + (a[i - 1] != b[j - 1]);
            const int shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
        }
    }
    return row[b_length];
}

void pv_key_advice(int section, const char *name, char *text, size_t size)
{
    enum { CLOSE = 2 };
    const char *nearest = NULL;
    char all[PV_CONFIG_TEXT_MAX] = "";
    int least = CLOSE + 1;
    const int sections = section == PV_CONFIG_ROOT ? PV_CONFIG_SECTIONS : 0;
    for (int i = 0; i < PV_CONFIG_KEYS + sections; i++) {
        if (i < PV_CONFIG_KEYS && pv_key_section(&pv_config_keys[i]) != section) continue;
        const char *known =
            i < PV_CONFIG_KEYS ? pv_config_keys[i].field.key : pv_config_sections[i - PV_CONFIG_KEYS].name;
        const int far = distance(name, known);
        if (far < least && far < (int)strlen(known)) {
            least = far;
            nearest = known;
        }
        append(all, sizeof all, "%s%s", all[0] ? ", " : "", known);
    }
    /* A key that was not put into its section. */
    for (int i = 0; section == PV_CONFIG_ROOT && i < PV_CONFIG_KEYS && least > 0; i++)
        if (strcmp(name, pv_config_keys[i].field.key) == 0) {
            least = 0;
            nearest = pv_config_keys[i].name;
        }
    if (nearest)
        snprintf(text, size, "did you mean '%s'?", nearest);
    else
        snprintf(text, size, "the keys here are %s", all);
}

const char *pv_key_type(const pv_config_key *key)
{
    switch (key->field.value.type) {
    case CYAML_INT:
    case CYAML_UINT:
        return "integer";
    case CYAML_FLOAT:
        return "number";
    case CYAML_BOOL:
        return "boolean";
    case CYAML_ENUM:
        return "choice";
    case CYAML_SEQUENCE:
        return "list of integers";
    default:
        return "text";
    }
}

static void number_limits(const pv_config_key *key, char *text, size_t size)
{
    const pv_key_range *range = &key->range;
    if (key->field.value.type == CYAML_UINT)
        snprintf(text, size, "%.0f..%" PRIu64, range->low, UINT64_MAX);
    else if (key->field.value.type == CYAML_INT)
        snprintf(text, size, "%.0f..%.0f", range->low, range->high);
    else if (isfinite(range->low) && isfinite(range->high))
        snprintf(text, size, "%g %s x %s %g", range->low,
                 range->open_low ? "<" : "<=", range->open_high ? "<" : "<=", range->high);
    else if (isfinite(range->low))
        snprintf(text, size, "%s %g", range->open_low ? ">" : ">=", range->low);
    else
        snprintf(text, size, "finite");
}

void pv_key_limits(const pv_config_key *key, char *text, size_t size)
{
    const cyaml_schema_value_t *value = &key->field.value;
    text[0] = '\0';
    switch (value->type) {
    case CYAML_BOOL:
        snprintf(text, size, "true, false");
        break;
    case CYAML_ENUM:
        for (unsigned i = 0; i < value->enumeration.count; i++)
            append(text, size, "%s%s", i ? ", " : "", value->enumeration.strings[i].str);
        break;
    case CYAML_SEQUENCE:
        snprintf(text, size, "%u..%u entries of %.0f..%.0f", value->sequence.min, value->sequence.max,
                 key->range.low, key->range.high);
        break;
    case CYAML_STRING:
        snprintf(text, size, "%u..%u bytes", value->string.min, value->string.max);
        break;
    default:
        number_limits(key, text, size);
    }
}

void pv_key_expected(const pv_config_key *key, char *text, size_t size)
{
    char limits[PV_CONFIG_TEXT_MAX];
    const char *type = pv_key_type(key);
    pv_key_limits(key, limits, sizeof limits);
    switch (key->field.value.type) {
    case CYAML_BOOL:
        snprintf(text, size, "true or false");
        break;
    case CYAML_ENUM:
        snprintf(text, size, "%s%s", key->field.value.enumeration.count > 1 ? "one of " : "", limits);
        break;
    case CYAML_STRING:
        snprintf(text, size, "%s (%s)", type, limits);
        break;
    default:
        snprintf(text, size, "%s %s (%s)",
                 key->field.value.type == CYAML_INT || key->field.value.type == CYAML_UINT ? "an" : "a", type,
                 limits);
    }
}

static bool in_range(const pv_key_range *range, double value)
{
    return (range->open_low ? value > range->low : value >= range->low) &&
           (range->open_high ? value < range->high : value <= range->high);
}

/* Decimal integers without leading zeros: what YAML 1.1 (octal 010) and 1.2 read alike. */
static bool accepts_integer(const pv_config_key *key, const char *value)
{
    const bool is_signed = key->field.value.type != CYAML_UINT;
    const char *digits = value + (*value == '+' || (*value == '-' && is_signed));
    if (!isdigit((unsigned char)*digits) || (digits[0] == '0' && digits[1])) return false;
    if (digits[strspn(digits, "0123456789")]) return false;
    errno = 0;
    const double number = is_signed ? (double)strtoll(value, NULL, 10) : (double)strtoull(value, NULL, 10);
    return errno == 0 && in_range(&key->range, number);
}

/* 12, 1.5, .5, 5.0e-4: no hexadecimal, no infinity, no NaN. */
static bool accepts_real(const pv_config_key *key, const char *value)
{
    const char *at = value + (*value == '+' || *value == '-');
    const size_t whole = strspn(at, "0123456789");
    at += whole;
    const size_t fraction = *at == '.' ? strspn(at + 1, "0123456789") : 0;
    at += (*at == '.') + fraction;
    if (whole + fraction == 0) return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '+' || at[1] == '-');
        const size_t exponent = strspn(at, "0123456789");
        if (exponent == 0) return false;
        at += exponent;
    }
    const double number = strtod(value, NULL);
    return *at == '\0' && isfinite(number) && in_range(&key->range, number);
}

bool pv_key_accepts(const pv_config_key *key, const char *value, size_t length, bool plain)
{
    const cyaml_schema_value_t *schema = &key->field.value;
    if (strlen(value) != length) return false; /* a NUL inside */
    switch (schema->type) {
    case CYAML_ENUM:
        for (unsigned i = 0; i < schema->enumeration.count; i++)
            if (strcmp(value, schema->enumeration.strings[i].str) == 0) return true;
        return false;
    case CYAML_STRING:
        return length >= schema->string.min && length <= schema->string.max;
    case CYAML_BOOL:
        return plain && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0);
    case CYAML_FLOAT:
        return plain && accepts_real(key, value);
    default:
        return plain && accepts_integer(key, value);
    }
}

/* The shortest of the three that reads back the same; always with a point, which YAML 1.1 asks of a float. */
static void real_text(double value, char *text, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    if (strchr(text, '.') || !isfinite(value)) return;
    char exponent[32];
    snprintf(exponent, sizeof exponent, "%s", text + strcspn(text, "e"));
    text[strcspn(text, "e")] = '\0';
    append(text, size, ".0%s", exponent);
}

pv_status pv_key_text(const pv_config_key *key, const void *config, char **text)
{
    const cyaml_schema_value_t *schema = &key->field.value;
    const void *at = (const char *)config + key->field.data_offset;
    char buffer[PV_CONFIG_TEXT_MAX] = "";
    const char *value = buffer;
    *text = NULL;
    switch (schema->type) {
    case CYAML_STRING:
        value = *(char *const *)at ? *(char *const *)at : "";
        break;
    case CYAML_BOOL:
        value = *(const bool *)at ? "true" : "false";
        break;
    case CYAML_ENUM:
        value = NULL;
        for (unsigned i = 0; i < schema->enumeration.count; i++)
            if (schema->enumeration.strings[i].val == *(const int *)at)
                value = schema->enumeration.strings[i].str;
        if (!value) return pv_fail(PV_ERR_INTERNAL, "%s: %d is not a choice", key->name, *(const int *)at);
        break;
    case CYAML_FLOAT:
        real_text(*(const double *)at, buffer, sizeof buffer);
        break;
    case CYAML_UINT:
        snprintf(buffer, sizeof buffer, "%" PRIu64, *(const uint64_t *)at);
        break;
    case CYAML_SEQUENCE: {
        const void *count = (const char *)config + key->field.count_offset;
        for (unsigned i = 0; i < *(const unsigned *)count; i++)
            append(buffer, sizeof buffer, "%s%d", i ? ", " : "", (*(int *const *)at)[i]);
        break;
    }
    default:
        snprintf(buffer, sizeof buffer, "%" PRId64,
                 schema->data_size == sizeof(int) ? *(const int *)at : *(const int64_t *)at);
    }
    *text = pv_strdup(value);
    return *text ? PV_OK : PV_ERR_NOMEM;
}
