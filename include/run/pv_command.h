/* What a command is, and how it reads its words. */
#ifndef PV_COMMAND_H
#define PV_COMMAND_H

#include "parallel/pv_comm.h"
#include "run/pv_result.h"
#include "run/pv_config_source.h"

#include <stdbool.h>

/* A command of the program, or of `bench`.  `run` is collective, gets the words after the command's name in argv[1..], and fills
 * `result`, which becomes the last line of stdout.  Its status is agreed. */
typedef struct pv_command {
    const char *name, *summary, *usage;
    pv_status (*run)(const pv_comm *comm, int argc, char **argv, json_t *result);
} pv_command;

/* The commands of a table that ends with NULL: the one of a name, NULL if there is none. */
const pv_command *pv_command_find(const pv_command *const *table, const char *name);

/* One option of a command: exactly one of text, flag, sets is not NULL. */
typedef struct pv_cmd_option {
    const char *name; /* without the dashes; a one-letter name is also the short option */
    const char **text;
    bool *flag;
    pv_sets *sets;
} pv_cmd_option;

/* Parses argv with getopt_long.  `positional` receives up to `positional_max` other words.
 * Local, the same on all ranks.  Errors: PV_ERR_USAGE (the word is named). */
pv_status pv_cmd_parse(int argc, char **argv, const pv_cmd_option *options, int option_count,
                       const char **positional, int positional_max);

/* A non-negative integer option; PV_ERR_USAGE naming the option otherwise. */
pv_status pv_cmd_number(const char *option, const char *text, int64_t *value);

/* Likewise a non-negative real number. */
pv_status pv_cmd_real(const char *option, const char *text, double *value);

/* Reads the option --seconds.  Errors: PV_ERR_USAGE. */
pv_status pv_cmd_seconds(const char *text, double *seconds);

/* A view ("3") or a range of views ("0-9"); PV_ERR_USAGE naming the option otherwise. */
pv_status pv_cmd_views(const char *option, const char *text, int64_t *first, int64_t *count);

#endif
