/* Makes and fills stores as `fit` and `verify --repair` do. */
#include "run/pv_fill_run.h"
#include "base/pv_cpu.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "inr/pv_arch.h"
#include "store/pv_store.h"
#include "store/pv_tally.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Rows that another instruction set fitted differ in their last bits. */
static void warn_of_instruction_set(const pv_store *store)
{
    const char *made = pv_store_text(store, PV_STORE_INSTRUCTION_SET), *here = pv_isa_name(pv_cpu_isa());
    if (made[0] != '\0' && strcmp(made, here) != 0)
        pv_log_warn("'%s' was begun with instruction set %s, this run uses %s: its rows "
                    "will differ in their last bits from what POLYVIEW_ISA=%s would give",
                    pv_store_path(store), made, here, made);
}

static void warn_of_digests(const pv_store *store)
{
    if (!pv_store_has_digests(store))
        pv_log_warn("'%s' was made by a version that kept no digests of its objects: "
                    "whether today's data are those that it was made from is not checked",
                    pv_store_path(store));
}

/* How many names of a file are in a directory. */
static nlink_t names_in(const char *directory, const struct stat *file)
{
    struct stat other;
    nlink_t count = 0;
    DIR *const open = opendir(directory);
    for (const struct dirent *entry; open && (entry = readdir(open));)
        count += fstatat(dirfd(open), entry->d_name, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
                 other.st_ino == file->st_ino && other.st_dev == file->st_dev;
    if (open) closedir(open);
    return count;
}

/* A run that came by another name would find another lock, or none; a growth that was interrupted leaves the
 * store a name among its shards. */
static pv_status check_names(const char *path)
{
    struct stat file;
    char *shards = NULL;
    if (stat(path, &file) != 0 || !S_ISREG(file.st_mode) || file.st_nlink == 1) return PV_OK;
    if (asprintf(&shards, "%s.shards", path) < 0) return pv_fail(PV_ERR_NOMEM, "no memory for a file name");
    const nlink_t others = file.st_nlink - 1 - names_in(shards, &file);
    free(shards);
    return others < 1
               ? PV_OK
               : pv_fail(PV_ERR_IO,
                         "'%s' has %lld more names (hard links), under which other runs would write it: "
                         "remove them, or use symbolic links",
                         path, (long long)others);
}

pv_status pv_run_lock(const pv_comm *comm, const char *path, pv_lock **lock)
{
    pv_status st = pv_agree(comm, comm->rank == 0 ? check_names(path) : PV_OK);
    if (st == PV_OK) st = pv_lock_take(comm, path, lock);
    return st == PV_OK ? pv_lock_check_shared(comm, path) : st;
}

pv_status pv_run_create(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                        const char *path, const pv_storage_opts *storage, int64_t views)
{
    pv_status st;
    pv_arch arch;
    char *yaml = NULL;
    const char *variant = pv_inr_variant_name(config->inr.variant);
    PV_TRY(pv_agree(comm, pv_arch_make(&config->inr, pv_signal_form(signal)->inputs,
                                       pv_signal_form(signal)->channels, config->fit.seed, &arch)));
    PV_TRY(pv_agree(comm, pv_run_config_emit(config, &yaml)));
    const pv_store_spec spec = {signal, &arch, variant, views, yaml};
    st = pv_store_create(comm, path, &spec, storage);
done:
    free(yaml);
    return st;
}

pv_status pv_run_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                      pv_store *store, pv_fill_opts opts, pv_fill_result *result)
{
    opts.variant = config->inr.variant;
    opts.fit = &config->fit;
    warn_of_instruction_set(store);
    warn_of_digests(store);
    const pv_status st = pv_fill(comm, signal, store, &opts, result);
    if ((st == PV_OK || st == PV_STOPPED) && result->refused > 0)
        pv_log_warn("%lld of %lld rows are refused, their losses were not finite in any attempt: see fit.lr, "
                    "or raise fit.restarts and give --retry-refused",
                    (long long)result->refused, (long long)result->rows);
    return st;
}

/* Files that were deleted take writes as long as they are open. */
static pv_status check_files(const pv_store *store)
{
    int64_t length, on_disk;
    return pv_store_bytes(store, &length, &on_disk);
}

/* The store as others find it. */
static pv_status look_again(const pv_comm *comm, const char *path, const pv_fill_result *fill)
{
    pv_store *store = NULL;
    pv_tally found;
    pv_status st;
    PV_TRY(pv_store_open(comm, path, PV_STORE_READ, NULL, &store));
    PV_TRY(pv_tally_store(comm, store, &found));
    if (found.fitted != fill->held || found.refused != fill->refused)
        st = pv_fail(PV_ERR_IO,
                     "'%s', opened anew, has %lld fitted and %lld refused rows, "
                     "not %lld and %lld: another program has written to it",
                     path, (long long)found.fitted, (long long)found.refused, (long long)fill->held,
                     (long long)fill->refused);
done:
    pv_store_close(store);
    return st;
}

pv_status pv_run_close_written(const pv_comm *comm, pv_store *store, pv_lock *lock,
                               const pv_fill_result *fill)
{
    pv_status st = lock ? pv_lock_confirm(comm, lock) : PV_OK;
    const bool written = store && fill && fill->written > 0;
    char *path = written ? pv_strdup(pv_store_path(store)) : NULL;
    if (st == PV_OK && store) st = pv_agree(comm, comm->rank == 0 ? check_files(store) : PV_OK);
    const pv_status closed = pv_store_close(store);
    if (st == PV_OK) st = closed;
    if (st == PV_OK && written) st = pv_agree(comm, path ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK && written) st = look_again(comm, path, fill);
    pv_lock_release(lock);
    free(path);
    return st;
}

void pv_result_fill(const pv_fill_result *fill, json_t *result)
{
    pv_json_int(result, "rows", fill->rows);
    if (!fill->counted) return;
    pv_json_int(result, "present", fill->present);
    pv_json_int(result, "fitted", fill->fitted);
    pv_json_int(result, "refused", fill->refused);
    pv_json_int(result, "restarted", fill->restarted);
    pv_json_int(result, "steps", fill->steps);
    pv_json_real(result, "mean_psnr_db", fill->mean_psnr_db);
    if (fill->judged) {
        pv_json_real(result, "mean_iou", fill->mean_iou);
        pv_json_real(result, "mean_surface_error", fill->mean_surface_error);
    }
    pv_json_real(result, "inr_steps_per_s", fill->seconds > 0 ? (double)fill->steps / fill->seconds : 0);
    pv_json_real(result, "seconds", fill->seconds);
    pv_json_real(result, "idle_share", fill->idle_share);
}
