/* The rows for readers: on a terminal, and as docs/config.md.  Below the rows of a section stand those of
 * each plug-in. */
#include "config/pv_schema.h"

#include "pv_value.h"

/* How a page looks. */
typedef struct style {
    FILE *out;
    const char *section, *plugin,
        *head; /* printf of (name, meaning); of (key, plug-in, its help); of a table */
    void (*row)(FILE *out, const char *key, const pv_option *row, const char *limits);
} style;

static void terminal_row(FILE *out, const char *key, const pv_option *row, const char *limits)
{
    fprintf(out, "  %-24s %s: %s (%s%s)\n  %-24s %s\n", key, pv_option_type_name(row), limits,
            row->initial ? "default " : "", row->initial ? row->initial : "required", "", row->meaning);
    for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin; plugin++)
        fprintf(out, "  %-24s %s: %s\n", "", (*plugin)->name, (*plugin)->help);
}

static void markdown_row(FILE *out, const char *key, const pv_option *row, const char *limits)
{
    const char *quote = row->initial ? "`" : "";
    fprintf(out, "| `%s` | %s | %s | %s%s%s | %s | %s", key, pv_option_type_name(row), limits, quote,
            row->initial ? row->initial : "required", quote,
            row->fixes & PV_FIXES_ROWS    ? "store"
            : row->fixes & PV_FIXES_MODEL ? "model"
                                          : "",
            row->meaning);
    for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin; plugin++)
        fprintf(out, "; *%s*: %s", (*plugin)->name, (*plugin)->help);
    fputs(" |\n", out);
}

static void describe_rows(const style *page, const char *section, const pv_option *rows)
{
    char limits[PV_CONFIG_TEXT_MAX], key[2 * PV_SHOWN];
    fputs(page->head, page->out);
    for (const pv_option *row = rows; row->name; row++) {
        snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", row->name);
        pv_option_limits(row, limits, sizeof limits);
        page->row(page->out, key, row, limits);
    }
    for (const pv_option *row = rows; row->name; row++)
        for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin; plugin++) {
            if (!(*plugin)->options) continue;
            snprintf(key, sizeof key, "%s.%s", section, row->name);
            fprintf(page->out, page->plugin, key, (*plugin)->name, (*plugin)->help);
            describe_rows(page, section, (*plugin)->options);
        }
}

static void describe(const style *page, const pv_schema *schema)
{
    for (const pv_section *s = schema->sections; s->name; s++) {
        if (s->name[0]) fprintf(page->out, page->section, s->name, s->meaning);
        describe_rows(page, s->name, s->options);
    }
}

void pv_schema_describe(const pv_schema *schema, FILE *out)
{
    fputs(
        "Keys of a config file (YAML); any of them may be left out.  --set KEY=VALUE overrides the file.\n\n",
        out);
    describe(&(style){out, "\n%s: %s\n\n", "\n %s: %s (%s)\n\n", "", terminal_row}, schema);
}

void pv_schema_describe_markdown(const pv_schema *schema, FILE *out)
{
    describe(
        &(style){
            out, "\n## %s\n\n%s\n\n", "\n`%s: %s` (%s) also has\n\n",
            "| key | type | range or choices | default | fixed by | meaning |\n|---|---|---|---|---|---|\n",
            markdown_row},
        schema);
}
