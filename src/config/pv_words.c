/* The words of a command line: getopt_long finds them, the rows check and set them, and say what --help
 * prints. */
#include "config/pv_words.h"

#include "base/pv_mem.h"
#include "pv_rows.h"
#include "pv_value.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 128 }; /* options of a command, with those of all its plug-ins */
enum { LINE = 100, COLUMN = 28 };

static bool stands_alone(const pv_option *row)
{
    return isupper((unsigned char)row->name[0]) != 0;
}

/* Lists the options of rows and of the plug-ins that they can pick, each name once; returns how many. */
static int list_options(const pv_option *rows, const pv_option *list[MOST], int count)
{
    for (const pv_option *row = rows; row && row->name; row++) {
        bool twice = stands_alone(row);
        for (int i = 0; i < count && !twice; i++)
            twice = strcmp(list[i]->name, row->name) == 0;
        if (!twice && count < MOST) list[count++] = row;
    }
    for (const pv_option *row = rows; row && row->name; row++)
        for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin; plugin++)
            count = list_options((*plugin)->options, list, count);
    return count;
}

/* "labels-per-class" of labels_per_class. */
static char *option_name(const pv_option *row, char text[PV_SHOWN])
{
    char *at = text;
    snprintf(text, PV_SHOWN, "%s", row->name);
    while ((at = strchr(at, '_')))
        *at = '-';
    return text;
}

/* Adds what an option was given to the mapping: the last time counts, unless it can be given several
 * times. */
static pv_status give(const pv_layer *words, const pv_option *row, const char *value, pv_node *mapping)
{
    pv_node *node = pv_node_find(mapping, row->name);
    if (node && row->type != PV_OPTION_WORDS) {
        node->text = (char *)value;
        node->length = strlen(value);
        return PV_OK;
    }
    int count = 1;
    pv_node **link = node ? &node->first : &mapping->first;
    for (; *link; count++) /* of one given several times: a chain from the first */
        link = node ? &(*link)->first : &(*link)->next;
    if (node && count == PV_WORDS_MAX)
        return pv_fail(PV_ERR_USAGE, "more than %d --%s options", PV_WORDS_MAX, row->name);
    *link = pv_node_scalar(words, node ? NULL : row->name, value);
    if (*link) (*link)->plain = row->type != PV_OPTION_TEXT; /* "null" and "~" are texts */
    return *link ? PV_OK : PV_ERR_NOMEM;
}

/* `longs`: the options there are. */
static pv_status unknown_option(int argc, char **argv, int found, const struct option *longs)
{
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "", *nearest = NULL;
    int least = PV_FAR;
    if (found == ':')
        return pv_fail(PV_ERR_USAGE, "option '%s' needs a value; see `polyview %s --help`", word, argv[0]);
    for (; longs->name; longs++)
        pv_nearest(word + strspn(word, "-"), longs->name, &least, &nearest);
    if (nearest) return pv_fail(PV_ERR_USAGE, "unknown option '%s': did you mean '--%s'?", word, nearest);
    return pv_fail(PV_ERR_USAGE, "unknown option '%s'; see `polyview %s --help`", word, argv[0]);
}

/* The words that are no options go to the rows in capitals, in order. */
static pv_status give_lone_words(const pv_layer *words, int argc, char **argv, const pv_option *rows,
                                 pv_node *mapping)
{
    pv_status st = PV_OK;
    for (; rows->name && optind < argc && st == PV_OK; rows++)
        if (stands_alone(rows)) st = give(words, rows, argv[optind++], mapping);
    if (st == PV_OK && optind < argc)
        st = pv_fail(PV_ERR_USAGE, "unexpected word '%s'; see `polyview %s --help`", argv[optind], argv[0]);
    return st;
}

/* Fills the mapping with what argv gives. */
static pv_status read_words(const pv_layer *words, int argc, char **argv, const pv_option *rows,
                            pv_node *mapping)
{
    enum { FIRST = 256 };
    pv_status st = PV_OK;
    const pv_option *list[MOST];
    struct option longs[MOST + 1] = {0};
    char names[MOST][PV_SHOWN], shorts[2 * MOST + 2] = ":";
    const int count = list_options(rows, list, 0);
    for (int i = 0; i < count; i++) {
        const bool flag = list[i]->type == PV_OPTION_BOOL;
        longs[i] = (struct option){option_name(list[i], names[i]), flag ? no_argument : required_argument,
                                   NULL, FIRST + i};
        if (list[i]->name[1] == '\0')
            pv_append(shorts, sizeof shorts, "%s%s", list[i]->name, flag ? "" : ":");
    }
    opterr = 0;
    optind = 0;
    for (int found; (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        int chosen = found - FIRST;
        for (int i = 0; found < FIRST && i < count; i++)
            if (list[i]->name[0] == found && list[i]->name[1] == '\0') chosen = i;
        if (chosen < 0) PV_TRY(unknown_option(argc, argv, found, longs));
        PV_TRY(give(words, list[chosen], list[chosen]->type == PV_OPTION_BOOL ? "true" : optarg, mapping));
    }
    st = give_lone_words(words, argc, argv, rows, mapping);
done:
    return st;
}

pv_status pv_words_parse(int argc, char **argv, const pv_option *rows, void *options)
{
    const pv_layer words = {0};
    const pv_section sections[] = {{.name = "", .options = rows}, {0}};
    const pv_schema schema = {.sections = sections};
    pv_node *mapping = pv_alloc(1, sizeof *mapping);
    pv_status st = PV_OK;
    if (!mapping) return PV_ERR_NOMEM;
    *mapping = (pv_node){.kind = PV_NODE_MAPPING, .layer = &words};
    PV_TRY(read_words(&words, argc, argv, rows, mapping));
    PV_TRY(pv_rows_check(&schema, sections, mapping));
    PV_TRY(pv_rows_set(sections, rows, mapping, options));
    for (const pv_node *node = mapping->first; node; node = node->next)
        PV_TRY(pv_rows_check_taken(NULL, rows, options, node));
done:
    pv_node_free(mapping);
    return st;
}

/* "--split train|val|test", "-o FILE", "STORE" */
static void describe_option(const pv_option *row, char *text, size_t size)
{
    char name[PV_SHOWN], limits[PV_CONFIG_TEXT_MAX];
    const char *value = row->value;
    option_name(row, name);
    snprintf(text, size, "%s%s", stands_alone(row) ? "" : name[1] ? "--" : "-", name);
    if (stands_alone(row) || row->type == PV_OPTION_BOOL) return;
    pv_append(text, size, " ");
    if (!value && (row->type == PV_OPTION_CHOICE || row->type == PV_OPTION_PICK)) {
        pv_option_limits(row, limits, sizeof limits);
        for (const char *at = limits; *at; at++)
            if (*at != ' ') pv_append(text, size, "%c", *at == ',' ? '|' : *at);
        return;
    }
    if (!value)
        value = row->type == PV_OPTION_REAL   ? "X"
                : row->type == PV_OPTION_SPAN ? "A-B"
                : row->type == PV_OPTION_TEXT ? "WORD"
                                              : "N";
    pv_append(text, size, "%s%s", value, row->type == PV_OPTION_WORDS ? " ..." : "");
}

static void print_rows(FILE *out, const pv_option *rows)
{
    char text[PV_CONFIG_TEXT_MAX];
    for (const pv_option *row = rows; row && row->name; row++) {
        describe_option(row, text, sizeof text);
        if (strlen(text) > COLUMN - 3)
            fprintf(out, "  %s\n%*s%s", text, COLUMN, "", row->meaning);
        else
            fprintf(out, "  %-*s%s", COLUMN - 2, text, row->meaning);
        if (row->initial) fprintf(out, " (default %s)", row->initial);
        fputs("\n", out);
    }
    for (const pv_option *row = rows; row && row->name; row++)
        for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin; plugin++) {
            char name[PV_SHOWN];
            fprintf(out, "\n--%s %s: %s\n", option_name(row, name), (*plugin)->name, (*plugin)->help);
            print_rows(out, (*plugin)->options);
        }
}

void pv_words_help(FILE *out, const char *command, const char *about, const pv_option *rows)
{
    char text[PV_CONFIG_TEXT_MAX];
    int column = fprintf(out, "usage: polyview %s", command);
    const int indent = column;
    for (const pv_option *row = rows; row && row->name; row++) {
        describe_option(row, text, sizeof text);
        const int length = (int)strlen(text) + (row->required ? 1 : 3);
        if (column + length > LINE) column = fprintf(out, "\n%*s", indent, "") - 1;
        fprintf(out, row->required ? " %s" : " [%s]", text);
        column += length;
    }
    fprintf(out, "\n\n%s%s", about, rows && rows->name ? "\n" : "");
    print_rows(out, rows);
}
