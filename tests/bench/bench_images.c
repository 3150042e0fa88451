/* Files a second of the source of pictures, beside a plain loop of libpng over the same tree, in one run:
 * bench_images DIRECTORY [FILES].  Where there is no such directory, FILES (50 000) PNGs of 32 x 32 pixels
 * are made there.  Under mpirun the plain loop is rank 0's alone. */
#include "base/pv_clock.h"
#include "parallel/pv_comm.h"
#include "signal/pv_png.h"
#include "signal/pv_signal.h"

#include <ftw.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 32, CLASSES = 10, ROUNDS = 3, USUAL_FILES = 50000, DESCRIPTORS = 16 };

static pv_status make_tree(const char *root, int files)
{
    uint8_t pixels[SIDE * SIDE * 3];
    char path[4096];
    pv_status st = mkdir(root, 0777) == 0 ? PV_OK : PV_ERR_IO;
    for (int i = 0; i < files && st == PV_OK; i++) {
        snprintf(path, sizeof path, "%s/class%d", root, i % CLASSES);
        if (i < CLASSES) mkdir(path, 0777);
        for (unsigned p = 0; p < SIDE * SIDE * 3; p++) /* a gradient with some noise */
            pixels[p] = (uint8_t)(p / 24 + p % 96 + ((unsigned)i * 2654435761U + p * 40503U) % 9);
        snprintf(path, sizeof path, "%s/class%d/%d.png", root, i % CLASSES, i);
        st = pv_png_write(path, SIDE, SIDE, 3, pixels);
    }
    return st;
}

static int64_t read_files; /* by the plain loop */

static int read_plainly(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about, (void)where;
    FILE *file = type == FTW_F ? fopen(path, "rb") : NULL;
    if (!file) return 0;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_read_png(png, info, PNG_TRANSFORM_EXPAND, NULL);
    read_files += png_get_rows(png, info) != NULL;
    png_destroy_read_struct(&png, &info, NULL);
    fclose(file);
    return 0;
}

static pv_status open_signal(const pv_comm *comm, char *root, int64_t *objects)
{
    const pv_plugin *plugin = &pv_source_images.plugin;
    pv_signal_opts opts = {0};
    pv_signal *signal = NULL;
    pv_status st = pv_options_defaults(pv_signal_options, &opts);
    if (st != PV_OK) return st;
    char *usual_path = opts.path;
    const pv_pick usual = opts.source;
    opts.path = root;
    opts.source = (pv_pick){plugin, calloc(1, plugin->options_size)};
    st = pv_options_defaults(plugin->options, opts.source.options);
    if (st == PV_OK) st = pv_signal_open(comm, &opts, &signal);
    if (st == PV_OK) *objects = pv_signal_objects(signal);
    pv_signal_close(signal);
    pv_options_free(plugin->options, opts.source.options);
    free(opts.source.options);
    opts.path = usual_path;
    opts.source = usual;
    pv_options_free(pv_signal_options, &opts);
    return st;
}

int main(int argc, char **argv)
{
    double plain = 1e30, source = 1e30;
    int64_t objects = 0;
    struct stat about;
    pv_comm comm;
    MPI_Init(&argc, &argv);
    pv_comm_open(MPI_COMM_WORLD, 0, &comm);
    pv_status st = argc > 1 ? PV_OK : PV_ERR_USAGE;
    if (st == PV_OK && comm.rank == 0 && stat(argv[1], &about) != 0)
        st = make_tree(argv[1], argc > 2 ? atoi(argv[2]) : USUAL_FILES);
    MPI_Barrier(comm.world);
    for (int round = 0; round < ROUNDS && st == PV_OK; round++) {
        double start = pv_seconds();
        read_files = 0;
        if (comm.rank == 0) nftw(argv[1], read_plainly, DESCRIPTORS, 0);
        plain = pv_seconds() - start < plain ? pv_seconds() - start : plain;
        MPI_Barrier(comm.world);
        start = pv_seconds();
        st = open_signal(&comm, argv[1], &objects);
        source = pv_seconds() - start < source ? pv_seconds() - start : source;
    }
    if (st != PV_OK)
        fprintf(stderr, "bench_images: %s\n", argc > 1 ? pv_fail_message() : "which directory?");
    else if (comm.rank == 0)
        printf("{\"ranks\": %d, \"files\": %lld, \"plain_files_per_s\": %.0f, \"source_files_per_s\": %.0f, "
               "\"share\": %.3f}\n",
               comm.size, (long long)objects, (double)read_files / plain, (double)objects / source,
               (double)objects / source / ((double)read_files / plain));
    pv_comm_close(&comm);
    MPI_Finalize();
    return st == PV_OK ? 0 : 1;
}
