/* main() of a fuzz target that is built without libFuzzer: replays the files that it is given. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    enum { LIMIT = 1 << 24 };
    uint8_t *data = malloc(LIMIT);
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file || !data) {
            perror(argv[i]);
            return 1;
        }
        const size_t size = fread(data, 1, LIMIT, file);
        fclose(file);
        /* A buffer of exactly that size, so that a read beyond it is seen. */
        uint8_t *exact = malloc(size ? size : 1);
        if (!exact) return 1;
        for (size_t b = 0; b < size; b++)
            exact[b] = data[b];
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    free(data);
    printf("%d files replayed\n", argc - 1);
    return 0;
}
