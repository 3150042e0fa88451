/* The registry of commands: one line each, in the order of the help. */
#ifndef PV_COMMANDS_H
#define PV_COMMANDS_H

#include "run/pv_command.h"

#define PV_COMMANDS(X)                                                                                       \
    X(fit)                                                                                                   \
    X(extend)                                                                                                \
    X(verify)                                                                                                \
    X(info)                                                                                                  \
    X(render)                                                                                                \
    X(train)                                                                                                 \
    X(eval)                                                                                                  \
    X(align)                                                                                                 \
    X(probe)                                                                                                 \
    X(bench)                                                                                                 \
    X(plan)

#define PV_COMMAND_EXTERN(name) extern const pv_command pv_command_##name;
PV_COMMANDS(PV_COMMAND_EXTERN)

extern const pv_registry pv_commands;

#endif
