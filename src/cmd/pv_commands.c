/* The table of commands. */
#include "cmd/pv_commands.h"

#define ENTRY(name) &pv_command_##name.plugin,
const pv_registry pv_commands = {"command", (const pv_plugin *const[]){PV_COMMANDS(ENTRY) NULL}};
