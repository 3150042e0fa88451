/* Any words of a command line end in options within their ranges, or in a usage error with a message.  The
 * first byte of an input picks a command or bench; each line of the rest is a word. */
#include "fuzz.h"
#include "bench/pv_benches.h"
#include "cmd/pv_commands.h"
#include "config/pv_words.h"
#include "probe/pv_probe.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS = 40, MOST = 32 };

static const pv_plugin *commands[MOST];
static int count;

static void list(const pv_registry *registry)
{
    for (const pv_plugin *const *plugin = registry->plugins; *plugin && count < MOST; plugin++)
        if ((*plugin)->options) commands[count++] = *plugin;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    list(&pv_commands);
    list(&pv_benches);
    return 0;
}

static void look_at(const pv_option *rows, const char *options)
{
    for (; rows->name; rows++) {
        const char *const member = options + rows->offset;
        const pv_range *range = &rows->range;
        const bool ranged = range->low != 0 || range->high != 0;
        if (rows->type == PV_OPTION_INT && ranged && rows->initial)
            fuzz_require(*(const int *)member >= range->low && *(const int *)member <= range->high,
                         "a number is in its range");
        if (rows->type == PV_OPTION_WORDS)
            fuzz_require(((const pv_words *)member)->count <= PV_WORDS_MAX, "words are counted");
        if (rows->type == PV_OPTION_PICK && rows->registry == &pv_probes) {
            const pv_pick *const pick = (const pv_pick *)member;
            const pv_status st = pv_probe_check((const pv_probe *)pick->plugin, pick->options);
            fuzz_require(st == PV_OK || (st == PV_ERR_USAGE && pv_fail_message()[0]), "so are candidates");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const pv_plugin *const command = commands[data[0] % count];
    char *text = strndup((const char *)data + 1, size - 1), *rest = text, *argv[WORDS + 2];
    void *options = calloc(1, command->options_size);
    int argc = 1;
    if (!text || !options) abort();
    argv[0] = (char *)command->name;
    for (char *word; argc <= WORDS && (word = strsep(&rest, "\n"));)
        argv[argc++] = word;
    argv[argc] = NULL;
    const pv_status st = pv_words_parse(argc, argv, command->options, options);
    fuzz_require(st == PV_OK || (st == PV_ERR_USAGE && pv_fail_message()[0]),
                 "words are understood, or refused with a message");
    if (st == PV_OK) look_at(command->options, options);
    pv_options_free(command->options, options);
    free(options);
    free(text);
    return 0;
}
