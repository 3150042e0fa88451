/* The same loops in double. */
#include "test_nn_kernels.c"
