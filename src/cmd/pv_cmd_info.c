#include "cmd/pv_cmd.h"
#include "store/pv_fill.h"
#include "store/pv_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SPLITS = 3 };

/* Objects of each split, over this rank's share. */
static pv_status count_splits(const pv_comm *comm, const pv_store *store, int64_t counts[SPLITS])
{
    uint8_t splits[1024];
    int64_t first, left;
    pv_share_of(pv_store_objects(store), comm->rank, comm->size, &first, &left);
    for (; left > 0; first += (int64_t)sizeof splits, left -= (int64_t)sizeof splits) {
        const int64_t block = left < (int64_t)sizeof splits ? left : (int64_t)sizeof splits;
        const pv_status st = pv_store_read_splits(store, first, block, splits);
        if (st != PV_OK) return st;
        for (int64_t i = 0; i < block; i++)
            if (splits[i] < SPLITS) counts[splits[i]]++;
    }
    return PV_OK;
}

static json_t *describe_arch(const pv_arch *arch)
{
    json_t *dims = json_array();
    for (int i = 0; i <= arch->layers; i++)
        json_array_append_new(dims, json_integer(arch->dims[i]));
    return json_pack("{s:o, s:f, s:f}", "dims", dims, "w0", (double)arch->w0, "offset", (double)arch->offset);
}

static void report(const pv_store *store, const int64_t splits[SPLITS], const pv_fill_counts *counts,
                   json_t *result)
{
    struct stat file = {0};
    stat(pv_store_path(store), &file);
    pv_cmd_put_text(result, "store", pv_store_path(store));
    json_object_set_new(result, "arch", describe_arch(pv_store_arch(store)));
    pv_cmd_put_int(result, "params", pv_store_params(store));
    pv_cmd_put_int(result, "views", pv_store_views(store));
    pv_cmd_put_int(result, "objects", pv_store_objects(store));
    pv_cmd_put_int(result, "train", splits[0]);
    pv_cmd_put_int(result, "val", splits[1]);
    pv_cmd_put_int(result, "test", splits[2]);
    pv_cmd_put_int(result, "rows", pv_store_views(store) * pv_store_objects(store));
    pv_cmd_put_int(result, "fitted", counts->fitted);
    pv_cmd_put_int(result, "refused", counts->refused);
    pv_cmd_put_real(result, "mean_psnr_db", counts->mean_psnr_db);
    pv_cmd_put_int(result, "bytes", (int64_t)file.st_size);
    json_object_set_new(result, "signal", json_loads(pv_store_signal_json(store), 0, NULL));
}

static void print_table(const pv_store *store, const json_t *result)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)result, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        fprintf(stderr, "  %-14s %s\n", key, text ? text : "");
        free(text);
    }
    fprintf(stderr, "  config\n%s", pv_store_config(store));
}

static pv_status run_info(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const char *path = NULL;
    bool json_only = false;
    const pv_option options[] = {{.name = "json", .flag = &json_only}};
    pv_store *store = NULL;
    int64_t splits[SPLITS] = {0};
    pv_fill_counts counts;
    pv_status st = pv_cmd_parse(argc, argv, options, 1, &path, 1);
    if (st == PV_OK && !path) st = pv_fail(PV_ERR_USAGE, "info needs a store; see `polyview info --help`");
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, &store));
    PV_TRY(pv_agree(comm, count_splits(comm, store, splits)));
    MPI_Allreduce(MPI_IN_PLACE, splits, SPLITS, MPI_INT64_T, MPI_SUM, comm->world);
    PV_TRY(pv_fill_count(comm, store, &counts));
    report(store, splits, &counts, result);
    if (comm->rank == 0 && !json_only) print_table(store, result);
done:
    pv_store_close(store);
    return st;
}

const pv_command pv_command_info = {
    .name = "info",
    .summary = "show what a store holds and how it was made",
    .usage =
        "polyview info STORE [--json]\n\n"
        "Prints a table and the config to stderr (not with --json), and the same facts as one JSON line.\n",
    .run = run_info,
};
