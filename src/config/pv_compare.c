/* Two configs of a schema held against each other: which keys would change the results that are to be
 * resumed. */
#include "config/pv_schema.h"

#include "base/pv_mem.h"
#include "pv_value.h"

#include <stdlib.h>
#include <string.h>

/* What is found, a line for each key. */
typedef struct findings {
    unsigned scope;
    char *text;
    size_t size;
    int *count;
} findings;

/* Adds "fit.lr: 0.005 here, 0.0005 in the store" as a line, if there is room for all of it. */
static void add_line(const findings *f, const char *section, const char *name, const char *here,
                     const char *there, unsigned fixes)
{
    ++*f->count;
    if (f->size == 0) return;
    const size_t used = strnlen(f->text, f->size);
    const int added = snprintf(f->text + used, f->size - used, "%s%s%s%s: %s here, %s in the %s",
                               used ? "\n" : "", section, section[0] && name[0] ? "." : "", name, here, there,
                               fixes & PV_FIXES_ROWS ? "store" : "checkpoint");
    if (added < 0 || (size_t)added >= f->size - used) f->text[used] = '\0';
}

static pv_status compare_row(const findings *f, const char *section, const pv_option *row, const void *now,
                             const void *stored)
{
    pv_status st = PV_OK;
    char *here = NULL, *there = NULL;
    if (!(row->fixes & f->scope)) return PV_OK;
    PV_TRY(pv_option_text(row, now, &here));
    PV_TRY(pv_option_text(row, stored, &there));
    if (strcmp(here, there) != 0) add_line(f, section, row->name, here, there, row->fixes);
done:
    PV_FREE(here, there);
    return st;
}

/* Rows, and where both pick the same plug-in, its own. */
static pv_status compare_rows(const findings *f, const char *section, const pv_option *rows, const void *now,
                              const void *stored)
{
    pv_status st = PV_OK;
    for (const pv_option *row = rows; row && row->name; row++)
        PV_TRY(compare_row(f, section, row, now, stored));
    for (const pv_option *row = rows; row && row->name; row++) {
        if (row->type != PV_OPTION_PICK) continue;
        const pv_pick *here = pv_picked(row, now), *there = pv_picked(row, stored);
        if (here->plugin == there->plugin)
            PV_TRY(compare_rows(f, section, here->plugin->options, here->options, there->options));
    }
done:
    return st;
}

/* Writes "kind: noise, p: 0.5": of a struct's rows and of those that it picks, what fixes something and does
 * not hold its default.  `size` of the struct; `comma` is what goes before the next. */
static pv_status write_options(unsigned scope, const pv_option *rows, const void *options, size_t size,
                               FILE *out, const char **comma)
{
    char *text = NULL, *usual = NULL;
    void *initial = pv_alloc((int64_t)size, 1);
    pv_status st = initial ? pv_options_defaults(rows, initial) : PV_ERR_NOMEM;
    for (const pv_option *row = rows; st == PV_OK && row && row->name; row++) {
        if (!(row->fixes & scope)) continue;
        PV_TRY(pv_option_text(row, options, &text));
        if (!row->required) PV_TRY(pv_option_text(row, initial, &usual));
        if (row->required || strcmp(text, usual) != 0) {
            fprintf(out, "%s%s: %s", *comma, row->name, text);
            *comma = ", ";
        }
        PV_FREE(text, usual);
        text = usual = NULL;
    }
    for (const pv_option *row = rows; st == PV_OK && row && row->name; row++)
        if (row->type == PV_OPTION_PICK) {
            const pv_pick *pick = pv_picked(row, options);
            const pv_plugin *plugin = pick->plugin;
            st = write_options(scope, plugin->options, pick->options, plugin->options_size, out, comma);
        }
done:
    PV_FREE(text, usual);
    if (initial) pv_options_free(rows, initial);
    free(initial);
    return st;
}

/* A list as text: "[{kind: noise, p: 0.5}]", with what differs from the defaults.  Owner: free(). */
static pv_status items_text(const pv_section *section, unsigned scope, const char *config, char **text)
{
    pv_status st = PV_OK;
    size_t size = 0;
    const unsigned count = *(const unsigned *)(config + section->count);
    const char *item = *(void *const *)(config + section->offset);
    FILE *out = open_memstream(text, &size);
    if (!out) return pv_fail(PV_ERR_NOMEM, "out of memory while comparing configs");
    fputs("[", out);
    for (unsigned i = 0; i < count && st == PV_OK; i++, item += section->item_size) {
        const char *comma = "";
        fputs(i ? ", {" : "{", out);
        st = write_options(scope, section->options, item, section->item_size, out, &comma);
        fputs("}", out);
    }
    fputs("]", out);
    fclose(out);
    return st;
}

static pv_status compare_items(const findings *f, const pv_section *section, const void *now,
                               const void *stored)
{
    pv_status st = PV_OK;
    char *here = NULL, *there = NULL;
    if (!(section->options->fixes & f->scope)) return PV_OK;
    PV_TRY(items_text(section, f->scope, now, &here));
    PV_TRY(items_text(section, f->scope, stored, &there));
    if (strcmp(here, there) != 0) add_line(f, section->name, "", here, there, section->options->fixes);
done:
    PV_FREE(here, there);
    return st;
}

pv_status pv_schema_conflicts(const pv_schema *schema, const void *now, const void *stored, unsigned scope,
                              char *text, size_t size, int *count)
{
    const findings f = {.scope = scope, .text = text, .size = size, .count = count};
    pv_status st = PV_OK;
    *count = 0;
    if (size > 0) text[0] = '\0';
    for (const pv_section *s = schema->sections; s->name && st == PV_OK; s++)
        st = s->item_size > 0 ? compare_items(&f, s, now, stored)
                              : compare_rows(&f, s->name, s->options, (const char *)now + s->offset,
                                             (const char *)stored + s->offset);
    return st;
}
