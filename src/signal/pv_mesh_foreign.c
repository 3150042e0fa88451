/* OBJ, STL and PLY files, read by assimp.  OFF is not among them: assimp leaves out its faces of more than 9
 * corners, bends indices that are out of range, and breaks on lines that are longer than its own. */
#include "pv_mesh_foreign.h"
#include "base/pv_mem.h"

#include <assimp/cimport.h>
#include <assimp/scene.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

/* How far corners may be moved, as a share of the body's size. */
#define MOST_BLUR 1e-3

static pv_status count_vertices(const char *path, const struct aiScene *scene, int64_t *vertices)
{
    *vertices = 0;
    for (unsigned m = 0; m < scene->mNumMeshes; m++)
        *vertices += scene->mMeshes[m]->mNumVertices;
    return *vertices <= INT32_MAX ? PV_OK : pv_fail(PV_ERR_DATA, "'%s' has more than 2^31 vertices", path);
}

/* A face whose corners are numbered from the vertices of its part on. */
static pv_status add_face(const char *path, const struct aiMesh *part, unsigned f, int32_t first,
                          pv_mesh *mesh)
{
    const struct aiFace *face = &part->mFaces[f];
    int32_t *corners = NULL;
    pv_status st;
    PV_ALLOC(corners, face->mNumIndices);
    for (unsigned i = 0; i < face->mNumIndices; i++) {
        if (face->mIndices[i] >= part->mNumVertices)
            PV_TRY(pv_fail(PV_ERR_DATA, "'%s': face %u has the corner %u, but there are %u vertices", path, f,
                           face->mIndices[i], part->mNumVertices));
        corners[i] = first + (int32_t)face->mIndices[i];
    }
    st = pv_mesh_add(mesh, path, corners, (int)face->mNumIndices);
done:
    free(corners);
    return st;
}

/* assimp keeps 32-bit numbers: a body that lies far from the origin, as those of maps do, loses its shape. */
static pv_status check_place(const char *path, const pv_mesh *mesh)
{
    double low[3], high[3], most = 0, size = 0;
    for (int k = 0; k < 3; k++) {
        low[k] = high[k] = mesh->vertex[0][k];
        for (int64_t v = 1; v < mesh->vertices; v++) {
            low[k] = fmin(low[k], mesh->vertex[v][k]);
            high[k] = fmax(high[k], mesh->vertex[v][k]);
        }
        most = fmax(most, fmax(fabs(low[k]), fabs(high[k])));
        size = fmax(size, high[k] - low[k]);
    }
    if (!isfinite(most) || most * (double)FLT_EPSILON <= MOST_BLUR * size) return PV_OK;
    return pv_fail(
        PV_ERR_DATA,
        "'%s' lies too far from the origin: with coordinates of %g 32-bit numbers, in which such files are "
        "read, blur a body of size %g; move it to the origin, or save it as OFF",
        path, most, size);
}

static pv_status take_scene(const char *path, const struct aiScene *scene, pv_mesh *mesh)
{
    int64_t vertices, first = 0;
    pv_status st;
    PV_TRY(count_vertices(path, scene, &vertices));
    PV_ALLOC(mesh->vertex, vertices);
    mesh->vertices = vertices;
    for (unsigned m = 0; m < scene->mNumMeshes; m++)
        for (unsigned v = 0; v < scene->mMeshes[m]->mNumVertices; v++, first++) {
            const struct aiVector3D *p = &scene->mMeshes[m]->mVertices[v];
            double *vertex = mesh->vertex[first];
            vertex[0] = (double)p->x;
            vertex[1] = (double)p->y;
            vertex[2] = (double)p->z;
        }
    if (vertices > 0) PV_TRY(check_place(path, mesh));
    first = 0;
    for (unsigned m = 0; m < scene->mNumMeshes; first += scene->mMeshes[m++]->mNumVertices)
        for (unsigned f = 0; f < scene->mMeshes[m]->mNumFaces; f++)
            PV_TRY(add_face(path, scene->mMeshes[m], f, (int32_t)first, mesh));
done:
    return st;
}

pv_status pv_foreign_parse(const char *path, const char *ending, const char *bytes, int64_t size,
                           pv_mesh *mesh)
{
    const struct aiScene *scene = aiImportFileFromMemory(bytes, (unsigned)size, 0, ending);
    if (!scene) return pv_fail(PV_ERR_DATA, "'%s' cannot be read: %s", path, aiGetErrorString());
    const pv_status st = take_scene(path, scene, mesh);
    aiReleaseImport(scene);
    return st;
}
