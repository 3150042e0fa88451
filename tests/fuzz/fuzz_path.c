/* Feeds arbitrary bytes to the paths of a user.  What they are taken for is absolute, and is itself when it
 * is followed again; a refusal is a config or file error with a message. */
#include "base/pv_path.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *path = NULL, *again = NULL;
    if (!text) return 0;
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    pv_status st = pv_path_absolute(text, &path);
    fuzz_require(st == PV_OK ? path[0] == '/' : st == PV_ERR_CONFIG || st == PV_ERR_IO,
                 "a path that is not absolute");
    free(path);
    st = pv_path_resolve(text, &path);
    if (st == PV_OK) {
        fuzz_require(pv_path_follow(path, &again) == PV_OK && strcmp(path, again) == 0,
                     "what a path is taken for is another path");
        free(again);
    } else
        fuzz_require((st == PV_ERR_CONFIG || st == PV_ERR_IO) && !path, "a failure that is not of the path");
    free(path);
    free(text);
    return 0;
}
