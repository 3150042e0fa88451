/* Lines of the metrics file. */
#include "pv_metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pv_status io_error(const char *path)
{
    return pv_fail(PV_ERR_IO, "cannot write the metrics '%s': %s", path, strerror(errno));
}

static int is_kept(const char *line, int64_t epoch, int64_t batch)
{
    json_t *event = json_loads(line, 0, NULL);
    const json_t *its_epoch = json_object_get(event, "epoch"), *its_batch = json_object_get(event, "batch");
    const json_int_t number = json_integer_value(its_epoch);
    const int within = its_batch && number == epoch + 1 && json_integer_value(its_batch) <= batch;
    const int kept = event && (!its_epoch || number <= epoch || within);
    json_decref(event);
    return kept;
}

pv_status pv_metrics_start(const char *path, int64_t epoch, int64_t batch)
{
    FILE *old = epoch < 0 ? NULL : fopen(path, "r");
    char *part = NULL, *line = NULL;
    size_t capacity = 0;
    if (asprintf(&part, "%s.part", path) < 0) {
        if (old) fclose(old);
        return pv_fail(PV_ERR_NOMEM, "no memory for a file name");
    }
    FILE *kept = fopen(part, "w");
    pv_status st = kept ? PV_OK : io_error(path);
    while (kept && old && getline(&line, &capacity, old) > 0)
        if (is_kept(line, epoch, batch)) fputs(line, kept);
    if (kept && fclose(kept) != 0) st = io_error(path);
    if (st == PV_OK && rename(part, path) != 0) st = io_error(path);
    if (old) fclose(old);
    free(line);
    free(part);
    return st;
}

pv_status pv_metrics_append(const char *path, json_t *line)
{
    FILE *file = fopen(path, "a");
    int bad = !file || !line;
    if (!bad) {
        bad = json_dumpf(line, file, 0) != 0 || fputc('\n', file) == EOF;
        bad = fclose(file) != 0 || bad;
    }
    json_decref(line);
    return bad ? io_error(path) : PV_OK;
}
