/* Made by smidgen.kernels.cook_toom.c_header, which a test compares with this file. */
#ifndef SMIDGEN_WINOGRAD_MATRICES_H
#define SMIDGEN_WINOGRAD_MATRICES_H

/* clang-format off */
static const float WINOGRAD_INPUT_2_3[] = {
    -1, 0, 1, 0,
    0, 1, 1, 0,
    0, -1, 1, 0,
    0, -1, 0, 1,
};
static const float WINOGRAD_OUTPUT_2_3[] = {
    1, 1, 1, 0,
    0, 1, -1, 1,
};
static const float WINOGRAD_INPUT_4_3[] = {
    4, 0, -5, 0, 1, 0,
    0, -4, -4, 1, 1, 0,
    0, 4, -4, -1, 1, 0,
    0, -2, -1, 2, 1, 0,
    0, 2, -1, -2, 1, 0,
    0, 4, 0, -5, 0, 1,
};
static const float WINOGRAD_OUTPUT_4_3[] = {
    1, 1, 1, 1, 1, 0,
    0, 1, -1, 2, -2, 0,
    0, 1, 1, 4, 4, 0,
    0, 1, -1, 8, -8, 1,
};
static const float WINOGRAD_INPUT_2_7[] = {
    -1, 0, 5.25f, 0, -5.25f, 0, 1, 0,
    0, 1, 1, -4.25f, -4.25f, 1, 1, 0,
    0, -1, 1, 4.25f, -4.25f, -1, 1, 0,
    0, 0.5f, 0.25f, -2.5f, -1.25f, 2, 1, 0,
    0, -0.5f, 0.25f, 2.5f, -1.25f, -2, 1, 0,
    0, 2, 4, -2.5f, -5, 0.5f, 1, 0,
    0, -2, 4, 2.5f, -5, -0.5f, 1, 0,
    0, -1, 0, 5.25f, 0, -5.25f, 0, 1,
};
static const float WINOGRAD_OUTPUT_2_7[] = {
    1, 1, 1, 1, 1, 1, 1, 0,
    0, 1, -1, 2, -2, 0.5f, -0.5f, 1,
};
/* clang-format on */

#endif
