/* Shapes: triangle meshes in a class tree (pv_tree.h), as signed distances or occupancies at points of the
 * space around them.  Meshes stay on disk: one is read when its samples are asked for. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "pv_mesh_field.h"
#include "pv_mesh_file.h"
#include "pv_tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_SDF, FIELD_OCCUPANCY };
static const char *const fields[] = {"sdf", "occupancy", NULL};

typedef struct shapes_opts {
    unsigned field;
    int samples, heldout;
    double near, spread, truncate;
    bool skip_bad;
    uint64_t seed;
} shapes_opts;

static const pv_option options[] = {
    {PV_KEY(shapes_opts, field), .initial = "sdf", .choices = fields, .fixes = PV_FIXES_ROWS,
     .meaning =
         "what a shape is as a signal: distances to its surface, negative inside, in units of the unit "
         "ball that it is scaled to; or occupancies, -0.5 inside and 0.5 outside"},
    {PV_KEY(shapes_opts, samples), .initial = "16384", PV_BETWEEN(16, 16777216), .fixes = PV_FIXES_ROWS,
     .meaning = "points of a shape that it is fitted at"},
    {PV_KEY(shapes_opts, near), .initial = "0.5", PV_BETWEEN(0, 1), .fixes = PV_FIXES_ROWS,
     .meaning = "share of them near its surface; the others are uniform in [-1, 1]^3"},
    {PV_KEY(shapes_opts, spread), .initial = "0.05", PV_BETWEEN(0, 1), .fixes = PV_FIXES_ROWS,
     .meaning = "how near: standard deviation of their distance, in each coordinate, from points of the "
                "surface"},
    {PV_KEY(shapes_opts, truncate), .initial = "0", PV_BETWEEN(0, 4), .fixes = PV_FIXES_ROWS,
     .meaning =
         "distances beyond this are taken as this, so that a small net is spent on the surface; 0: none"},
    {PV_KEY(shapes_opts, heldout), .initial = "8192", PV_BETWEEN(2, 16777216), .fixes = PV_FIXES_ROWS,
     .meaning =
         "points that a fit is judged at: half as near the surface, half uniform in the box around the "
         "shape"},
    {PV_KEY(shapes_opts, skip_bad), .initial = "false", .fixes = PV_FIXES_ROWS,
     .meaning =
         "files that are no meshes are left out, not refused; every file is read whole beforehand, not "
         "its first bytes only"},
    {PV_KEY(shapes_opts, seed), .initial = "1", .fixes = PV_FIXES_ROWS,
     .meaning = "seed of the points, and of the division where directories are not called train, val, test"},
    {0}};

/* ---- the files ---- */

typedef struct shapes {
    pv_tree tree;
    shapes_opts opts;
} shapes;

/* What is shared: this, and behind it the table of paths. */
typedef struct shapes_shared {
    double near, spread, truncate; /* infinite for none */
    int64_t field;
} shapes_shared;

/* Whether a file is a mesh: by its head, or by reading it whole. */
static pv_status look_at(const char *path, bool whole)
{
    pv_mesh mesh = {0};
    const pv_status st = whole ? pv_mesh_read(path, &mesh) : pv_mesh_look(path);
    pv_mesh_free(&mesh);
    return st;
}

/* Looks at all files; those that are no meshes go into no pool, or are named in one message. */
static pv_status look_at_all(pv_tree *tree, bool skip)
{
    enum { NAMED_BYTES = 1500 };
    char path[PV_TREE_PATH], named[NAMED_BYTES] = "";
    size_t length = 0;
    int64_t bad = 0;
    for (int64_t i = 0; i < tree->count; i++) {
        pv_tree_path(tree, i, path);
        const pv_status st = look_at(path, skip);
        if (st == PV_ERR_NOMEM) return st;
        if (st == PV_OK) continue;
        tree->files[i].pool = -1;
        bad++;
        if (length < sizeof named)
            length += (size_t)snprintf(named + length, sizeof named - length, "\n  %s", pv_fail_message());
    }
    const char *more = length < sizeof named ? "" : "...";
    if (bad > 0 && !skip)
        return pv_fail(
            PV_ERR_DATA,
            "%lld of %lld files in '%s' are no meshes (mend them, take them away, or leave them out "
            "by signal.skip_bad: true):%s%s",
            (long long)bad, (long long)tree->count, tree->text, named, more);
    if (bad > 0)
        pv_log_warn("%lld of %lld files in '%s' are left out, as they are no meshes:%s%s", (long long)bad,
                    (long long)tree->count, tree->text, named, more);
    return PV_OK;
}

static pv_status survey(const pv_signal_opts *opts, pv_source_form *form, void **reader)
{
    shapes *all = NULL;
    pv_status st;
    if (!opts->path) return pv_fail(PV_ERR_CONFIG, "signal.path is missing: the directory of the meshes");
    PV_ALLOC(all, 1);
    *reader = all;
    all->opts = *(const shapes_opts *)opts->source.options;
    *form = (pv_source_form){.inputs = 3,
                             .channels = 1,
                             .samples = all->opts.samples,
                             .heldout = all->opts.heldout,
                             .own_coords = 1,
                             .seed = all->opts.seed};
    PV_TRY(pv_tree_list(opts->path, pv_mesh_endings, &all->tree));
    PV_TRY(look_at_all(&all->tree, all->opts.skip_bad));
    PV_TRY(pv_tree_divide(&all->tree, all->opts.seed, opts, form));
    form->shared_bytes = (int64_t)sizeof(shapes_shared) + pv_tree_table_bytes(&all->tree);
done:
    return st;
}

static pv_status load(void *reader, const pv_source_form *form, const pv_splits *splits, pv_source_held *held)
{
    const shapes *all = reader;
    shapes_shared *shared = held->shared;
    (void)form;
    const double most = all->opts.truncate > 0 ? all->opts.truncate : HUGE_VAL;
    *shared = (shapes_shared){all->opts.near, all->opts.spread, most, all->opts.field};
    pv_tree_table(&all->tree, shared + 1);
    pv_tree_hand_over(&all->tree, splits, held);
    return PV_OK;
}

static pv_status classes(void *reader, int *count, pv_class_name **names)
{
    shapes *all = reader;
    *count = all->tree.classes;
    *names = all->tree.names;
    all->tree.names = NULL;
    return PV_OK;
}

static void close_shapes(void *reader)
{
    shapes *all = reader;
    pv_tree_free(&all->tree);
    free(all);
}

/* ---- a shape ---- */

/* The mesh that was asked for last, of this thread: the points that it is fitted at and judged at are asked
 * for one after the other. */
static _Thread_local struct {
    char path[PV_TREE_PATH];
    pv_mesh mesh;
    pv_mesh_field *field;
} last;

static pv_status recall(const pv_source_object *object)
{
    const shapes_shared *shared = object->shared;
    char path[PV_TREE_PATH];
    pv_status st;
    pv_tree_table_path(shared + 1, object->place, path);
    if (last.field && strcmp(path, last.path) == 0) return PV_OK;
    pv_mesh_field_free(last.field);
    last.field = NULL;
    pv_mesh_free(&last.mesh);
    PV_TRY(pv_mesh_read(path, &last.mesh));
    PV_TRY(pv_mesh_field_make(&last.mesh, &last.field));
    memcpy(last.path, path, sizeof path);
done:
    return st;
}

/* Points near the surface first, then uniform ones in a box of these half sides. */
static void draw_points(const pv_source_object *object, pv_rng *rng, int near, int count,
                        const double half[3], float *coords, float *values)
{
    const shapes_shared *shared = object->shared;
    for (int i = 0; i < count; i++, coords += 3) {
        double point[3] = {0};
        if (i < near) pv_mesh_field_surface(last.field, rng, point);
        for (int k = 0; k < 3; k++) {
            coords[k] = (float)(i < near ? point[k] + shared->spread * pv_rng_normal(rng)
                                         : pv_rng_range(rng, -half[k], half[k]));
            point[k] = (double)coords[k];
        }
        const double distance = pv_mesh_field_signed(last.field, point);
        values[i] = (float)(shared->field == FIELD_OCCUPANCY
                                ? copysign(0.5, distance)
                                : copysign(fmin(fabs(distance), shared->truncate), distance));
    }
}

/* Random: PV_RNG_SIGNAL, (id, 2) */
static pv_status samples(const pv_source_object *object, float *coords, float *values)
{
    static const double whole[3] = {1, 1, 1};
    const shapes_shared *shared = object->shared;
    const int count = object->form->samples;
    pv_rng rng = pv_rng_open(object->form->seed, PV_RNG_SIGNAL, object->id, 2);
    const pv_status st = recall(object);
    if (st == PV_OK)
        draw_points(object, &rng, (int)(shared->near * count + 0.5), count, whole, coords, values);
    return st;
}

/* Random: PV_RNG_SIGNAL, (id, 3) */
static pv_status heldout(const pv_source_object *object, float *coords, float *values)
{
    static const double wider = 1.1;
    const int count = object->form->heldout;
    pv_rng rng = pv_rng_open(object->form->seed, PV_RNG_SIGNAL, object->id, 3);
    const pv_status st = recall(object);
    if (st != PV_OK) return st;
    const double *half = last.mesh.half;
    draw_points(object, &rng, count / 2, count,
                (double[3]){wider * half[0], wider * half[1], wider * half[2]}, coords, values);
    return PV_OK;
}

static pv_status distances(const pv_source_object *object, int64_t n, const float *points, float *out)
{
    const pv_status st = recall(object);
    for (int64_t i = 0; st == PV_OK && i < n; i++, points += 3)
        out[i] = (float)pv_mesh_field_signed(
            last.field, (double[3]){(double)points[0], (double)points[1], (double)points[2]});
    return st;
}

static pv_status frame(const pv_source_object *object, float out[PV_SOURCE_FRAME])
{
    const pv_status st = recall(object);
    if (st != PV_OK) return st;
    for (int k = 0; k < 3; k++)
        out[k] = (float)last.mesh.centre[k];
    out[3] = (float)last.mesh.scale;
    return PV_OK;
}

static json_t *describe(const pv_signal_opts *opts, const pv_source_form *form)
{
    const shapes_opts *own = opts->source.options;
    (void)form;
    return json_pack("{s:s, s:s, s:s}", "path", opts->path, "field", fields[own->field], "values",
                     own->field == FIELD_SDF
                         ? "distance to the surface, negative inside, of the shape in the unit ball"
                         : "-0.5 inside the shape, 0.5 outside");
}

const pv_source pv_source_shapes = {
    .plugin =
        {.name = "shapes",
         .help = "triangle meshes in a tree of classes (OFF, OBJ, STL, PLY), as signed distances or "
                 "occupancies; usual: all, val a tenth and test a fifth of what directories do not put apart",
         PV_OWN(options, shapes_opts)},
    .pools = {"the tree's train part", "the tree's test part", "the tree's val part"},
    .usual = {PV_ALL, 0.1, 0.2},
    .survey = survey,
    .load = load,
    .classes = classes,
    .close = close_shapes,
    .samples = samples,
    .heldout = heldout,
    .distances = distances,
    .frame = frame,
    .describe = describe,
};
