/* Dot products of one vector with four on Cortex-M55: 16 products an instruction. Lanes beyond n are switched
 * off, so that nothing is read there. */
#include <arm_mve.h>

/* sums[k] += sum over i < n of (x[i] - zero) * w[k * apart + i], as sum x * w - zero * sum w. */
static inline void smg_dot_four(int32_t *sums, const int8_t *x, const int8_t *w, int32_t apart, int32_t n,
                                int16x2_t minus) {
    int32_t totals[4] = {0, 0, 0, 0};
    for (; n > 0; n -= 16, x += 16, w += 16) {
        const mve_pred16_t inside = vctp8q((uint32_t)n);
        const int8x16_t values = vldrbq_z_s8(x, inside);
        for (int32_t k = 0; k < 4; k++) {
            const int8x16_t weights = vldrbq_z_s8(w + k * apart, inside);
            sums[k] = vmladavaq_p_s8(sums[k], values, weights, inside);
            totals[k] = vaddvaq_p_s8(totals[k], weights, inside);
        }
    }
    for (int32_t k = 0; k < 4; k++)
        sums[k] += (int16_t)minus * totals[k];
}
