/* Opens the model of a file, and the signal of a store. */
#include "run/pv_open.h"
#include "base/pv_json.h"
#include "base/pv_log.h"
#include "train/pv_task.h"

#include <string.h>

pv_status pv_open_model_make(const pv_comm *comm, const pv_store *store, int batch, pv_open_model *m)
{
    const pv_arch *arch = pv_store_arch(store);
    m->config->model.projection = pv_task_of(&m->config->train)->embeds;
    return pv_agree(comm, pv_model_new(&m->config->model, arch, m->head.classes, batch, &m->model));
}

pv_status pv_open_model_file(const pv_comm *comm, const char *path, const pv_store *store, int batch,
                             pv_open_model *m)
{
    pv_model_file file;
    pv_status st;
    PV_TRY(pv_model_file_open(comm, path, &file));
    m->head = file.head;
    file.head = (pv_model_head){0};
    PV_TRY(pv_agree(comm, pv_config_kept(path, m->head.config, &m->config)));
    if (!pv_arch_equal(&m->head.arch, pv_store_arch(store)))
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' was made for INRs of another architecture than those of '%s'", path,
                       pv_store_path(store)));
    if (m->head.form.opts.features != m->config->model.features)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' is damaged: it reads %s rows, but its config says %s", path,
                       pv_readings[m->head.form.opts.features], pv_readings[m->config->model.features]));
    m->head.form.opts = m->config->train.form;
    if (m->config->train.form.align != PV_ALIGN_NONE && !m->head.form.reference)
        PV_TRY(pv_fail(PV_ERR_DATA,
                       "'%s' is damaged: it has no dataset '/reference', but its config has train.align",
                       path));
    PV_TRY(pv_open_model_make(comm, store, batch, m));
    PV_TRY(pv_model_file_load(&file, m->model, NULL));
done:
    pv_model_file_close(&file);
    return st;
}

void pv_open_model_close(pv_open_model *m)
{
    pv_model_free(m->model);
    pv_model_head_free(&m->head);
    pv_run_config_free(m->config);
}

pv_status pv_open_fresh(const pv_store *store, uint64_t seed, pv_fresh *fresh)
{
    pv_run_config *kept = NULL;
    const pv_status st = pv_config_kept(pv_store_path(store), pv_store_text(store, PV_STORE_CONFIG), &kept);
    if (st == PV_OK) *fresh = (pv_fresh){seed, kept->inr.variant};
    pv_run_config_free(kept);
    return st;
}

pv_status pv_open_tell_init(const pv_store *store, json_t *result)
{
    pv_run_config *kept = NULL;
    const pv_status st = pv_config_kept(pv_store_path(store), pv_store_text(store, PV_STORE_CONFIG), &kept);
    const bool imported = strcmp(pv_store_text(store, PV_STORE_CODE_VERSION), "imported") == 0;
    if (st == PV_OK) {
        pv_json_text(result, "fit_precision", imported ? "unknown" : pv_precision_name(kept->fit.precision));
        pv_json_text(result, "fit_init", imported ? "unknown" : pv_fit_init_name(kept->fit.init));
    }
    pv_run_config_free(kept);
    return st;
}

pv_status pv_open_signal(const pv_comm *comm, const pv_store *store, pv_signal **signal)
{
    pv_run_config *config = NULL;
    pv_status st =
        pv_agree(comm, pv_config_kept(pv_store_path(store), pv_store_text(store, PV_STORE_CONFIG), &config));
    if (st == PV_OK) st = pv_signal_open(comm, &config->signal, signal);
    pv_run_config_free(config);
    return st;
}

pv_status pv_open_kept(const pv_comm *comm, const pv_run_config *config, pv_signal **signal)
{
    const pv_status st = pv_signal_open(comm, &config->signal, signal);
    if (st != PV_OK && st != PV_STOPPED && config->signal.path)
        pv_log_info(
            "'%s' was made from signal.path '%s': --set signal.path=PLACE says where its data lie now",
            config->store, config->signal.path);
    return st;
}

pv_status pv_open_object(const pv_store *store, const pv_signal *signal, int64_t object, int64_t *number)
{
    uint64_t source = 0;
    const pv_status st = pv_store_read_sources(store, object, 1, &source);
    if (st != PV_OK) return st;
    *number = pv_signal_find(signal, source);
    if (*number >= 0) return PV_OK;
    return pv_fail(PV_ERR_DATA,
                   "'%s': object %lld (source %llu) is not in the signal: its files have changed",
                   pv_store_path(store), (long long)object, (unsigned long long)source);
}
