/* The shards of a store on their way. */
#include "pv_shard_plan.h"
#include "base/pv_file.h"
#include "base/pv_mem.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NUMBER = 99999 };

pv_status shard_plan_make(const char *path, shard_plan *plan)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    plan->path = path;
    if (snprintf(plan->directory, sizeof plan->directory, "%s.shards", name) >= (int)sizeof plan->directory)
        return pv_fail(PV_ERR_IO, "cannot write shards beside '%s': the name is too long", path);
    plan->entries = pv_alloc(SHARDS_MAX, sizeof *plan->entries);
    return plan->entries ? PV_OK : PV_ERR_NOMEM;
}

static pv_status add(shard_plan *plan, const store_box *box)
{
    if (plan->count == SHARDS_MAX)
        return pv_fail(PV_ERR_CONFIG, "'%s' would have more than %d shards: raise storage.shard_gib",
                       plan->path, SHARDS_MAX);
    plan->entries[plan->count++] = (shard_entry){.box = *box};
    return PV_OK;
}

pv_status shard_plan_present(shard_plan *plan, const pv_store *store)
{
    pv_status st = PV_OK;
    const shards *present = pv_store_shard_set(store);
    for (int i = 0; st == PV_OK && i < present->count; i++) {
        const shard *one = &present->all[i];
        st = add(plan, &one->box);
        if (st == PV_OK && one->name) snprintf(plan->entries[i].name, SHARD_NAME_BYTES, "%s", one->name);
    }
    plan->there = plan->count;
    plan->kept = pv_store_shards(store);
    return st;
}

static int64_t shares_of(int64_t n, int64_t most)
{
    return (n + most - 1) / most;
}

/* Shards of at most plan->most rows: whole views where they fit, else some objects of a view; all about
 * equal. */
pv_status shard_plan_box(shard_plan *plan, const store_box *box)
{
    pv_status st = PV_OK;
    if (box->views == 0 || box->objects == 0) return st;
    const int64_t views_each = box->objects < plan->most ? plan->most / box->objects : 1;
    const int64_t bands = shares_of(box->views, views_each), slices = shares_of(box->objects, plan->most);
    for (int64_t band = 0; st == PV_OK && band < bands; band++)
        for (int64_t slice = 0; st == PV_OK && slice < slices; slice++) {
            store_box one;
            pv_share_of(box->views, (int)band, (int)bands, &one.first_view, &one.views);
            pv_share_of(box->objects, (int)slice, (int)slices, &one.first_object, &one.objects);
            one.first_view += box->first_view;
            one.first_object += box->first_object;
            st = add(plan, &one);
        }
    return st;
}

/* ---- the note of what is not part of a store yet ---- */

/* A file in the directory of shards. */
static void path_of(const shard_plan *plan, const char *name, char path[PATH_MAX])
{
    char named[SHARD_NAME_BYTES + 16];
    snprintf(named, sizeof named, "%s/%s", plan->directory, name);
    shards_beside(plan->path, named, path);
}

static void note_path(const shard_plan *plan, char path[PATH_MAX])
{
    path_of(plan, "unfinished.json", path);
}

static pv_status write_note(const shard_plan *plan)
{
    char path[PATH_MAX];
    json_t *names = json_array();
    for (int i = plan->kept; i < plan->count; i++)
        json_array_append_new(names, json_string(strrchr(plan->entries[i].name, '/') + 1));
    char *text = json_dumps(names, 0);
    json_decref(names);
    note_path(plan, path);
    const pv_status st = text ? pv_file_replace(path, 1, text, (int64_t)strlen(text)) : PV_ERR_NOMEM;
    free(text);
    return st;
}

static bool is_kept(const shard_plan *plan, const char *name)
{
    char named[SHARD_NAME_BYTES + 16];
    snprintf(named, sizeof named, "%s/%s", plan->directory, name);
    for (int i = 0; i < plan->kept; i++)
        if (strcmp(plan->entries[i].name, named) == 0) return true;
    return false;
}

/* Takes away a shard, or what there is of it. */
static void take_away(const shard_plan *plan, const char *name)
{
    char path[PATH_MAX];
    path_of(plan, name, path);
    char *part = pv_file_part(path);
    unlink(path);
    if (part) unlink(part);
    free(part);
}

/* A making that was killed left a note, unless it had come to its end. */
static void clear(const shard_plan *plan)
{
    char path[PATH_MAX];
    size_t i;
    const json_t *name;
    note_path(plan, path);
    json_t *names = json_load_file(path, 0, NULL);
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        if (text && !strchr(text, '/') && !is_kept(plan, text)) take_away(plan, text);
    }
    if (names) unlink(path);
    json_decref(names);
}

/* ---- names ---- */

/* Gives entry i the first name from `number` on that no file has: one that no note tells of is not
 * overwritten, it might belong to another store. */
static pv_status name_shard(shard_plan *plan, int i, int *number)
{
    shard_entry *const entry = &plan->entries[i];
    char path[PATH_MAX];
    for (int n = *number; n >= 0 && n <= MAX_NUMBER; n++) {
        snprintf(entry->name, sizeof entry->name, "%s/%05d.h5", plan->directory, n);
        shards_beside(plan->path, entry->name, path);
        *number = n + 1;
        if (access(path, F_OK) != 0) return PV_OK;
    }
    return pv_fail(PV_ERR_IO, "'%s.shards' is full of files: delete those that no store uses", plan->path);
}

static pv_status make_directory(const shard_plan *plan)
{
    char path[PATH_MAX];
    shards_beside(plan->path, plan->directory, path);
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? PV_OK
               : pv_fail(PV_ERR_IO, "cannot make the directory '%s': %s", path, strerror(errno));
}

/* The store's own file gets a second name: the first shard's. */
static pv_status link_first(const shard_plan *plan)
{
    char path[PATH_MAX];
    shards_beside(plan->path, plan->entries[0].name, path);
    if (link(plan->path, path) == 0) return PV_OK;
    return pv_fail(PV_ERR_IO, "cannot give '%s' the second name '%s': %s", plan->path, path, strerror(errno));
}

/* Rank 0's work. */
static pv_status begin(shard_plan *plan, bool sharded)
{
    int number = 0;
    pv_status st = PV_OK;
    clear(plan);
    if (!sharded) return st;
    PV_TRY(make_directory(plan));
    for (int i = plan->kept; i < plan->count; i++)
        PV_TRY(name_shard(plan, i, &number));
    PV_TRY(write_note(plan));
    if (plan->there > plan->kept) st = link_first(plan);
done:
    return st;
}

pv_status shard_plan_begin(const pv_comm *comm, shard_plan *plan, bool sharded)
{
    const pv_status st = pv_agree(comm, comm->rank == 0 ? begin(plan, sharded) : PV_OK);
    if (st == PV_OK)
        MPI_Bcast(plan->entries, plan->count * (int)sizeof *plan->entries, MPI_BYTE, 0, comm->world);
    return st;
}

void shard_plan_end(const shard_plan *plan, bool made)
{
    char path[PATH_MAX];
    if (!made) clear(plan);
    note_path(plan, path);
    unlink(path);
    shards_beside(plan->path, plan->directory, path);
    if (!made && plan->kept == 0) rmdir(path);
}
