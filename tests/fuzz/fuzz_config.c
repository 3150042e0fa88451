/* Feeds arbitrary bytes to the config loader.  The first byte says how: '=' makes each line of the rest a
 * --set; anything else makes the whole input the text of a file.  A config that loads must survive emit,
 * load, emit. */
#include "fuzz.h"
#include "run/pv_run_config.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 8 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

static void round_trip(const pv_run_config *config)
{
    char *first = NULL, *second = NULL, text[256];
    pv_run_config *again = NULL;
    int count = 0;
    fuzz_require(pv_run_config_emit(config, &first) == PV_OK, "a loaded config cannot be emitted");
    fuzz_require(pv_run_config_load("emitted", first, NULL, 0, &again) == PV_OK,
                 "an emitted config cannot be loaded");
    fuzz_require(pv_run_config_emit(again, &second) == PV_OK, "a reloaded config cannot be emitted");
    fuzz_require(strcmp(first, second) == 0, "emit, load, emit changed the text");
    fuzz_require(pv_run_config_conflicts(config, again, PV_FIXES_ROWS | PV_FIXES_MODEL, text, sizeof text,
                                     &count) == PV_OK &&
                     count == 0,
                 "emit, load changed the config");
    pv_run_config_free(again);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    const char *sets[SETS];
    int set_count = 0;
    pv_run_config *config = NULL;
    if (!text) return 0;
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    const int as_sets = text[0] == '=';
    for (char *line = text; as_sets && line && set_count < SETS;) {
        sets[set_count++] = line + (line == text);
        line = strchr(line, '\n');
        if (line) *line++ = '\0';
    }
    const pv_status st = pv_run_config_load("fuzz.yaml", as_sets ? "" : text, sets, set_count, &config);
    if (st == PV_OK)
        round_trip(config);
    else
        fuzz_require(st == PV_ERR_CONFIG && !config && pv_fail_message()[0],
                     "a failure that is not a config error");
    pv_run_config_free(config);
    free(text);
    return 0;
}
