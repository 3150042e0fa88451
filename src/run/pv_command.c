/* Finds a command, reads its words, and runs it or prints its help. */
#include "run/pv_command.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_path.h"
#include "config/pv_words.h"

#include <stdlib.h>
#include <string.h>

/* Every path that a command is given becomes what it is. */
static pv_status settle_paths(const pv_comm *comm, const pv_option *rows, void *options)
{
    pv_status st = PV_OK;
    for (; st == PV_OK && rows && rows->name; rows++) {
        char **const path = (char **)(void *)((char *)options + rows->offset), *settled;
        if (!rows->path || !*path) continue;
        st = pv_path_settle(comm, pv_path_resolve, *path, &settled);
        if (st == PV_OK && strcmp(*path, settled) != 0) pv_log_detail("'%s' is '%s'", *path, settled);
        free(*path);
        *path = settled;
    }
    return st;
}

static pv_status run_one(const pv_comm *comm, const pv_command *command, int argc, char **argv,
                         json_t *result)
{
    pv_run run = pv_run_begin(argc, argv);
    const pv_option *rows = command->plugin.options;
    void *options = pv_alloc((int64_t)command->plugin.options_size, 1);
    pv_status st = options ? pv_words_parse(argc, argv, rows, options) : PV_ERR_NOMEM;
    st = pv_agree(comm, st);
    if (st == PV_OK) st = settle_paths(comm, rows, options);
    if (st == PV_OK) st = command->run(comm, &run, options, result);
    pv_run_end(comm, &run, st, result);
    if (options) pv_options_free(rows, options);
    free(options);
    return st;
}

pv_status pv_command_run(const pv_comm *comm, const pv_registry *commands, int argc, char **argv,
                         json_t *result)
{
    const pv_plugin *found = NULL;
    const pv_status st = pv_agree(comm, pv_plugin_choose(commands, argc > 0 ? argv[0] : "", &found));
    const pv_command *command = (const pv_command *)found;
    if (st != PV_OK) return st;
    if (command->commands) return pv_command_run(comm, command->commands, argc - 1, argv + 1, result);
    return run_one(comm, command, argc, argv, result);
}

static void print_one(FILE *out, const char *group, const pv_command *command)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", group, group[0] ? " " : "", command->plugin.name);
    pv_words_help(out, name, command->about, command->plugin.options);
}

bool pv_command_help(FILE *out, const pv_registry *commands, int argc, char **argv)
{
    const pv_command *command = (const pv_command *)pv_plugin_find(commands, argc > 0 ? argv[0] : "");
    if (!command) return false;
    if (!command->commands) {
        print_one(out, "", command);
        return true;
    }
    const pv_plugin *one = argc > 1 ? pv_plugin_find(command->commands, argv[1]) : NULL;
    for (const pv_plugin *const *member = command->commands->plugins; *member; member++)
        if (!one || one == *member) {
            print_one(out, command->plugin.name, (const pv_command *)*member);
            if (!one) fputs("\n", out);
        }
    if (!one) fputs(command->about, out);
    return true;
}
