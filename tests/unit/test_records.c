/* Run records are read back as they were written, and what is no record is passed over. */
#include "base/pv_json.h"
#include "run/pv_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 8 };

typedef struct seen {
    pv_past_run runs[MOST];
    int count;
} seen;

static void keep(void *context, const pv_past_run *run)
{
    seen *s = context;
    assert_true(s->count < MOST);
    s->runs[s->count++] = *run;
}

/* Writes the record of a run of two ranks that fitted some rows, in its result or in the repair of it. */
static void write_run(const char *output, char *command, pv_status end, int fitted, bool repair)
{
    const pv_run_origin origin = {1, (char *[]){command}, 0};
    const pv_time_split split = {10, 6, 2, 1.5, 0.5};
    json_t *record = json_object(),
           *fill = json_pack("{s:i, s:i, s:f}", "fitted", fitted, "steps", 100, "seconds", 4.0);
    pv_record_put_origin(&origin, output, end, record);
    pv_record_put_time(&split, 9, record);
    pv_json_int(record, "ranks", 2);
    pv_json_int(record, "nodes", 1);
    json_object_set_new(record, "result", repair ? json_pack("{s:o}", "repair", fill) : fill);
    assert_int_equal(pv_record_append(output, record), PV_OK);
    json_decref(record);
}

static void are_read_back(void **state)
{
    char output[] = "/tmp/polyview-records-XXXXXX";
    const int fd = mkstemp(output);
    char *path = pv_record_path(output);
    seen s = {0};
    (void)state;
    assert_true(fd >= 0 && path);
    write_run(output, "fit", PV_OK, 20, false);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("{\"command\": \"torn\n\n[1, 2]\n", file);
    fclose(file);
    write_run(output, "verify", PV_OK, 3, true);
    write_run(output, "train", PV_STOPPED, 0, false);
    assert_int_equal(pv_records_read(path, keep, &s), PV_OK);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.runs[0].command, "fit");
    assert_int_equal(s.runs[0].fitted, 20);
    assert_true(s.runs[0].fit_steps == 100 && s.runs[0].fit_seconds == 4);
    assert_int_equal(s.runs[0].ranks, 2);
    assert_int_equal(s.runs[0].nodes, 1);
    assert_true(s.runs[0].time.wall == 10 && s.runs[0].time.compute == 6 && s.runs[0].time.files == 2);
    assert_true(s.runs[0].time.communication == 1.5 && s.runs[0].time.idle == 0.5);
    assert_int_equal(s.runs[1].fitted, 3); /* by the fit within the repair */
    assert_string_equal(s.runs[2].command, "train");
    assert_int_equal(s.runs[2].fitted, 0);
    assert_int_equal(s.runs[2].exit_status, pv_status_exit_code(PV_STOPPED));
    unlink(path);
    assert_int_equal(pv_records_read(path, keep, &s), PV_ERR_IO);
    free(path);
    close(fd);
    unlink(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(are_read_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
