/* Reads the words of a command. */
#include "run/pv_command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 16 };

const pv_command *pv_command_find(const pv_command *const *table, const char *name)
{
    for (; *table; table++)
        if (strcmp((*table)->name, name) == 0) return *table;
    return NULL;
}

static pv_status take_option(const pv_cmd_option *option, const char *value)
{
    if (option->text) {
        *option->text = value;
    } else if (option->flag) {
        *option->flag = true;
    } else {
        if (option->sets->count == PV_MAX_SETS)
            return pv_fail(PV_ERR_USAGE, "more than %d --%s options", PV_MAX_SETS, option->name);
        option->sets->words[option->sets->count++] = value;
    }
    return PV_OK;
}

static pv_status unknown_option(int argc, char **argv, int found)
{
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    if (found == ':')
        return pv_fail(PV_ERR_USAGE, "option '%s' needs a value; see `polyview %s --help`", word, argv[0]);
    return pv_fail(PV_ERR_USAGE, "unknown option '%s'; see `polyview %s --help`", word, argv[0]);
}

pv_status pv_cmd_parse(int argc, char **argv, const pv_cmd_option *options, int option_count,
                       const char **positional, int positional_max)
{
    struct option longs[MAX_OPTIONS + 1] = {0};
    char shorts[2 * MAX_OPTIONS + 2] = ":", *next = shorts + 1;
    for (int i = 0; i < option_count; i++) {
        longs[i] = (struct option){options[i].name, options[i].flag ? no_argument : required_argument, NULL,
                                   256 + i};
        if (options[i].name[1] == '\0') {
            *next++ = options[i].name[0];
            if (!options[i].flag) *next++ = ':';
        }
    }
    opterr = 0;
    optind = 0;
    int found, words = 0;
    while ((found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        int chosen = found - 256;
        for (int i = 0; found < 256 && i < option_count; i++)
            if (options[i].name[0] == found && options[i].name[1] == '\0') chosen = i;
        if (chosen < 0) return unknown_option(argc, argv, found);
        const pv_status st = take_option(&options[chosen], optarg);
        if (st != PV_OK) return st;
    }
    for (; optind < argc; optind++) {
        if (words == positional_max)
            return pv_fail(PV_ERR_USAGE, "unexpected word '%s'; see `polyview %s --help`", argv[optind],
                           argv[0]);
        positional[words++] = argv[optind];
    }
    return PV_OK;
}

pv_status pv_cmd_number(const char *option, const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *value < 0)
        return pv_fail(PV_ERR_USAGE, "%s needs a number from 0 up, not '%s'", option, text);
    return PV_OK;
}

pv_status pv_cmd_real(const char *option, const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*value) || *value < 0)
        return pv_fail(PV_ERR_USAGE, "%s needs a number from 0 up, not '%s'", option, text);
    return PV_OK;
}

pv_status pv_cmd_views(const char *option, const char *text, int64_t *first, int64_t *count)
{
    long long from, to;
    int used = 0;
    if (sscanf(text, "%lld-%lld%n", &from, &to, &used) == 2 && text[used] == '\0' && from >= 0 &&
        to >= from) {
        *first = from;
        *count = to - from + 1;
        return PV_OK;
    }
    *count = 1;
    return pv_cmd_number(option, text, first) == PV_OK
               ? PV_OK
               : pv_fail(PV_ERR_USAGE, "%s is a view (3) or a range (0-9), not '%s'", option, text);
}

pv_status pv_cmd_seconds(const char *text, double *seconds)
{
    char *end;
    errno = 0;
    *seconds = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(*seconds > 0) || *seconds > 1e6)
        return pv_fail(PV_ERR_USAGE, "--seconds needs a number of seconds above 0, not '%s'", text);
    return PV_OK;
}
