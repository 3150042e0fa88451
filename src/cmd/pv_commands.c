/* The table of commands. */
#include "cmd/pv_commands.h"

#include <stddef.h>

#define ENTRY(name) &pv_command_##name,
const pv_command *const pv_commands[] = {PV_COMMANDS(ENTRY) NULL};
