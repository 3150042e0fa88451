/* The same kernels in double. */
#include "test_transformer_kernels.c"
