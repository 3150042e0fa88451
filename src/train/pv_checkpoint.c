/* Finding the checkpoint to continue from. */
#include "train/pv_checkpoint.h"
#include "base/pv_file.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *pv_checkpoint_path(const char *output)
{
    char *path = NULL;
    return asprintf(&path, "%s.ckpt", output) < 0 ? NULL : path;
}

/* Damaged ones do not count among those that are kept, where they would push out the ones that are whole.  A
 * link stays, for the checkpoints to come. */
static void put_aside(const char *path, int64_t age)
{
    char *name = pv_file_kept(path, age), *real = NULL, *aside = NULL;
    if (name && pv_path_follow(name, &real) == PV_OK && asprintf(&aside, "%s.damaged", real) >= 0 &&
        rename(real, aside) != 0 && errno != ENOENT)
        pv_log_warn("cannot rename the damaged '%s': %s", real, strerror(errno));
    PV_FREE(name, real, aside);
}

/* Tries the checkpoint of one age, if it is there. */
static pv_status try_age(const pv_comm *comm, const char *path, int64_t age, pv_model_file *file, bool *there)
{
    char *const name = pv_file_kept(path, age);
    pv_status st = pv_agree(comm, name ? PV_OK : PV_ERR_NOMEM);
    *there = st == PV_OK && pv_path_exists(comm, name);
    if (*there) st = pv_model_file_open(comm, name, file);
    free(name);
    return st;
}

pv_status pv_checkpoint_open(const pv_comm *comm, const char *output, int64_t keep, pv_model_file *file,
                             bool *found)
{
    char *const path = pv_checkpoint_path(output), *cause = NULL;
    pv_status newest = PV_OK, st = pv_agree(comm, path ? PV_OK : PV_ERR_NOMEM);
    bool there = true;
    *found = false;
    for (int64_t age = 0; !*found && (age <= keep || there) && (st == PV_OK || st == PV_ERR_DATA); age++) {
        st = try_age(comm, path, age, file, &there);
        *found = there && st == PV_OK;
        if (st == PV_ERR_DATA && newest == PV_OK) {
            newest = st;
            cause = pv_strdup(pv_fail_message());
        }
        if (!*found || age == 0) continue;
        if (cause)
            pv_log_warn("%s: continuing from '%s', the newest that is whole", cause, file->path);
        else
            pv_log_warn("'%s' is gone: continuing from '%s', the newest that is whole", path, file->path);
        for (int64_t newer = 0; comm->rank == 0 && newer < age; newer++)
            put_aside(path, newer);
    }
    if (!*found && newest != PV_OK && cause) st = pv_fail(newest, "%s", cause);
    PV_FREE(cause, path);
    return *found ? PV_OK : st;
}
