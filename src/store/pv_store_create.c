/* Making and growing a store: which files, in which order, so that a file of the store's name is always
 * whole. */
#include "pv_store_files.h"
#include "base/pv_cpu.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "base/pv_version.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NUMBER = 99999 };

static const pv_storage_opts ordinary = {.reserve = true, .sync = true, .hints = (char[]){""}};

static char *arch_text(const pv_arch *arch, const char *variant)
{
    json_t *root = pv_arch_to_json(arch);
    json_object_set_new(root, "init", json_string(variant));
    char *text = json_dumps(root, JSON_REAL_PRECISION(9));
    json_decref(root);
    return text;
}

/* The shards of a store on their way: those it has and those being made.  The owner frees `entries`. */
typedef struct shard_plan {
    const char *path;                                          /* of the master */
    char directory[SHARD_NAME_BYTES - sizeof "/00000.h5" + 1]; /* of new shards, as named in the table */
    shard_entry *entries;
    int count, made; /* entries below `made` exist */
    int kept;        /* entries below `kept` belong to the store as it is */
    int64_t most;    /* rows of a shard, at most */
} shard_plan;

static pv_status plan_make(const char *path, shard_plan *plan)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    plan->path = path;
    if (snprintf(plan->directory, sizeof plan->directory, "%s.shards", name) >= (int)sizeof plan->directory)
        return pv_fail(PV_ERR_IO, "cannot write shards beside '%s': the name is too long", path);
    plan->entries = pv_alloc(SHARDS_MAX, sizeof *plan->entries);
    return plan->entries ? PV_OK : PV_ERR_NOMEM;
}

static pv_status plan_box(shard_plan *plan, const store_box *box)
{
    if (plan->count == SHARDS_MAX)
        return pv_fail(PV_ERR_CONFIG, "'%s' would have more than %d shards: raise storage.shard_gib",
                       plan->path, SHARDS_MAX);
    plan->entries[plan->count++] = (shard_entry){.box = *box};
    return PV_OK;
}

static int64_t shares_of(int64_t n, int64_t most)
{
    return (n + most - 1) / most;
}

/* Divides a box into shards of at most plan->most rows: whole views where they fit, else some objects of a
 * view; all about equal. */
static pv_status plan_shards(shard_plan *plan, const store_box *box)
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
            st = plan_box(plan, &one);
        }
    return st;
}

/* Rows of a shard, at most. */
static int64_t rows_of(const pv_storage_opts *storage, int params)
{
    const store_shape shape = {.params = params};
    size_t row = 0;
    for (int c = 0; c < ROW_COLUMNS; c++)
        row += store_column_entry((store_column)c, &shape);
    const double rows = storage->shard_gib * 0x1p30 / (double)row;
    return storage->shard_gib == 0 || rows > 0x1p62 ? INT64_MAX / 4 : rows < 1 ? 1 : (int64_t)rows;
}

/* Gives entry i the first name from `number` on that no file has: what an interrupted run left is not
 * overwritten, it might belong to another store.  `path` is that of the file. */
static pv_status name_shard(shard_plan *plan, int i, int *number, char path[PATH_MAX])
{
    shard_entry *const entry = &plan->entries[i];
    for (; *number <= MAX_NUMBER; ++*number) {
        snprintf(entry->name, sizeof entry->name, "%s/%05d.h5", plan->directory, *number);
        shards_beside(plan->path, entry->name, path);
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
static pv_status link_first(shard_plan *plan)
{
    int number = 0;
    char path[PATH_MAX];
    const pv_status st = name_shard(plan, 0, &number, path);
    if (st != PV_OK) return st;
    if (link(plan->path, path) != 0)
        return pv_fail(PV_ERR_IO, "cannot give '%s' the second name '%s': %s", plan->path, path,
                       strerror(errno));
    plan->made = 1;
    return PV_OK;
}

static pv_status make_shards(shard_plan *plan, const store_recipe *recipe)
{
    char path[PATH_MAX];
    pv_status st;
    for (int number = 0; plan->made < plan->count; number++, plan->made++) {
        if (pv_stop_requested()) PV_TRY(pv_stop_fail());
        PV_TRY(name_shard(plan, plan->made, &number, path));
        PV_TRY(store_write_file(recipe, path, &plan->entries[plan->made].box, NULL, 0));
    }
    st = PV_OK;
done:
    return st;
}

/* Takes away what was made for nothing. */
static void unmake_shards(const shard_plan *plan)
{
    char path[PATH_MAX];
    for (int i = plan->kept; i < plan->made; i++) {
        shards_beside(plan->path, plan->entries[i].name, path);
        unlink(path);
    }
    shards_beside(plan->path, plan->directory, path);
    if (plan->kept == 0) rmdir(path);
}

static pv_status write_sharded(shard_plan *plan, store_recipe *recipe, const store_box *whole, bool link_own)
{
    pv_status st;
    recipe->sharded = true;
    PV_TRY(make_directory(plan));
    if (link_own) PV_TRY(link_first(plan));
    PV_TRY(make_shards(plan, recipe));
    PV_TRY(store_write_file(recipe, plan->path, whole, plan->entries, plan->count));
done:
    if (st != PV_OK) unmake_shards(plan);
    return st;
}

/* Rank 0's work. */
static pv_status create(const char *path, const pv_store_spec *spec, const pv_storage_opts *storage)
{
    const store_box whole = {0, spec->views, 0, pv_signal_objects(spec->signal)};
    char *arch = arch_text(spec->arch, spec->variant);
    store_recipe recipe = {.texts = {[PV_STORE_ARCH] = arch,
                                     [PV_STORE_SIGNAL] = pv_signal_json(spec->signal),
                                     [PV_STORE_CONFIG] = spec->config,
                                     [PV_STORE_CODE_VERSION] = pv_version(),
                                     [PV_STORE_INSTRUCTION_SET] = pv_isa_name(pv_cpu_isa())},
                           .arch = spec->arch,
                           .signal = spec->signal,
                           .storage = storage};
    shard_plan plan = {.most = rows_of(storage, pv_arch_params(spec->arch))};
    pv_status st = arch ? PV_OK : PV_ERR_NOMEM;
    if (st == PV_OK && access(path, F_OK) == 0) st = pv_fail(PV_ERR_IO, "'%s' exists already", path);
    PV_TRY(st);
    PV_TRY(plan_make(path, &plan));
    PV_TRY(plan_shards(&plan, &whole));
    st = plan.count > 1 ? write_sharded(&plan, &recipe, &whole, false)
                        : store_write_file(&recipe, path, &whole, NULL, 0);
done:
    PV_FREE(plan.entries, arch);
    return st;
}

pv_status pv_store_create(const pv_comm *comm, const char *path, const pv_store_spec *spec,
                          const pv_storage_opts *storage)
{
    pv_status st;
    PV_TRY(pv_same_text(comm, "path of pv_store_create", path));
    PV_TRY(pv_same_text(comm, "config of pv_store_create", spec->config));
    PV_TRY(pv_same(comm, "views of pv_store_create", &spec->views, sizeof spec->views));
    st = pv_agree(comm, comm->rank == 0 ? create(path, spec, storage ? storage : &ordinary) : PV_OK);
done:
    return st;
}

/* The shards that the store has; its own file counts as one that is to be. */
static pv_status plan_present(shard_plan *plan, const pv_store *store)
{
    pv_status st = PV_OK;
    const shards *present = pv_store_shard_set(store);
    for (int i = 0; st == PV_OK && i < present->count; i++) {
        const shard *one = &present->all[i];
        st = plan_box(plan, &one->box);
        if (st == PV_OK && one->name) snprintf(plan->entries[i].name, SHARD_NAME_BYTES, "%s", one->name);
    }
    plan->kept = plan->made = pv_store_shards(store);
    return st;
}

/* New objects must have the classes that labels in the store are of. */
static pv_status check_classes(const pv_store *store, const pv_signal *signal)
{
    const pv_class_name *kept = pv_store_class_names(store), *names = pv_signal_class_names(signal);
    const int count = pv_store_signal(store)->classes;
    if (!kept || (names && count == pv_signal_classes(signal) &&
                  memcmp(kept, names, (size_t)count * sizeof *kept) == 0))
        return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' has labels of %d classes, '%s' to '%s', but its source has others now",
                   pv_store_path(store), count, kept[0].text, kept[count - 1].text);
}

static pv_status extend(const pv_store *store, const pv_store_growth *growth, const pv_storage_opts *storage)
{
    const int64_t old_views = pv_store_views(store), old_objects = pv_store_objects(store);
    const store_box views = {old_views, growth->views - old_views, 0, old_objects};
    const store_box whole = {0, growth->views, 0, growth->objects};
    const store_box objects = {0, growth->views, old_objects, growth->objects - old_objects};
    store_recipe recipe = {.arch = pv_store_arch(store),
                           .old = store,
                           .signal = growth->signal,
                           .first_new = growth->first_new,
                           .storage = storage};
    shard_plan plan = {.most = rows_of(storage, pv_store_params(store))};
    pv_status st;
    for (int which = 0; which < PV_STORE_TEXTS; which++)
        recipe.texts[which] = pv_store_text(store, (pv_store_texts)which);
    recipe.texts[PV_STORE_CONFIG] = growth->config;
    if (growth->objects > old_objects) PV_TRY(check_classes(store, growth->signal));
    PV_TRY(plan_make(pv_store_path(store), &plan));
    PV_TRY(plan_present(&plan, store));
    PV_TRY(plan_shards(&plan, &views));
    PV_TRY(plan_shards(&plan, &objects));
    st = write_sharded(&plan, &recipe, &whole, pv_store_shards(store) == 0);
done:
    free(plan.entries);
    return st;
}

pv_status pv_store_extend(const pv_comm *comm, const pv_store *store, const pv_store_growth *growth,
                          const pv_storage_opts *storage)
{
    const int64_t views = pv_store_views(store), objects = pv_store_objects(store);
    pv_status st;
    PV_TRY(pv_same_text(comm, "config of pv_store_extend", growth->config));
    PV_TRY(pv_same(comm, "views of pv_store_extend", &growth->views, sizeof growth->views));
    PV_TRY(pv_same(comm, "objects of pv_store_extend", &growth->objects, sizeof growth->objects));
    if (comm->rank == 0) {
        if (growth->views < views || growth->objects < objects)
            st = pv_fail(PV_ERR_CONFIG,
                         "'%s' has %lld views of %lld objects and cannot shrink to %lld of %lld",
                         pv_store_path(store), (long long)views, (long long)objects, (long long)growth->views,
                         (long long)growth->objects);
        else
            st = extend(store, growth, storage ? storage : &ordinary);
    }
    st = pv_agree(comm, st);
done:
    return st;
}
