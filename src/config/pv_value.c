/* Rows and values: what a row accepts, how it is described, and the way between text and a member of a
 * struct. */
#include "pv_value.h"

#include "base/pv_mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = PATH_MAX - 1 };

void pv_append(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

const pv_option *pv_row_find(const pv_option *rows, const pv_node *named)
{
    for (; rows && rows->name; rows++)
        if (pv_node_named(named, rows->name)) return rows;
    return NULL;
}

const pv_plugin *const *pv_plugins_of(const pv_option *row)
{
    static const pv_plugin *const none[] = {NULL};
    return row->registry ? row->registry->plugins : none;
}

const pv_plugin *pv_plugin_find(const pv_registry *registry, const char *name)
{
    for (const pv_plugin *const *plugin = registry->plugins; *plugin; plugin++)
        if (strcmp((*plugin)->name, name) == 0 || ((*plugin)->alias && strcmp((*plugin)->alias, name) == 0))
            return *plugin;
    return NULL;
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

void pv_nearest(const char *name, const char *known, int *least, const char **nearest)
{
    const int far = distance(name, known);
    if (far >= *least || far >= (int)strlen(known)) return;
    *least = far;
    *nearest = known;
}

const char *pv_option_type_name(const pv_option *row)
{
    static const char *const names[] = {
        [PV_OPTION_BOOL] = "boolean",  [PV_OPTION_INT] = "integer",
        [PV_OPTION_INT64] = "integer", [PV_OPTION_SEED] = "integer",
        [PV_OPTION_REAL] = "number",   [PV_OPTION_TEXT] = "text",
        [PV_OPTION_CHOICE] = "choice", [PV_OPTION_INTS] = "list of integers",
        [PV_OPTION_PICK] = "choice",   [PV_OPTION_SPAN] = "number or range",
        [PV_OPTION_WORDS] = "text",    [PV_OPTION_REALS] = "list of numbers",
    };
    if (row->type == PV_OPTION_REAL && row->choices) return "amount";
    return row->whole ? "whole number" : names[row->type];
}

/* Zeroed: any. */
static bool bounded(const pv_range *range)
{
    return range->low != 0 || range->high != 0;
}

static void number_limits(const pv_option *row, char *text, size_t size)
{
    const pv_range *range = &row->range;
    const bool any = !bounded(range);
    if (row->type == PV_OPTION_SEED)
        snprintf(text, size, "%.0f..%" PRIu64, range->low, UINT64_MAX);
    else if (any)
        snprintf(text, size, "%s", row->type == PV_OPTION_REAL ? "finite" : "any");
    else if (row->type != PV_OPTION_REAL && isfinite(range->high))
        snprintf(text, size, "%.0f..%.0f", range->low, range->high);
    else if (isfinite(range->high))
        snprintf(text, size, "%g %s x %s %g", range->low,
                 range->open_low ? "<" : "<=", range->open_high ? "<" : "<=", range->high);
    else
        snprintf(text, size, "%s %g", range->open_low ? ">" : ">=", range->low);
}

/* The i-th name of a row's choices or plug-ins; NULL: there are no more. */
static const char *choice_text(const pv_option *row, unsigned i)
{
    unsigned known = 0;
    if (row->type == PV_OPTION_PICK)
        return row->registry->plugins[i] ? row->registry->plugins[i]->name : NULL;
    while (known < i && row->choices[known])
        known++;
    return row->choices[known];
}

void pv_option_limits(const pv_option *row, char *text, size_t size)
{
    text[0] = '\0';
    switch (row->type) {
    case PV_OPTION_BOOL:
        snprintf(text, size, "true, false");
        break;
    case PV_OPTION_CHOICE:
    case PV_OPTION_PICK:
        for (unsigned i = 0; choice_text(row, i); i++)
            pv_append(text, size, "%s%s", i ? ", " : "", choice_text(row, i));
        break;
    case PV_OPTION_INTS:
    case PV_OPTION_REALS:
        snprintf(text, size, "%d..%d entries", !row->may_be_empty, row->most);
        if (bounded(&row->range)) pv_append(text, size, " of %.0f..%.0f", row->range.low, row->range.high);
        break;
    case PV_OPTION_TEXT:
        snprintf(text, size, "%d..%d bytes", row->may_be_empty ? 0 : 1, TEXT_MOST);
        break;
    case PV_OPTION_SPAN:
        snprintf(text, size, "3 or 0-9");
        break;
    case PV_OPTION_WORDS:
        break;
    case PV_OPTION_REAL:
        if (row->choices) {
            snprintf(text, size, "a whole number up to %g, a share below 1", row->range.high);
            for (unsigned i = 0; choice_text(row, i); i++)
                pv_append(text, size, ", %s", choice_text(row, i));
            break;
        }
        number_limits(row, text, size);
        break;
    default:
        number_limits(row, text, size);
    }
}

/* What a value must be: "an integer (1..256)". */
static void expected(const pv_option *row, char *text, size_t size)
{
    char limits[PV_CONFIG_TEXT_MAX];
    const char *type = pv_option_type_name(row);
    const char *article = row->type == PV_OPTION_TEXT ? "" : strchr("ai", type[0]) ? "an " : "a ";
    pv_option_limits(row, limits, sizeof limits);
    text[0] = '\0';
    if (row->type == PV_OPTION_BOOL)
        pv_append(text, size, "true or false");
    else if (row->type == PV_OPTION_CHOICE || row->type == PV_OPTION_PICK)
        pv_append(text, size, "%s%s", strchr(limits, ',') ? "one of " : "", limits);
    else
        pv_append(text, size, "%s%s (%s)", article, type, limits);
}

static bool in_range(const pv_option *row, double value)
{
    const pv_range *range = &row->range;
    if (row->negative_is_initial && value < 0) return true;
    if ((row->whole || (row->choices && value > 1)) && value != floor(value)) return false;
    if (!bounded(range)) return true;
    return (range->open_low ? value > range->low : value >= range->low) &&
           (range->open_high ? value < range->high : value <= range->high);
}

/* Decimal integers without leading zeros: what YAML 1.1 (octal 010) and 1.2 read alike. */
static bool accepts_integer(const pv_option *row, const char *value)
{
    const bool is_signed = row->type != PV_OPTION_SEED;
    const char *digits = value + (*value == '+' || (*value == '-' && is_signed));
    if (!isdigit((unsigned char)*digits) || (digits[0] == '0' && digits[1])) return false;
    if (digits[strspn(digits, "0123456789")]) return false;
    errno = 0;
    const double number = is_signed ? (double)strtoll(value, NULL, 10) : (double)strtoull(value, NULL, 10);
    if (row->type != PV_OPTION_INT64 && is_signed && (number < INT_MIN || number > INT_MAX)) return false;
    return errno == 0 && in_range(row, number);
}

static int choice_of(const pv_option *row, const char *name)
{
    for (int i = 0; row->choices[i]; i++)
        if (strcmp(row->choices[i], name) == 0) return i;
    return -1;
}

/* 12, 1.5, .5, 5.0e-4: no hexadecimal, no infinity, no NaN. */
static bool accepts_real(const pv_option *row, const char *value)
{
    char *end;
    const double number = strtod(value, &end);
    if (value[strspn(value, "+-.eE0123456789")] || end == value || *end) return false;
    if (row->choices && number == 1 && strpbrk(value, ".eE"))
        return false; /* one object, or the share of all? */
    return isfinite(number) && in_range(row, number);
}

/* "3", "0-9" */
static bool read_span(const char *text, pv_span *span)
{
    long long from, to;
    int used = 0;
    if (!isdigit((unsigned char)*text)) return false;
    if (sscanf(text, "%lld-%lld%n", &from, &to, &used) != 2) {
        used = 0;
        if (sscanf(text, "%lld%n", &from, &used) != 1) return false;
        to = from;
    }
    if (text[used] != '\0' || to < from || to == LLONG_MAX) return false;
    *span = (pv_span){from, to - from + 1};
    return true;
}

static bool is_list(const pv_option *row)
{
    return row->type == PV_OPTION_INTS || row->type == PV_OPTION_REALS;
}

/* Whether a scalar is a valid value (of a list: a valid entry). */
static bool accepts(const pv_option *row, const pv_node *node)
{
    pv_span span;
    if (row->type == PV_OPTION_WORDS) return true;
    if (node->kind != PV_NODE_SCALAR || pv_node_is_null(node)) return false;
    if (strlen(node->text) != node->length) return false; /* a NUL inside */
    switch (row->type) {
    case PV_OPTION_CHOICE:
        return choice_of(row, node->text) >= 0;
    case PV_OPTION_PICK:
        return pv_plugin_find(row->registry, node->text) != NULL;
    case PV_OPTION_TEXT:
        return node->length >= !row->may_be_empty && node->length <= TEXT_MOST;
    case PV_OPTION_BOOL:
        return node->plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0);
    case PV_OPTION_REAL:
    case PV_OPTION_REALS:
        return (row->choices && choice_of(row, node->text) >= 0) ||
               (node->plain && accepts_real(row, node->text));
    case PV_OPTION_SPAN:
        return read_span(node->text, &span);
    default:
        return node->plain && accepts_integer(row, node->text);
    }
}

pv_status pv_option_check(const pv_option *row, const char *name, const pv_node *node)
{
    char must[PV_CONFIG_TEXT_MAX], text[PV_FOUND_MAX];
    const bool list = is_list(row) && node->kind == PV_NODE_LIST;
    const pv_node *wrong = NULL;
    int count = 0;
    expected(row, must, sizeof must);
    for (const pv_node *entry = list ? node->first : NULL; entry && !wrong; entry = entry->next, count++)
        if (!accepts(row, entry)) wrong = entry;
    if (wrong)
        return pv_layer_fail(node->layer, wrong->line, name, "must be %s, found %s as an entry", must,
                             pv_node_found(wrong, text));
    if (list && (count < !row->may_be_empty || count > row->most))
        return pv_layer_fail(node->layer, node->line, name, "must be %s, found %s", must,
                             count ? "more entries" : "no entry");
    if (list || (!is_list(row) && accepts(row, node))) return PV_OK;
    return pv_layer_fail(node->layer, node->line, name, "must be %s, found %s", must,
                         pv_node_found(node, text));
}

/* Reads a row's default, which is text of our own. */
static pv_status set_initial(const pv_option *row, void *options)
{
    pv_status st = PV_OK;
    const pv_layer layer = {.file = "the defaults"};
    char text[PV_CONFIG_TEXT_MAX];
    pv_node *mapping = NULL;
    if (!row->initial && !row->required && row->type == PV_OPTION_PICK)
        return pv_fail(PV_ERR_INTERNAL, "%s has no default", row->name);
    if (!row->initial) return PV_OK;
    snprintf(text, sizeof text, "%s: %s", row->name, row->initial);
    PV_TRY(pv_yaml_read(&layer, text, &mapping));
    PV_TRY(pv_option_check(row, row->name, mapping->first));
    st = pv_option_set(row, mapping->first, options);
done:
    pv_node_free(mapping);
    return st;
}

static void free_member(const pv_option *row, void *options)
{
    void *member = pv_member(row, options);
    if (row->type == PV_OPTION_PICK) {
        pv_pick *pick = member;
        if (pick->options) pv_options_free(pick->plugin->options, pick->options);
        free(pick->options);
        *pick = (pv_pick){0};
    } else if (row->type == PV_OPTION_TEXT || is_list(row)) {
        free(*(void **)member);
        *(void **)member = NULL;
    }
}

void pv_options_free(const pv_option *rows, void *options)
{
    for (; rows && rows->name; rows++)
        free_member(rows, options);
}

pv_status pv_options_defaults(const pv_option *rows, void *options)
{
    pv_status st = PV_OK;
    for (; rows && rows->name && st == PV_OK; rows++)
        st = set_initial(rows, options);
    return st;
}

static pv_status set_list(const pv_option *row, const pv_node *node, void *options)
{
    const bool whole = row->type == PV_OPTION_INTS;
    void *list;
    unsigned count = 0;
    for (const pv_node *entry = node->first; entry; entry = entry->next)
        count++;
    if (!(list = pv_alloc(count, whole ? sizeof(int) : sizeof(double)))) return PV_ERR_NOMEM;
    *(unsigned *)((char *)options + row->count) = count;
    *(void **)pv_member(row, options) = list;
    count = 0;
    for (const pv_node *entry = node->first; entry; entry = entry->next, count++)
        if (whole)
            ((int *)list)[count] = (int)strtol(entry->text, NULL, 10);
        else
            ((double *)list)[count] = strtod(entry->text, NULL);
    return PV_OK;
}

static pv_status set_pick(const pv_option *row, const pv_node *node, void *options)
{
    pv_pick *pick = pv_member(row, options);
    pick->plugin = pv_plugin_find(row->registry, node->text);
    if (pick->plugin->options_size == 0) return PV_OK;
    pick->options = pv_alloc(1, pick->plugin->options_size);
    return pick->options ? pv_options_defaults(pick->plugin->options, pick->options) : PV_ERR_NOMEM;
}

pv_status pv_option_set(const pv_option *row, const pv_node *node, void *options)
{
    void *member = pv_member(row, options);
    const char *text = node->text;
    if (row->negative_is_initial && text[0] == '-' && row->initial[0] != '-')
        return set_initial(row, options);
    free_member(row, options);
    switch (row->type) {
    case PV_OPTION_BOOL:
        *(bool *)member = strcmp(text, "true") == 0;
        break;
    case PV_OPTION_INT:
        *(int *)member = (int)strtol(text, NULL, 10);
        break;
    case PV_OPTION_INT64:
        *(int64_t *)member = strtoll(text, NULL, 10);
        break;
    case PV_OPTION_SEED:
        *(uint64_t *)member = strtoull(text, NULL, 10);
        break;
    case PV_OPTION_REAL:
        *(double *)member =
            row->choices && choice_of(row, text) >= 0 ? -1 - choice_of(row, text) : strtod(text, NULL);
        break;
    case PV_OPTION_CHOICE:
        *(unsigned *)member = (unsigned)choice_of(row, text);
        break;
    case PV_OPTION_INTS:
    case PV_OPTION_REALS:
        return set_list(row, node, options);
    case PV_OPTION_PICK:
        return set_pick(row, node, options);
    case PV_OPTION_SPAN:
        read_span(text, member);
        break;
    case PV_OPTION_WORDS:
        for (pv_words *words = member; node; node = node->first)
            words->words[words->count++] = node->text;
        break;
    default:
        *(char **)member = pv_strdup(text);
        return *(char **)member ? PV_OK : PV_ERR_NOMEM;
    }
    return PV_OK;
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
    pv_append(text, size, ".0%s", exponent);
}

bool pv_option_entry(const pv_option *row, const void *options, unsigned i, char *text, size_t size)
{
    const void *list = *(void *const *)pv_member(row, options);
    if (!is_list(row) || i >= *(const unsigned *)((const char *)options + row->count)) return false;
    if (row->type == PV_OPTION_INTS)
        snprintf(text, size, "%d", ((const int *)list)[i]);
    else
        real_text(((const double *)list)[i], text, size);
    return true;
}

/* "[32, 32]" */
static void list_text(const pv_option *row, const void *options, char *text, size_t size)
{
    char entry[PV_FOUND_MAX];
    for (unsigned i = 0; pv_option_entry(row, options, i, entry, sizeof entry); i++)
        pv_append(text, size, "%s%s", i ? ", " : "[", entry);
    pv_append(text, size, text[0] ? "]" : "[]");
}

/* 55000, 0.1, all */
static void amount_text(const pv_option *row, double value, char *text, size_t size)
{
    if (value < 0)
        snprintf(text, size, "%s", choice_text(row, (unsigned)(-1 - value)));
    else if (value == floor(value))
        snprintf(text, size, "%.0f", value);
    else
        real_text(value, text, size);
}

pv_status pv_option_text(const pv_option *row, const void *options, char **text)
{
    const void *member = pv_member(row, options);
    char buffer[PV_CONFIG_TEXT_MAX] = "";
    const char *value = buffer;
    *text = NULL;
    switch (row->type) {
    case PV_OPTION_TEXT:
        value = *(char *const *)member ? *(char *const *)member : "";
        break;
    case PV_OPTION_BOOL:
        value = *(const bool *)member ? "true" : "false";
        break;
    case PV_OPTION_CHOICE:
        value = choice_text(row, *(const unsigned *)member);
        if (!value) return pv_fail(PV_ERR_INTERNAL, "%s: not a choice", row->name);
        break;
    case PV_OPTION_PICK:
        value = pv_picked(row, options)->plugin->name;
        break;
    case PV_OPTION_REAL:
        if (row->choices)
            amount_text(row, *(const double *)member, buffer, sizeof buffer);
        else
            real_text(*(const double *)member, buffer, sizeof buffer);
        break;
    case PV_OPTION_SEED:
        snprintf(buffer, sizeof buffer, "%" PRIu64, *(const uint64_t *)member);
        break;
    case PV_OPTION_INTS:
    case PV_OPTION_REALS:
        list_text(row, options, buffer, sizeof buffer);
        break;
    case PV_OPTION_INT:
        snprintf(buffer, sizeof buffer, "%d", *(const int *)member);
        break;
    default:
        snprintf(buffer, sizeof buffer, "%" PRId64, *(const int64_t *)member);
    }
    *text = pv_strdup(value);
    return *text ? PV_OK : PV_ERR_NOMEM;
}
