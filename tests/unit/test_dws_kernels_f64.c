/* The same sweeps in double. */
#include "test_dws_kernels.c"
