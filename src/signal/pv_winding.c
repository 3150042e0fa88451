/* How often a mesh winds around a point: its triangles, halved along the longest axis again and again. */
#include "pv_winding.h"
#include "base/pv_mem.h"
#include "pv_triangle.h"
#include "pv_winding_kernels.h"

#include <math.h>
#include <stdlib.h>

/* How many times its own reach away a group counts as a dipole. */
static const double FAR = 2.5;

struct pv_winding {
    const pv_winding_kernels *kernels;
    pv_winding_group *groups;
    pv_winding_block *blocks;
    int32_t group_count, block_count;
};

/* Triangles on their way into groups: these are the order's places `first` to `first + count`. */
typedef struct pile {
    const pv_mesh *mesh;
    int32_t *order;
    int32_t first, count;
} pile;

static pv_triangle triangle_of(const pile *p, int32_t place)
{
    return pv_mesh_triangle(p->mesh, p->order[place]);
}

/* Three times the middle of a triangle along an axis. */
static double middle(const pile *p, int32_t place, int axis)
{
    const pv_triangle t = triangle_of(p, place);
    return t.a[axis] + t.b[axis] + t.c[axis];
}

/* The axis along which the middles are farthest apart. */
static int longest_axis(const pile *p)
{
    int longest = 0;
    double most = -1;
    for (int axis = 0; axis < 3; axis++) {
        double low = HUGE_VAL, high = -HUGE_VAL;
        for (int32_t i = p->first; i < p->first + p->count; i++) {
            const double x = middle(p, i, axis);
            low = fmin(low, x);
            high = fmax(high, x);
        }
        if (high - low > most) {
            most = high - low;
            longest = axis;
        }
    }
    return longest;
}

/* About half of them, as many as fill blocks. */
static int32_t half_of(int32_t count)
{
    return (count / 2 + PV_WINDING_BLOCK - 1) / PV_WINDING_BLOCK * PV_WINDING_BLOCK;
}

/* Reorders them so that no middle of the first `count` lies beyond one of the others. */
static void part(pile *p, int32_t count, int axis)
{
    const int32_t half = p->first + count;
    for (int32_t low = p->first, high = p->first + p->count - 1; low < high;) {
        const double pivot = middle(p, low + (high - low) / 2, axis);
        int32_t i = low, j = high;
        while (i <= j) {
            while (middle(p, i, axis) < pivot)
                i++;
            while (middle(p, j, axis) > pivot)
                j--;
            if (i > j) break;
            const int32_t moved = p->order[i];
            p->order[i++] = p->order[j];
            p->order[j--] = moved;
        }
        if (half <= j)
            high = j;
        else if (half >= i)
            low = i;
        else
            break;
    }
}

/* What they are together to points far away. */
static void sum_up(const pile *p, pv_winding_group *g)
{
    double area = 0, centre[3] = {0}, normals[3] = {0}, reach = 0;
    for (int32_t i = p->first; i < p->first + p->count; i++) {
        const pv_triangle t = triangle_of(p, i);
        double normal[3];
        pv_normal(t, normal);
        const double own = sqrt(pv_dot(normal, normal));
        area += own;
        for (int k = 0; k < 3; k++) {
            normals[k] += normal[k] / 2;
            centre[k] += own * (t.a[k] + t.b[k] + t.c[k]) / 3;
        }
    }
    for (int k = 0; k < 3; k++) {
        g->normal[k] = (float)normals[k];
        centre[k] = area > 0 ? centre[k] / area : 0;
        g->centre[k] = (float)centre[k];
    }
    for (int32_t i = p->first; i < p->first + p->count; i++) {
        const pv_triangle t = triangle_of(p, i);
        const double *corners[] = {t.a, t.b, t.c};
        for (int corner = 0; corner < 3; corner++) {
            double away[3];
            pv_minus(corners[corner], centre, away);
            reach = fmax(reach, sqrt(pv_dot(away, away)));
        }
    }
    g->near2 = (float)(FAR * FAR * reach * reach);
}

static void fill_block(const pile *p, pv_winding_block *block)
{
    for (int32_t i = 0; i < p->count; i++) {
        const pv_triangle t = triangle_of(p, p->first + i);
        const double *corners[] = {t.a, t.b, t.c};
        for (int corner = 0; corner < 3; corner++)
            for (int k = 0; k < 3; k++)
                block->corner[corner][k][i] = (float)corners[corner][k];
    }
}

/* Puts the group of a pile behind the others, and those below it. */
static void add_groups(pv_winding *w, pile p)
{
    pv_winding_group *g = &w->groups[w->group_count++];
    sum_up(&p, g);
    g->block = -1;
    if (p.count <= PV_WINDING_BLOCK) {
        g->block = w->block_count++;
        fill_block(&p, &w->blocks[g->block]);
    } else {
        const int32_t half = half_of(p.count);
        part(&p, half, longest_axis(&p));
        add_groups(w, (pile){p.mesh, p.order, p.first, half});
        add_groups(w, (pile){p.mesh, p.order, p.first + half, p.count - half});
    }
    g->next = w->group_count;
}

pv_status pv_winding_make(const pv_mesh *mesh, pv_winding **out)
{
    /* All blocks but the last are full. */
    const int64_t triangles = mesh->triangles, blocks = triangles / PV_WINDING_BLOCK + 1;
    int32_t *order = NULL;
    pv_winding *w = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(w, 1);
    PV_ALLOC(w->groups, 2 * blocks);
    PV_ALLOC(w->blocks, blocks);
    PV_ALLOC(order, triangles);
    w->kernels = PV_ISA_CHOOSE(pv_winding_kernels);
    for (int32_t t = 0; t < triangles; t++)
        order[t] = t;
    add_groups(w, (pile){mesh, order, 0, (int32_t)triangles});
    *out = w;
    w = NULL;
done:
    free(order);
    pv_winding_free(w);
    return st;
}

void pv_winding_free(pv_winding *w)
{
    if (!w) return;
    free(w->groups);
    free(w->blocks);
    free(w);
}

double pv_winding_around(const pv_winding *w, const double point[3])
{
    return w->kernels->around(w->group_count, w->groups, w->blocks, point);
}
