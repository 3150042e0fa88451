/* The ranks of a run: who they are, how they agree, and who has which share. */
#define PV_COMM_BODY
#include "parallel/pv_comm.h"
#include "base/pv_checksum.h"
#include "base/pv_cpu.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 1536 };

void pv_comm_open(MPI_Comm parent, int node_ranks, pv_comm *comm)
{
    MPI_Comm_dup(parent, &comm->world);
    MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN); /* to pv_mpi.c, which looks */
    MPI_Comm_rank(comm->world, &comm->rank);
    MPI_Comm_size(comm->world, &comm->size);
    if (node_ranks > 0)
        MPI_Comm_split(comm->world, comm->rank / node_ranks, comm->rank, &comm->node);
    else
        MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &comm->node);
    MPI_Comm_rank(comm->node, &comm->node_rank);
    MPI_Comm_size(comm->node, &comm->node_size);
    MPI_Comm_split(comm->world, comm->node_rank == 0 ? 0 : MPI_UNDEFINED, comm->rank, &comm->leaders);
    const char *const wish = getenv("PV_SAFE");
    int place[2] = {0, 0}, safe = wish && strcmp(wish, "0") != 0;
    if (comm->leaders != MPI_COMM_NULL) {
        MPI_Comm_rank(comm->leaders, &place[0]);
        MPI_Comm_size(comm->leaders, &place[1]);
    }
    MPI_Bcast(place, 2, MPI_INT, 0, comm->node);
    MPI_Bcast(&safe, 1, MPI_INT, 0, comm->world);
    comm->safe = safe;
    comm->node_index = place[0];
    comm->nodes = place[1];
    MPI_Allreduce(&comm->node_size, &comm->lanes, 1, MPI_INT, MPI_MIN, comm->world);
    MPI_Comm_split(comm->world, comm->node_rank < comm->lanes ? comm->node_rank : MPI_UNDEFINED,
                   comm->node_index, &comm->lane);
}

void pv_comm_close(pv_comm *comm)
{
    if (comm->lane != MPI_COMM_NULL) MPI_Comm_free(&comm->lane);
    if (comm->leaders != MPI_COMM_NULL) MPI_Comm_free(&comm->leaders);
    MPI_Comm_free(&comm->node);
    MPI_Comm_free(&comm->world);
}

pv_status pv_comm_check_launch(void)
{
    /* From the launcher that stands nearest to this process to the farthest. */
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    const char *name = NULL, *value = NULL;
    int size;
    for (size_t i = 0; !value && i < sizeof variables / sizeof *variables; i++)
        value = getenv(name = variables[i]);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (!value || strtol(value, NULL, 10) <= size) return PV_OK;
    return pv_fail(PV_ERR_CONFIG,
                   "%s says that %s processes were started together, but MPI sees %d of "
                   "them: start the program by `srun --mpi=pmix` (MPICH: pmi2) or by the mpirun of "
                   "the MPI that it was built with; or unset %s if every process is to work by itself",
                   name, value, size, name);
}

pv_status pv_agree(const pv_comm *comm, pv_status local)
{
    struct {
        int code, rank;
    } mine = {(int)local, comm->rank}, worst = {0, 0};
    MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MINLOC, comm->world);
    if (worst.code == PV_OK) return PV_OK;
    char message[MESSAGE_BYTES] = "";
    if (comm->rank == worst.rank) {
        char host[MPI_MAX_PROCESSOR_NAME] = "?";
        int length;
        MPI_Get_processor_name(host, &length);
        /* A status agreed once already carries its origin. */
        const bool told = strncmp(pv_fail_message(), "rank ", 5) == 0;
        if (told)
            snprintf(message, sizeof message, "%s", pv_fail_message());
        else
            snprintf(message, sizeof message, "rank %d on %s: %s", comm->rank, host, pv_fail_message());
    }
    MPI_Bcast(message, (int)sizeof message, MPI_CHAR, worst.rank, comm->world);
    return pv_fail((pv_status)worst.code, "%s", message);
}

pv_status pv_agree_isa(const pv_comm *comm)
{
    const pv_status st = pv_agree(comm, pv_cpu_check());
    struct {
        int isa, rank;
    } least = {(int)pv_cpu_isa(), comm->rank};
    int widest = least.isa;
    if (st != PV_OK) return st;
    MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_2INT, MPI_MINLOC, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &widest, 1, MPI_INT, MPI_MAX, comm->world);
    if (least.isa == widest) return PV_OK;
    pv_log_warn("the ranks differ in what their processors or POLYVIEW_ISA "
                "allow: rank %d has %s, others %s; all use %s",
                least.rank, pv_isa_name((pv_isa)least.isa), pv_isa_name((pv_isa)widest),
                pv_isa_name((pv_isa)least.isa));
    pv_cpu_lower((pv_isa)least.isa);
    return PV_OK;
}

pv_status pv_same(const pv_comm *comm, const char *what, const void *data, size_t bytes)
{
    if (!comm->safe) return PV_OK;
    const uint64_t mine = pv_checksum(data, bytes);
    uint64_t first = mine;
    MPI_Bcast(&first, 1, MPI_UINT64_T, 0, comm->world);
    return pv_agree(
        comm, mine == first ? PV_OK : pv_fail(PV_ERR_INTERNAL, "PV_SAFE: %s differs from rank 0's", what));
}

pv_status pv_same_text(const pv_comm *comm, const char *what, const char *text)
{
    return pv_same(comm, what, text, text ? strlen(text) : 0);
}

void pv_share_of(int64_t n, int share, int shares, int64_t *first, int64_t *count)
{
    const int64_t base = n / shares, extra = n % shares;
    *first = base * share + (share < extra ? share : extra);
    *count = base + (share < extra);
}

int64_t pv_share_start(int64_t n, int64_t share, int64_t shares)
{
    return n * share / shares;
}

int64_t pv_share_run_start(int64_t n, int64_t leaves, int rank, int ranks)
{
    return pv_share_start(n, pv_share_start(leaves, rank, ranks), leaves);
}

int64_t pv_share_run_most(int64_t n, int64_t leaves, int ranks)
{
    const int64_t run = (leaves + ranks - 1) / ranks;
    return (n * run + leaves - 1) / leaves;
}

int pv_share_owner(int64_t n, int shares, int64_t i)
{
    const int64_t base = n / shares, extra = n % shares, large = extra * (base + 1);
    return (int)(i < large ? i / (base + 1) : extra + (i - large) / base);
}

pv_status pv_share_text(const pv_comm *comm, char **text)
{
    int64_t bytes = comm->rank == 0 ? (int64_t)strlen(*text) + 1 : 0;
    MPI_Bcast(&bytes, 1, MPI_INT64_T, 0, comm->world);
    if (comm->rank != 0) *text = pv_alloc(bytes, 1);
    const pv_status st = pv_agree(comm, *text ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK) MPI_Bcast(*text, (int)bytes, MPI_CHAR, 0, comm->world);
    return st;
}

pv_status pv_path_settle(const pv_comm *comm, pv_status (*settle)(const char *, char **), const char *path,
                         char **out)
{
    *out = NULL;
    pv_status st = pv_agree(comm, comm->rank == 0 ? settle(path, out) : PV_OK);
    if (st == PV_OK) st = pv_share_text(comm, out);
    if (st == PV_OK) return PV_OK;
    free(*out);
    *out = NULL;
    return st;
}

bool pv_path_exists(const pv_comm *comm, const char *path)
{
    int there = comm->rank == 0 && access(path, F_OK) == 0;
    MPI_Bcast(&there, 1, MPI_INT, 0, comm->world);
    return there != 0;
}
