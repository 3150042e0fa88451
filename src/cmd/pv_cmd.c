#include "cmd/pv_cmd.h"
#include "base/pv_cpu.h"
#include "base/pv_mem.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OPTIONS = 16 };

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

pv_status pv_cmd_config(const pv_comm *comm, const char *path, const pv_sets *sets, pv_run_config **config)
{
    char *text = NULL;
    int64_t bytes = 0;
    pv_status st;
    *config = NULL;
    if (!path) return pv_agree(comm, pv_run_config_load("the defaults", "", sets->words, sets->count, config));
    PV_TRY(pv_agree(comm, comm->rank == 0 ? pv_config_read_text(path, &text) : PV_OK));
    if (comm->rank == 0) bytes = (int64_t)strlen(text) + 1;
    MPI_Bcast(&bytes, 1, MPI_INT64_T, 0, comm->world);
    if (comm->rank != 0 && !(text = pv_alloc(bytes, 1))) st = PV_ERR_NOMEM;
    PV_TRY(pv_agree(comm, st));
    MPI_Bcast(text, (int)bytes, MPI_CHAR, 0, comm->world);
    PV_TRY(pv_agree(comm, pv_run_config_load(path, text, sets->words, sets->count, config)));
done:
    free(text);
    return st;
}

pv_status pv_cmd_kept_config(const char *path, const char *yaml_text, pv_run_config **config)
{
    const pv_status st = pv_run_config_load(path, yaml_text, NULL, 0, config);
    if (st != PV_ERR_CONFIG) return st;
    char *why = pv_strdup(pv_fail_message());
    if (!why) return PV_ERR_NOMEM;
    pv_fail(PV_ERR_DATA, "'%s': the config it keeps is damaged: %s", path, why);
    free(why);
    return PV_ERR_DATA;
}

pv_status pv_cmd_model_rows(const char *path, const pv_model_head *head, const pv_run_config *config,
                            pv_dataset_opts *opts)
{
    opts->canonical = config->train.canonical;
    opts->align = config->train.align;
    opts->reference = head->reference;
    if (opts->align == PV_ALIGN_NONE || opts->reference) return PV_OK;
    return pv_fail(PV_ERR_DATA,
                   "'%s' is damaged: it has no dataset '/reference', but its config has train.align", path);
}

bool pv_cmd_exists(const pv_comm *comm, const char *path)
{
    int there = comm->rank == 0 && access(path, F_OK) == 0;
    MPI_Bcast(&there, 1, MPI_INT, 0, comm->world);
    return there != 0;
}

void pv_cmd_put_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void pv_cmd_put_int(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

void pv_cmd_put_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

void pv_cmd_put_machine(const pv_comm *comm, json_t *object)
{
    int64_t peak = pv_peak_memory();
    MPI_Allreduce(MPI_IN_PLACE, &peak, 1, MPI_INT64_T, MPI_MAX, comm->world);
    pv_cmd_put_int(object, "ranks", comm->size);
    pv_cmd_put_int(object, "nodes", comm->nodes);
    pv_cmd_put_text(object, "instruction_set", pv_isa_name(pv_cpu_isa()));
    pv_cmd_put_int(object, "peak_memory_mib", peak >> 20);
}
