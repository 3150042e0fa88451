/* Any bytes given to the reader of meshes as an OFF file end in triangles in the unit ball, whose field is
 * finite, or in a status with a message.  The other formats are read by assimp, which keeps no such promise:
 * of them only the look at the first bytes is tried here. */
#include "fuzz.h"
#include "signal/pv_mesh_field.h"
#include "signal/pv_mesh_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

static void check_field(const pv_mesh *mesh)
{
    pv_mesh_field *field;
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    fuzz_require(pv_mesh_field_make(mesh, &field) == PV_OK, "triangles with areas have a field");
    for (int i = 0; i < 8; i++) {
        double p[3], nearest2 = HUGE_VAL;
        pv_mesh_field_surface(field, &rng, p);
        for (int k = 0; k < 3; k++)
            p[k] += 0.1 * pv_rng_normal(&rng);
        for (int64_t t = 0; t < mesh->triangles; t++)
            nearest2 = fmin(nearest2, pv_distance2_triangle(p, pv_mesh_triangle(mesh, t), HUGE_VAL));
        fuzz_require(fabs(fabs(pv_mesh_field_signed(field, p)) - sqrt(nearest2)) < 1e-6,
                     "the distance is that to the nearest triangle");
    }
    pv_mesh_field_free(field);
}

static void parse(const char *text, size_t bytes)
{
    pv_mesh mesh = {0};
    const pv_status st = pv_mesh_parse("fuzz.off", text, (int64_t)bytes, &mesh);
    fuzz_require(st == PV_OK || st == PV_ERR_DATA, "a bad file is PV_ERR_DATA");
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), "fuzz.off"), "a message names the file");
    if (st == PV_OK) {
        fuzz_require(mesh.triangles > 0 && mesh.scale > 0, "a mesh has triangles");
        for (int64_t i = 0; i < 3 * mesh.triangles; i++) {
            const double *p = mesh.vertex[mesh.triangle[i / 3][i % 3]];
            fuzz_require(p[0] * p[0] + p[1] * p[1] + p[2] * p[2] < 1 + 1e-9, "it lies in the unit ball");
        }
        check_field(&mesh);
    }
    pv_mesh_free(&mesh);
}

/* As a file of another format, which its end says. */
static void look(const uint8_t *data, size_t bytes)
{
    static const char *const endings[] = {"obj", "stl", "ply"};
    char path[64];
    snprintf(path, sizeof path, "/tmp/polyview-fuzz-%ld.%s", (long)getpid(), endings[bytes % 3]);
    FILE *file = fopen(path, "wb");
    fuzz_require(file && fwrite(data, 1, bytes, file) == bytes, "a file can be written");
    fclose(file);
    const pv_status st = pv_mesh_look(path);
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), path), "a message names the file");
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = malloc(bytes + 1);
    fuzz_require(text != NULL, "there is memory");
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    look(data, bytes);
    parse(text, bytes);
    free(text);
    return 0;
}
