/* The coordinates of samples on a grid. */
#include "pv_grid.h"

/* Entry i of linspace(-1, 1) of n, by the exact fraction: symmetric, and 0 in the middle. */
static float position(int i, int n)
{
    return n > 1 ? (float)((double)(2 * i - (n - 1)) / (n - 1)) : -1.0f;
}

void pv_grid(const pv_source_form *form, float *coords)
{
    enum { AXES = 3 };
    const int sides[AXES] = {form->height > 0 ? form->width : form->samples, form->height, form->depth};
    for (int i = 0; i < form->samples; i++)
        for (int axis = 0, left = i; axis < form->inputs && axis < AXES; left /= sides[axis++])
            *coords++ = position(left % sides[axis], sides[axis]);
}

const char *pv_grid_words(const pv_source_form *form)
{
    static const char *const words[] = {
        "", "linspace(-1, 1)", "(x, y), linspace(-1, 1) a side, x along a row and fastest",
        "(x, y, z), linspace(-1, 1) a side, x along a row and fastest, then y"};
    return words[form->inputs];
}
