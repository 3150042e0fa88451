/* Making and growing a store: which files, in which order, so that a file of the store's name is always
 * whole. */
#include "pv_shard_plan.h"
#include "pv_store_files.h"
#include "pv_store_look.h"
#include "base/pv_cpu.h"
#include "base/pv_mem.h"
#include "base/pv_version.h"
#include "parallel/pv_walk.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const pv_storage_opts ordinary = {.reserve = true, .sync = true, .hints = (char[]){""}};

static char *arch_text(const pv_arch *arch, const char *variant)
{
    json_t *root = pv_arch_to_json(arch);
    json_object_set_new(root, "init", json_string(variant));
    char *text = json_dumps(root, JSON_REAL_PRECISION(9));
    json_decref(root);
    return text;
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

/* Writes the shards that the plan has more than the store, and the master over all. */
static pv_status write_sharded(const pv_comm *comm, shard_plan *plan, const store_recipe *recipe,
                               const store_box *whole, store_making *making)
{
    char path[PATH_MAX];
    pv_status st;
    for (int i = plan->there; i < plan->count; i++) {
        shards_beside(plan->path, plan->entries[i].name, path);
        PV_TRY(store_write_file(comm, recipe, path, &plan->entries[i].box, NULL, 0, making));
    }
    st = store_write_file(comm, recipe, plan->path, whole, plan->entries, plan->count, making);
done:
    return st;
}

/* Writes what the plan says, whole or not at all. */
static pv_status write_planned(const pv_comm *comm, shard_plan *plan, store_recipe *recipe,
                               const store_box *whole)
{
    store_making making = {.written = 0};
    int64_t objects = whole->objects;
    pv_status st;
    for (int i = plan->there; recipe->sharded && i < plan->count; i++)
        objects += plan->entries[i].box.objects;
    pv_progress_start(&making.progress, "making", "objects", objects);
    PV_TRY(shard_plan_begin(comm, plan, recipe->sharded));
    st = recipe->sharded ? write_sharded(comm, plan, recipe, whole, &making)
                         : store_write_file(comm, recipe, plan->path, whole, NULL, 0, &making);
done:
    if (comm->rank == 0) shard_plan_end(plan, st == PV_OK);
    if (st == PV_OK) pv_walk_end(&making.progress, objects);
    return st;
}

static pv_status plan_new(const char *path, const store_box *whole, shard_plan *plan)
{
    pv_status st;
    PV_TRY(shard_plan_make(path, plan));
    st = shard_plan_box(plan, whole);
done:
    return st;
}

static pv_status create(const pv_comm *comm, const char *path, const pv_store_spec *spec,
                        const pv_storage_opts *storage)
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
    pv_status st;
    PV_TRY(pv_agree(comm, arch ? plan_new(path, &whole, &plan) : PV_ERR_NOMEM));
    recipe.sharded = plan.count > 1;
    st = write_planned(comm, &plan, &recipe, &whole);
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
    if (pv_path_exists(comm, path)) PV_TRY(pv_fail(PV_ERR_IO, "'%s' exists already", path));
    st = create(comm, path, spec, storage ? storage : &ordinary);
done:
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

/* The shards that the store has, its own file counting as one, and those that it is to get. */
static pv_status plan_growth(const pv_store *store, const pv_store_growth *growth, shard_plan *plan)
{
    const int64_t old_views = pv_store_views(store), old_objects = pv_store_objects(store);
    const store_box views = {old_views, growth->views - old_views, 0, old_objects};
    const store_box objects = {0, growth->views, old_objects, growth->objects - old_objects};
    pv_status st;
    if (growth->views < old_views || growth->objects < old_objects)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "'%s' has %lld views of %lld objects and cannot shrink to %lld of %lld",
                       pv_store_path(store), (long long)old_views, (long long)old_objects,
                       (long long)growth->views, (long long)growth->objects));
    if (growth->objects > old_objects) PV_TRY(check_classes(store, growth->signal));
    PV_TRY(shard_plan_make(pv_store_path(store), plan));
    PV_TRY(shard_plan_present(plan, store));
    PV_TRY(shard_plan_box(plan, &views));
    st = shard_plan_box(plan, &objects);
done:
    return st;
}

static pv_status extend(const pv_comm *comm, const pv_store *store, const pv_store_growth *growth,
                        const pv_storage_opts *storage)
{
    const store_box whole = {0, growth->views, 0, growth->objects};
    store_recipe recipe = {.arch = pv_store_arch(store),
                           .old = store,
                           .signal = growth->signal,
                           .first_new = growth->first_new,
                           .storage = storage,
                           .sharded = true};
    shard_plan plan = {.most = rows_of(storage, pv_store_params(store))};
    int held = -1;
    pv_status st;
    for (int which = 0; which < PV_STORE_TEXTS; which++)
        recipe.texts[which] = pv_store_text(store, (pv_store_texts)which);
    recipe.texts[PV_STORE_CONFIG] = growth->config;
    /* the file becomes a shard: what a program that has it open added to it would be lost */
    PV_TRY(pv_agree(comm, comm->rank == 0 ? store_file_hold(pv_store_path(store), &held) : PV_OK));
    PV_TRY(pv_agree(comm, plan_growth(store, growth, &plan)));
    st = write_planned(comm, &plan, &recipe, &whole);
done:
    if (held >= 0) close(held);
    free(plan.entries);
    return st;
}

pv_status pv_store_extend(const pv_comm *comm, const pv_store *store, const pv_store_growth *growth,
                          const pv_storage_opts *storage)
{
    pv_status st;
    PV_TRY(pv_same_text(comm, "config of pv_store_extend", growth->config));
    PV_TRY(pv_same(comm, "views of pv_store_extend", &growth->views, sizeof growth->views));
    PV_TRY(pv_same(comm, "objects of pv_store_extend", &growth->objects, sizeof growth->objects));
    st = extend(comm, store, growth, storage ? storage : &ordinary);
done:
    return st;
}
