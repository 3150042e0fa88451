/* OBJ, STL and PLY files, read by assimp.  OFF is not among them: assimp leaves out its faces of more than 9
 * corners, bends indices that are out of range, and breaks on lines that are longer than its own. */
#include "pv_mesh_foreign.h"
#include "base/pv_mem.h"

#include <assimp/cimport.h>
#include <assimp/scene.h>
#include <stdlib.h>

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
