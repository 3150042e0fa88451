/* The subcommands, and what they share. */
#ifndef PV_CMD_H
#define PV_CMD_H

#include "parallel/pv_comm.h"
#include "run/pv_run_config.h"
#include "train/pv_model_file.h"

#include <jansson.h>
#include <stdbool.h>

/* A subcommand.  `run` is collective, gets the words after the command's name in argv[1..], and fills
 * `result`, which becomes the last line of stdout.  Its status is agreed. */
typedef struct pv_command {
    const char *name, *summary, *usage;
    pv_status (*run)(const pv_comm *comm, int argc, char **argv, json_t *result);
} pv_command;

extern const pv_command pv_command_fit, pv_command_extend, pv_command_verify, pv_command_info,
    pv_command_render, pv_command_train, pv_command_eval, pv_command_align, pv_command_probe,
    pv_command_bench, pv_command_plan;
/* Those of `bench`: what their argv[0] names. */
extern const pv_command pv_command_bench_fit, pv_command_bench_store, pv_command_bench_train,
    pv_command_bench_align, pv_command_bench_comm;

/* The words of all --set options, in order. */
enum { PV_MAX_SETS = 64 };
typedef struct pv_sets {
    const char *words[PV_MAX_SETS];
    int count;
} pv_sets;

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

/* A view ("3") or a range of views ("0-9"); PV_ERR_USAGE naming the option otherwise. */
pv_status pv_cmd_views(const char *option, const char *text, int64_t *first, int64_t *count);

/* Reads a config file on rank 0, gives it to all and loads it with the --set words; the defaults with them if
 * `path` is NULL.  Owner: pv_run_config_free.
 * Collective.  Errors: PV_ERR_CONFIG, agreed. */
pv_status pv_cmd_config(const pv_comm *comm, const char *path, const pv_sets *sets, pv_run_config **config);

/* Loads the config that a store or model keeps.  Owner: pv_run_config_free.
 * Local.  Errors: PV_ERR_DATA (`path`, line and key named), PV_ERR_NOMEM. */
pv_status pv_cmd_kept_config(const char *path, const char *yaml_text, pv_run_config **config);

/* The form that the model of a file takes rows in: sets canonical, align and reference (the head's) of `opts`.
 * Local.  Errors: PV_ERR_DATA (the file lacks the reference that its config asks for). */
pv_status pv_cmd_model_rows(const char *path, const pv_model_head *head, const pv_run_config *config,
                            pv_dataset_opts *opts);

/* Whether a path exists, as rank 0 sees it.  Collective. */
bool pv_cmd_exists(const pv_comm *comm, const char *path);

/* Adds a number, or null if it is not finite. */
void pv_cmd_put_real(json_t *object, const char *key, double value);
void pv_cmd_put_int(json_t *object, const char *key, int64_t value);
void pv_cmd_put_text(json_t *object, const char *key, const char *value);
/* ranks, nodes, instruction_set, peak_memory_mib (the largest of all ranks).  Collective. */
void pv_cmd_put_machine(const pv_comm *comm, json_t *object);

#endif
