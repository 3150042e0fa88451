/* Crafted model files and checkpoints end in a model, or in a status with a message; nothing stays open
 * after. */
#include "craft.h"
#include "fuzz.h"
#include "pv_test_store.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "run/pv_run_config.h"
#include "parallel/pv_h5.h"
#include "train/pv_model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Larger models are only looked at: they take memory and time, and are no error. */
enum { MAX_PARAMS = 500, MAX_SIZE = 8, MAX_CLASSES = 50, MAX_TENSORS = 512, MAX_NAMES = 40 };

static const char config_text[] = "model: {hidden: 3, layers: 1}\ntrain: {optimizer: adam}\n";
static const char *const attributes[] = {
    "polyview_kind", "polyview_version", "config",      "classes",
    "inr_w0",        "inr_offset",       "epoch",       "batch",
    "loss_sum",      "correct",          "stream",      "best_val_accuracy",
    "best_epoch",    "optimizer_steps",  "code_version"};
static const char *datasets[MAX_NAMES] = {
    "/norm/mean", "/norm/std", "/inr_dims", "/optimizer/exp_avg", "/optimizer", "/optimizer/exp_avg_sq",
    "/model",     "/norm"};
enum { OTHER_NAMES = 8 };
static craft_names names = {attributes, datasets, sizeof attributes / sizeof *attributes, OTHER_NAMES};

static pv_comm comm;
static pv_test_files files;
static craft_image image;

static void clean_up(void)
{
    pv_test_files_remove(&comm, &files);
    fflush(NULL);
    _Exit(0); /* HDF5's own end may trip over what a crafted file left in it */
}

/* Some tensors of the model are among the names. */
static void name_tensors(const pv_model *model)
{
    const pv_model_tensor *tensors;
    const int count = pv_model_tensors(model, &tensors);
    char *name;
    for (int t = 0; t < count && names.dataset_count < MAX_NAMES; t += 1 + count / (MAX_NAMES - OTHER_NAMES))
        if (asprintf(&name, "/model/%s", tensors[t].name) > 0) datasets[names.dataset_count++] = name;
}

static void make_model(void)
{
    const pv_arch arch = pv_test_arch();
    pv_model_head head = {.config = pv_strdup(config_text), .arch = arch, .classes = 3};
    pv_run_config *config = NULL;
    pv_model *model = NULL;
    pv_optim *optim = NULL;
    fuzz_require(pv_run_config_load("text", config_text, NULL, 0, &config) == PV_OK &&
                     pv_model_new(&config->model, &arch, head.classes, 1, &model) == PV_OK &&
                     pv_optim_new(&(pv_optim_opts){.kind = PV_OPTIM_ADAM}, pv_model_count(model), &optim) ==
                         PV_OK &&
                     pv_row_form_make(&(pv_row_form_opts){0}, &arch, &head.form) == PV_OK &&
                     pv_model_file_write(files.store, 1, &head, model, optim) == PV_OK,
                 "a valid model is made");
    name_tensors(model);
    craft_add_link_out(files.store);
    image = craft_read(files.store);
    pv_optim_free(optim);
    pv_model_free(model);
    pv_run_config_free(config);
    pv_model_head_free(&head);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    craft_begin();
    MPI_Init(NULL, NULL);
    pv_comm_open(MPI_COMM_SELF, 0, &comm);
    pv_log_setup(false, 0);
    pv_test_files_make(&comm, &files);
    make_model();
    pv_h5_begin();
    atexit(clean_up);
    return 0;
}

static pv_status told(pv_status st)
{
    fuzz_require(st == PV_OK || st == PV_ERR_DATA || st == PV_ERR_HDF5 || st == PV_ERR_IO ||
                     st == PV_ERR_NOMEM,
                 "what is wrong with a model is an error of its data, its file or memory");
    fuzz_require(st == PV_OK || pv_fail_message()[0], "an error has a message");
    return st;
}

static bool is_small(const pv_model_head *head, const pv_run_config *config)
{
    return pv_arch_params(&head->arch) <= MAX_PARAMS && head->classes <= MAX_CLASSES &&
           config->model.hidden <= MAX_SIZE && config->model.layers <= MAX_SIZE;
}

static void load(const pv_model_file *file, bool with_optim)
{
    const pv_model_head *const head = &file->head;
    pv_run_config *config = NULL;
    pv_model *model = NULL;
    pv_optim *optim = NULL;
    float logits[MAX_CLASSES], row[MAX_PARAMS] = {0};
    pv_status st = pv_run_config_load("kept", head->config, NULL, 0, &config);
    if (st == PV_OK && is_small(head, config))
        st = pv_model_new(&config->model, &head->arch, head->classes, 1, &model);
    fuzz_require(st == PV_OK || st == PV_ERR_CONFIG || st == PV_ERR_NOMEM,
                 "a kept config is one or is refused");
    if (model && with_optim)
        pv_optim_new(&(pv_optim_opts){.kind = PV_OPTIM_ADAM}, pv_model_count(model), &optim);
    if (model && told(pv_model_file_load(file, model, optim)) == PV_OK) {
        const pv_pass pass = {.global_batch = 1};
        pv_row_form_finish(&head->form, row, row);
        pv_model_forward(model, &pass, row, 1, logits);
    }
    pv_optim_free(optim);
    pv_model_free(model);
    pv_run_config_free(config);
}

/* A file without a checksum is read as far as it makes sense; with one, changes end there. */
static void forget_checksum(const char *path)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    if (file >= 0) {
        H5Adelete(file, "checksum");
        H5Fclose(file);
    }
    H5Eclear2(H5E_DEFAULT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    craft_bytes bytes = {data, data + size};
    pv_model_file file;
    const unsigned how = craft_byte(&bytes), cut = craft_byte(&bytes);
    craft_restore(&image, files.other);
    const int64_t before = craft_open_ids();
    craft_file(files.other, &names, &bytes);
    if ((how & 48) != 48) forget_checksum(files.other);
    if (how & 8)
        fuzz_require(truncate(files.other, (off_t)(image.size / 256 * cut)) == 0, "a file can be cut short");
    if (told(pv_model_file_open(&comm, files.other, &file)) == PV_OK) load(&file, how & 1);
    pv_model_file_close(&file);
    H5Eclear2(H5E_DEFAULT);
    fuzz_require(craft_open_ids() == before, "nothing of HDF5 stays open");
    return 0;
}
