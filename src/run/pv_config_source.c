/* Where the config of a run comes from. */
#include "run/pv_config_source.h"
#include "base/pv_mem.h"
#include "store/pv_store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

pv_status pv_config_of_file(const pv_comm *comm, const char *path, const pv_words *sets,
                            pv_run_config **config)
{
    char *text = NULL;
    int64_t bytes = 0;
    pv_status st;
    *config = NULL;
    if (!path)
        return pv_agree(comm, pv_run_config_load("the defaults", "", sets->words, sets->count, config));
    PV_TRY(pv_agree(comm, comm->rank == 0 ? pv_config_read_text(path, &text) : PV_OK));
    if (comm->rank == 0) bytes = (int64_t)strlen(text) + 1;
    MPI_Bcast(&bytes, 1, MPI_INT64_T, 0, comm->world);
    if (comm->rank != 0 && !(text = pv_alloc(bytes, 1))) st = PV_ERR_NOMEM;
    PV_TRY(pv_agree(comm, st));
    MPI_Bcast(text, (int)bytes, MPI_CHAR, 0, comm->world);
    PV_TRY(pv_agree(comm, pv_run_config_load(path, text, sets->words, sets->count, config)));
done:
    free(text);
    return st;
}

pv_status pv_config_kept(const char *path, const char *yaml_text, pv_run_config **config)
{
    const pv_status st = pv_run_config_load(path, yaml_text, NULL, 0, config);
    if (st != PV_ERR_CONFIG) return st;
    char *why = pv_strdup(pv_fail_message());
    if (!why) return PV_ERR_NOMEM;
    pv_fail(PV_ERR_DATA, "'%s': the config it keeps is damaged: %s", path, why);
    free(why);
    return PV_ERR_DATA;
}

/* An imported store has no recipe. */
static pv_status check_made_here(const pv_store *store)
{
    json_t *signal = json_loads(pv_store_text(store, PV_STORE_SIGNAL), 0, NULL);
    const char *source = json_string_value(json_object_get(signal, "source"));
    const bool imported = source && strcmp(source, "imported") == 0;
    json_decref(signal);
    if (!imported) return PV_OK;
    return pv_fail(PV_ERR_DATA, "the INRs of '%s' were imported: how to fit them is not known here",
                   pv_store_path(store));
}

pv_status pv_config_of_store(const pv_comm *comm, const char *path, pv_run_config **config)
{
    pv_store *store = NULL;
    pv_status st;
    *config = NULL;
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_agree(comm, check_made_here(store)));
    PV_TRY(pv_agree(comm, pv_config_kept(path, pv_store_text(store, PV_STORE_CONFIG), config)));
    PV_TRY(pv_agree(comm, pv_run_config_set(*config, "store", path)));
done:
    pv_store_close(store);
    if (st != PV_OK) {
        pv_run_config_free(*config);
        *config = NULL;
    }
    return st;
}
