/* What a command is, how it gets its words, and its help. */
#ifndef PV_COMMAND_H
#define PV_COMMAND_H

#include "config/pv_plugin.h"
#include "run/pv_record.h"

#include <stdio.h>

/* A command of the program, or of `bench`.  The rows of its options are its words on the command line. */
typedef struct pv_command {
    pv_plugin plugin;
    const char *about; /* what --help says of it, whole lines */
    const pv_registry
        *commands; /* that its next word names, where it is a group of them; NULL: it runs itself */
    /* `options` is the struct of the rows; what is put into `result` becomes the last line of stdout.  A run
     * that is to be recorded says so by pv_run_keep().  Collective; its status is agreed. */
    pv_status (*run)(const pv_comm *comm, pv_run *run, const void *options, json_t *result);
} pv_command;

/* Rows that several commands have. */
#define PV_OPTION_SETS(owner)                                                                                \
    {                                                                                                        \
        PV_KEY(owner, set), .value = "KEY=VALUE", .meaning = "overrides a key of the config: fit.views=10"   \
    }
#define PV_OPTION_JSON(owner)                                                                                \
    {                                                                                                        \
        PV_KEY(owner, json), .meaning = "leaves the table on stderr out"                                     \
    }
#define PV_OPTION_DIR(owner)                                                                                 \
    {                                                                                                        \
        PV_KEY(owner, dir), .path = true, .initial = ".", .value = "DIR",                                    \
                            .meaning = "where temporary files are made"                                      \
    }

/* Runs the command of `commands` that argv[0] names with the words after it.
 * Collective.  Errors: PV_ERR_USAGE (no such command, a word that it does not take), those of the command;
 * agreed. */
pv_status pv_command_run(const pv_comm *comm, const pv_registry *commands, int argc, char **argv,
                         json_t *result);

/* Prints the help of the command that argv[0] names, or of the one in a group that argv[1] names; false:
 * there is none of that name.  Local. */
bool pv_command_help(FILE *out, const pv_registry *commands, int argc, char **argv);

#endif
