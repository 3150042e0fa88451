/* `polyview render`: draws an INR beside its signal. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "cmd/pv_commands.h"
#include "fit/pv_specimen.h"
#include "parallel/pv_output.h"
#include "picture/pv_picture.h"
#include "run/pv_open.h"
#include "signal/pv_png.h"

#include <stdlib.h>

/* The words of the command line. */
typedef struct words {
    char *path, *out;
    int64_t object, view;
    int scale;
} words;

static const pv_option options[] = {
    {.name = "STORE", PV_MEMBER(words, path), .path = true, .required = true, .meaning = "the store"},
    {PV_KEY(words, object), PV_AT_LEAST(0), .required = true, .meaning = "which object"},
    {PV_KEY(words, view), PV_AT_LEAST(0), .initial = "0", .meaning = "which view of it"},
    {PV_KEY(words, scale), PV_BETWEEN(1, 64), .initial = "8",
     .meaning = "pixels to a sample of a picture; larger is finer"},
    {.name = "o",
     PV_MEMBER(words, out),
     .path = true,
     .required = true,
     .value = "FILE.png",
     .meaning = "the picture"},
    {0}};

static pv_status check_fitted(const pv_store *store, const words *w)
{
    uint8_t fitted = 0;
    const pv_status st = pv_store_read_status(store, w->view, w->object, 1, &fitted);
    if (st != PV_OK || fitted == PV_ROW_FITTED) return st;
    return pv_fail(PV_ERR_DATA, "'%s': view %lld of object %lld is %s", pv_store_path(store),
                   (long long)w->view, (long long)w->object,
                   fitted == PV_ROW_REFUSED ? "refused: its loss was not finite" : "not fitted");
}

/* Finds the object in today's data; one that is another by now is drawn with a warning. */
static pv_status find_object(const pv_store *store, const pv_signal *original, const words *w,
                             int64_t *number)
{
    bool differs = false;
    pv_status st;
    PV_TRY(pv_open_object(store, original, w->object, number));
    PV_TRY(pv_specimen_compare(original, *number, store, w->object, &differs));
    if (differs)
        pv_log_warn(
            "the source data have changed: object %lld, as it is drawn here, is not what its INR in '%s' was "
            "fitted from",
            (long long)w->object, w->path);
done:
    return st;
}

static pv_status draw(const pv_store *store, const pv_signal *original, const words *w, json_t *result)
{
    pv_picture_subject subject = {.arch = pv_store_arch(store),
                                  .about = pv_store_signal(store),
                                  .where = pv_store_path(store),
                                  .signal = original,
                                  .scale = w->scale};
    pv_canvas canvas = {0};
    pv_picture_note note;
    float *row = NULL, psnr = 0;
    pv_status st;
    PV_TRY(check_fitted(store, w));
    PV_ALLOC(row, pv_store_params(store));
    PV_TRY(pv_store_read_rows(store, w->view, w->object, 1, row));
    PV_TRY(pv_store_read_psnr(store, w->view, w->object, 1, &psnr));
    if (original) PV_TRY(find_object(store, original, w, &subject.object));
    subject.row = row;
    PV_TRY(pv_picture_draw(&subject, &canvas, &note));
    PV_TRY(pv_png_write(w->out, canvas.height, canvas.width, canvas.channels, canvas.pixels));
    pv_json_text(result, "picture", w->out);
    pv_json_text(result, "kind", note.kind);
    if (note.low < note.high) pv_json_real(result, "low", note.low);
    if (note.low < note.high) pv_json_real(result, "high", note.high);
    pv_json_real(result, "psnr_db", (double)psnr);
done:
    pv_canvas_free(&canvas);
    free(row);
    return st;
}

static pv_status run_render(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_store *store = NULL;
    pv_signal *original = NULL;
    pv_status st;
    (void)run; /* a picture leaves no record */
    PV_TRY(pv_output_check(comm, "-o", w->out, (const char *const[]){PV_OUTPUT_PNG, NULL}));
    PV_TRY(pv_store_open(comm, w->path, PV_STORE_READ, NULL, &store));
    if (w->object >= pv_store_objects(store) || w->view >= pv_store_views(store))
        PV_TRY(pv_agree(comm, pv_fail(PV_ERR_USAGE, "'%s' has objects 0-%lld and views 0-%lld", w->path,
                                      (long long)pv_store_objects(store) - 1,
                                      (long long)pv_store_views(store) - 1)));
    if (pv_open_signal(comm, store, &original) != PV_OK)
        pv_log_warn("only the INR is drawn, the source data cannot be read: %s", pv_fail_message());
    PV_TRY(pv_agree(comm, comm->rank == 0 ? draw(store, original, w, result) : PV_OK));
done:
    pv_signal_close(original);
    pv_store_close(store);
    return st;
}

const pv_command pv_command_render = {
    .plugin = {.name = "render", .help = "draw an INR beside its signal", PV_OWN(options, words)},
    .about =
        "Pictures: the signal, the INR on the signal's grid, and the INR on a finer one.  Volumes: the same\n"
        "of the slices through the middle.  Waves: the signal as a broad line, the INR over it.  Shapes:\n"
        "the surfaces of the signal and of the INR.  Without the source data only the INR is drawn.\n",
    .run = run_render,
};
