#include "base/pv_log.h"
#include "cmd/pv_cmd.h"
#include "store/pv_verify.h"

#include <stdlib.h>

/* Bad rows that the log names; the result names up to ten times as many. */
enum { NAMED_ROWS = 100 };

static void report(const pv_comm *comm, const pv_store *store, const pv_verify_result *checked,
                   json_t *result)
{
    json_t *rows = json_array();
    for (int64_t i = 0; comm->rank == 0 && i < checked->bad && i < 10 * NAMED_ROWS; i++) {
        const pv_bad_row *row = &checked->bad_rows[i];
        if (i < NAMED_ROWS)
            pv_log_warn("view %lld of object %lld is bad: its bytes do not match its checksum",
                        (long long)row->view, (long long)row->object);
        json_array_append_new(rows, json_pack("[I,I]", (json_int_t)row->view, (json_int_t)row->object));
    }
    const double bytes = (double)checked->rows * pv_store_params(store) * (double)sizeof(float);
    pv_cmd_put_text(result, "store", pv_store_path(store));
    pv_cmd_put_int(result, "rows", checked->rows);
    pv_cmd_put_int(result, "fitted", checked->fitted);
    pv_cmd_put_int(result, "refused", checked->refused);
    pv_cmd_put_int(result, "missing", checked->missing);
    pv_cmd_put_int(result, "bad", checked->bad);
    json_object_set_new(result, "bad_rows", rows);
    pv_cmd_put_real(result, "mb_per_s", checked->seconds > 0 ? bytes / 1e6 / checked->seconds : 0);
    pv_cmd_put_real(result, "seconds", checked->seconds);
    pv_cmd_put_machine(comm, result);
}

static pv_status run_verify(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const char *path = NULL;
    pv_store *store = NULL;
    pv_verify_result checked = {0};
    pv_status st = pv_cmd_parse(argc, argv, NULL, 0, &path, 1);
    if (st == PV_OK && !path)
        st = pv_fail(PV_ERR_USAGE, "verify needs a store; see `polyview verify --help`");
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, &store));
    PV_TRY(pv_verify(comm, store, &checked));
    report(comm, store, &checked, result);
    if (checked.bad > 0)
        st = pv_fail(PV_ERR_DATA, "'%s' has %lld bad rows of %lld fitted", path, (long long)checked.bad,
                     (long long)checked.fitted);
done:
    free(checked.bad_rows);
    pv_store_close(store);
    return st;
}

const pv_command pv_command_verify = {
    .name = "verify",
    .summary = "check every row of a store against its checksum; name bad rows",
    .usage = "polyview verify STORE\n\n"
             "Reads every row on all ranks. Ends with status 3 if a fitted row does not match its checksum "
             "or is not\n"
             "finite; rows that are refused or not fitted yet are counted, and are no error.\n",
    .run = run_verify,
};
