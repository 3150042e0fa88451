/* What a fuzz target offers: to libFuzzer, or to replay.c. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that does not hold ends the program; the last message of the library is shown. */
void fuzz_require(int holds, const char *what);

#endif
