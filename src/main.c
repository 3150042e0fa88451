/* The program: finds the command, opens MPI, runs it, prints its result, and turns its status into an exit
 * status. */
#include "parallel/pv_comm.h"
#include "base/pv_log.h"
#include "base/pv_stop.h"
#include "base/pv_version.h"
#include "cmd/pv_commands.h"
#include "parallel/pv_h5.h"
#include "parallel/pv_shared.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* OpenBLAS's own; absent from other BLAS libraries. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));

static void print_help(FILE *out)
{
    fprintf(out,
            "Polyview %s: fits neural views of signals and trains weight-space networks on them.\n\n"
            "usage: [mpirun -n RANKS] polyview COMMAND [OPTIONS]\n\n",
            pv_version());
    for (const pv_plugin *const *command = pv_commands.plugins; *command; command++)
        fprintf(out, "  %-8s %s\n", (*command)->name, (*command)->help);
    fprintf(out, "  %-8s %s\n\n", "help",
            "this text; `help COMMAND`; `help config` lists every key of a config");
    fprintf(out, "Options of every command: --help, --quiet, --verbose.\n"
                 "The last line of stdout is one JSON object; all else goes to stderr.\n"
                 "Exit status: 0 done, 1 failed, 2 usage or config error, 3 bad or corrupt data,\n"
                 "75 stopped early by a signal with all state saved.\n");
}

/* Help and version need no MPI.  Returns -1 when a command is to be run. */
static int answer_questions(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(word ? stdout : stderr);
        return word ? 0 : 2;
    }
    if (strcmp(word, "--version") == 0) {
        printf("polyview %s\n", pv_version());
        return 0;
    }
    const bool asks = strcmp(word, "help") == 0;
    const char *topic = asks ? argv[2] : NULL;
    if (asks && !topic) {
        print_help(stdout);
        return 0;
    }
    if (asks && strcmp(topic, "config") == 0) {
        pv_run_config_describe(stdout);
        return 0;
    }
    bool helps = asks;
    for (int i = 2; i < argc; i++)
        helps = helps || strcmp(argv[i], "--help") == 0;
    const int first = asks ? 2 : 1;
    return helps && pv_command_help(stdout, &pv_commands, argc - first, argv + first) ? 0 : -1;
}

/* Takes --quiet and --verbose out of the words; returns the verbosity. */
static int take_verbosity(int *argc, char **argv)
{
    int verbosity = 1, kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0)
            verbosity = 0;
        else if (strcmp(argv[i], "--verbose") == 0)
            verbosity = 2;
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    argv[kept] = NULL;
    return verbosity;
}

/* A file that is opened must not get the number of a standard one that is closed: what is printed would go
 * into it.  This one cannot be written. */
static void fill_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) return;
}

static void complain(pv_status st)
{
    fprintf(stderr, "polyview: %s: %s\n", st == PV_STOPPED ? "stopped" : "error", pv_fail_message());
}

static pv_status run(const pv_comm *comm, int argc, char **argv)
{
    json_t *result = json_object();
    pv_status st = pv_agree_isa(comm);
    if (st == PV_OK) st = pv_command_run(comm, &pv_commands, argc - 1, argv + 1, result);
    if (st != PV_OK && comm->rank == 0) complain(st);
    const pv_status printed = comm->rank == 0 ? pv_result_print(argv[1], st, result) : PV_OK;
    if (printed != PV_OK) complain(printed);
    if (st == PV_OK) st = pv_agree(comm, printed);
    json_decref(result);
    return st;
}

int main(int argc, char **argv)
{
    fill_standard_files();
    int answered = answer_questions(argc, argv);
    if (answered == 0 && pv_result_written() != PV_OK) {
        complain(PV_ERR_IO);
        answered = 1;
    }
    if (answered >= 0) return answered;
    const int unknown =
        strcmp(argv[1], "help") == 0; /* what it asks about: refused as a command, by all ranks */
    argc -= unknown;
    argv += unknown;
    signal(SIGPIPE, SIG_IGN); /* writing fails then, and says so */
    const int verbosity = take_verbosity(&argc, argv);
    int threads;
    pv_stop_install();
    pv_window_allow_hosts();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &threads); /* of pv_lock.h, which does without MPI */
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    pv_h5_begin();
    const char *node_ranks = getenv("POLYVIEW_NODE_RANKS");
    pv_comm comm;
    pv_comm_open(MPI_COMM_WORLD, node_ranks ? atoi(node_ranks) : 0, &comm);
    pv_log_setup(comm.rank == 0, verbosity);
    const pv_status st = run(&comm, argc, argv);
    if (pv_h5_given_up(&comm)) MPI_Abort(MPI_COMM_WORLD, pv_status_exit_code(st == PV_OK ? PV_ERR_HDF5 : st));
    pv_comm_close(&comm);
    MPI_Finalize();
    return pv_status_exit_code(st);
}
