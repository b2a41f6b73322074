#include "smidgen.h"

void smg_transpose(const smg_transpose_args *a, const int8_t *x, int8_t *y) {
    for (int32_t i = 0; i < a->d0; i++)
        for (int32_t j = 0; j < a->d1; j++)
            for (int32_t k = 0; k < a->d2; k++)
                for (int32_t l = 0; l < a->d3; l++) {
                    const int8_t *from =
                        x + (size_t)i * a->s0 + (size_t)j * a->s1 + (size_t)k * a->s2 + (size_t)l * a->s3;
                    for (int32_t m = 0; m < a->d4; m++)
                        *y++ = from[(size_t)m * a->s4];
                }
}
