/* `polyview bench`: the group of benches. */
#include "bench/pv_benches.h"
#include "cmd/pv_commands.h"

const pv_command pv_command_bench = {
    .plugin = {.name = "bench", .help = "measure rates beside the machine's limits"},
    .about = "Figures are medians.  POLYVIEW_ISA=avx2 or portable lowers the instruction set.\n",
    .commands = &pv_benches,
};
