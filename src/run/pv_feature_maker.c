/* Opens or makes what features are made with. */
#include "run/pv_feature_maker.h"
#include "data/pv_row_statistics.h"
#include "run/pv_config_source.h"
#include "train/pv_task.h"

enum { BATCH = 128 };

/* The model that training by a config starts from. */
static pv_status draw_model(const pv_comm *comm, const pv_store *store, const char *path, uint64_t seed,
                            pv_open_model *m)
{
    const pv_words none = {0};
    pv_status st;
    PV_TRY(pv_config_of_file(comm, path, &none, &m->config));
    const pv_train_opts *opts = &m->config->train;
    m->head.classes = pv_task_of(opts)->outputs(opts, pv_store_signal(store)->classes);
    PV_TRY(pv_agree(comm, pv_row_form_make(&opts->form, pv_store_params(store), &m->head.form)));
    PV_TRY(pv_open_model_make(comm, store, BATCH, m));
    pv_model_init(m->model, seed);
done:
    return st;
}

/* What is measured on the train split: the statistics of an untrained model's form, the reference of matched
 * rows. */
static pv_status measure(const pv_comm *comm, const pv_store *store, const pv_probe_sampling *sampling,
                         const pv_representation *how)
{
    pv_dataset *train = NULL;
    pv_status st;
    PV_TRY(pv_representation_rows(comm, store, how, PV_SPLIT_TRAIN, sampling->first_view, sampling->views,
                                  &train));
    if (how->form->opts.align != PV_ALIGN_NONE && !how->form->reference)
        PV_TRY(pv_fail(PV_ERR_DATA, "there is no training object to match others to"));
    st = pv_row_statistics_measure(comm, train, pv_store_arch(store), how->form);
done:
    pv_dataset_close(train);
    return st;
}

pv_status pv_feature_maker_open(const pv_comm *comm, const pv_store *store, const pv_feature_source *source,
                                const pv_probe_sampling *sampling, pv_feature_maker *m)
{
    const pv_row_form_opts aligned = {.align = PV_ALIGN_SIGNED, .normalise = PV_NORMALISE_NONE};
    pv_row_form *const form = &m->of.head.form;
    pv_status st = PV_OK;
    if (source->model) st = pv_open_model_file(comm, source->model, store, BATCH, &m->of);
    if (source->untrained) st = draw_model(comm, store, source->untrained, sampling->seed, &m->of);
    if (source->aligned) st = pv_agree(comm, pv_row_form_make(&aligned, pv_store_params(store), form));
    m->how = (pv_representation){.model = m->of.model,
                                 .form = form->params > 0 ? form : NULL,
                                 .max_batch = BATCH,
                                 .outputs = m->of.head.classes};
    if (st == PV_OK && (source->untrained || source->aligned)) st = measure(comm, store, sampling, &m->how);
    return st;
}

void pv_feature_maker_close(pv_feature_maker *m)
{
    pv_open_model_close(&m->of);
}
