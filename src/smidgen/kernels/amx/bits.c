/* Layers on packed bits, smg_q_binary_conv and smg_q_binary_conv_bits: bits become bytes first, 0 and 2
 * around the 1 of the padding, so that a sum of products with weights of +1 and -1 is too large by the sum of
 * weights. Products of bytes in tiles take less time than counting bits, bytes or not. */
#include "conv_tiles.h"

enum { MOST_SUM = 1 << 29, ZERO = 1 };

typedef smg_q_binary_conv_bits_args smg_bit_args;

/* The layer on bytes: the fields that all three argument structs begin with, and one group. */
static smg_q_conv_args bytes_of(const smg_bit_args *a) {
    const smg_q_conv_args c = {.in_h = a->in_h,
                               .in_w = a->in_w,
                               .in_c = a->in_c,
                               .out_h = a->out_h,
                               .out_w = a->out_w,
                               .out_c = a->out_c,
                               .k_h = a->k_h,
                               .k_w = a->k_w,
                               .stride_h = a->stride_h,
                               .stride_w = a->stride_w,
                               .pad_top = a->pad_top,
                               .pad_left = a->pad_left,
                               .dilation_h = a->dilation_h,
                               .dilation_w = a->dilation_w,
                               .groups = 1};
    return c;
}

/* Both argument structs begin alike. */
static smg_bit_args shape_of(const void *args) {
    smg_bit_args shape;
    __builtin_memcpy(&shape, args, sizeof shape);
    return shape;
}

static size_t bits_scratch(const void *args) {
    const smg_bit_args shape = shape_of(args);
    const smg_q_conv_args a = bytes_of(&shape);
    return smg_tiles_scratch(&a);
}

static size_t bits_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_bit_args shape = shape_of(args);
    const smg_q_conv_args a = bytes_of(&shape);
    const smg_window w = conv_window(&a);
    return smg_gemm_bytes(&w, a.out_c);
}

/* Weights of output `o`, of which its lane is `lane`; returns their sum. `w` [taps][words]. */
static int32_t pack_signs(const smg_q_conv_args *a, const uint32_t *w, int32_t lane, smg_w *to) {
    const smg_window win = conv_window(a);
    const int32_t words = SMG_WORDS(a->in_c), taps = win.run / a->in_c;
    int32_t sum = 0;
    for (int32_t r = 0; r < win.outer * win.inner; r++)
        for (int32_t t = 0, i = 0; t < taps; t++, w += words)
            for (int32_t c = 0; c < a->in_c; c++, i++) {
                const smg_w sign = w[c / 32] >> (c % 32) & 1 ? 1 : -1;
                const size_t step = (size_t)r * (smg_rounded((size_t)win.run, RUN_STEP) / DEPTH) + i / DEPTH;
                to[(step * LANES + (size_t)lane) * DEPTH + i % DEPTH] = sign;
                sum += sign;
            }
    return sum;
}

/* y [32 * words]: 2 for a 1, 0 for a 0. */
SMG_INLINE void bytes_of_bits(const uint32_t *x, size_t words, smg_x *y) {
    const __m512i two = _mm512_set1_epi8(2);
    size_t i = 0;
    for (; i + 2 <= words; i += 2) {
        __mmask64 bits;
        __builtin_memcpy(&bits, x + i, sizeof bits);
        _mm512_storeu_si512(y + 32 * i, _mm512_maskz_mov_epi8(bits, two));
    }
    if (i < words)
        _mm256_storeu_si256((void *)(y + 32 * i), _mm256_maskz_mov_epi8(x[i], _mm512_castsi512_si256(two)));
}

/* y [h][w][in_c]: 2 for a 1, 0 for a 0, 1 around the image. Up to 31 bytes too many are written at the end.
 */
static void image_of_bits(const smg_image *m, const uint32_t *x, smg_x *y) {
    int32_t top, rows, left, cols;
    const size_t c = (size_t)m->channels, row = (size_t)m->w * c, words = SMG_WORDS(m->channels);
    smg_split(m->pad_top, m->in_h, m->h, &top, &rows);
    smg_split(m->pad_left, m->in_w, m->w, &left, &cols);
    y = smg_fill_values(y, (size_t)top * row, ZERO);
    for (int32_t i = 0; i < rows; i++, x += (size_t)m->in_w * words) {
        const uint32_t *word = x;
        y = smg_fill_values(y, (size_t)left * c, ZERO);
        for (int32_t j = 0; j < cols; j++, y += c, word += words)
            bytes_of_bits(word, words, y);
        y = smg_fill_values(y, (size_t)(m->w - left - cols) * c, ZERO);
    }
    smg_fill_values(y, (size_t)(m->h - top - rows) * row, ZERO);
}

static smg_gemm gemm_of(const smg_q_conv_args *a, const void *packed) {
    const smg_channels *channels = packed;
    const smg_gemm g = {conv_window(a),
                        channels,
                        (const smg_w *)(channels + smg_blocks(a->out_c)),
                        a->out_c,
                        (size_t)a->stride_w * a->in_c,
                        (size_t)a->out_c,
                        smg_make_bounds(0, 0, 0)};
    return g;
}

/* To int8 */

static void bytes_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_conv_args *b = args;
    const smg_bit_args shape = shape_of(args);
    const smg_q_conv_args a = bytes_of(&shape);
    const smg_window win = conv_window(&a);
    const size_t words = (size_t)a.k_h * a.k_w * SMG_WORDS(a.in_c);
    const int32_t *bias = pointers[2];
    const uint16_t *multiplier = pointers[3];
    const uint8_t *shift = pointers[4];
    smg_channels *channels = packed;
    smg_w *to = (smg_w *)(channels + smg_blocks(a.out_c));
    for (int32_t o = 0; o < a.out_c; o++) {
        const int32_t c = b->per_channel ? o : 0;
        const int32_t sum = pack_signs(&a, (const uint32_t *)pointers[1] + o * words, smg_lane(o % LANES),
                                       to + o / LANES * smg_block_size(&win));
        smg_set_channel(channels + o / LANES, o % LANES, bias[o], sum, ZERO - 128, multiplier[c], shift[c],
                        b->zero_y);
    }
}

static void bytes_run(const void *args, const smg_job *job) {
    const smg_q_binary_conv_args *b = args;
    const smg_bit_args shape = shape_of(args);
    const smg_q_conv_args a = bytes_of(&shape);
    const smg_image m = smg_conv_image(&a);
    smg_gemm g = gemm_of(&a, job->packed);
    g.bounds = smg_make_bounds(b->lo, b->hi, b->zero_y);
    smg_begin_tiles();
    for (int32_t s = 0; s < job->samples; s++) {
        image_of_bits(&m, smg_at(job, 0, s), job->scratch);
        smg_tile_image(&a, &g, job->scratch, smg_store_bytes, 1, &g, smg_at(job, 5, s));
    }
    smg_end_tiles();
}

/* To bits: thresholds stand in the place of biases, for whole words. */

static void bits_pack(const void *args, void *const *pointers, void *packed) {
    const smg_bit_args shape = shape_of(args);
    const smg_q_conv_args a = bytes_of(&shape);
    const smg_window win = conv_window(&a);
    const size_t words = (size_t)a.k_h * a.k_w * SMG_WORDS(a.in_c);
    const int32_t *given = pointers[2];
    smg_channels *channels = packed;
    smg_w *to = (smg_w *)(channels + smg_blocks(a.out_c));
    for (int32_t o = 0; o < smg_blocks(a.out_c) * LANES; o++)
        channels[o / LANES].bias[o % LANES] = INT32_MAX;
    for (int32_t o = 0; o < a.out_c; o++) {
        const int32_t sum = pack_signs(&a, (const uint32_t *)pointers[1] + o * words, o % LANES,
                                       to + o / LANES * smg_block_size(&win));
        const int32_t least = given[o] < -MOST_SUM ? -MOST_SUM : given[o] > MOST_SUM ? MOST_SUM : given[o];
        channels[o / LANES].bias[o % LANES] = least + sum;
    }
}

SMG_INLINE void store_bits(const void *layer, const int32_t *sums, int32_t block, int32_t blocks,
                           size_t position, char *y) {
    const smg_gemm *g = layer;
    uint32_t word = _mm512_cmpge_epi32_mask(_mm512_load_si512(sums), smg_start(g->channels + block));
    if (blocks > 1)
        word |= (uint32_t)_mm512_cmpge_epi32_mask(_mm512_load_si512(sums + LANES),
                                                  smg_start(g->channels + block + 1))
                << LANES;
    __builtin_memcpy(y + position * g->y_step + block / 2 * sizeof word, &word, sizeof word);
}

static void bits_run(const void *args, const smg_job *job) {
    const smg_bit_args shape = shape_of(args);
    const smg_q_conv_args a = bytes_of(&shape);
    const smg_image m = smg_conv_image(&a);
    smg_gemm g = gemm_of(&a, job->packed);
    g.y_step = (size_t)SMG_WORDS(a.out_c) * sizeof(uint32_t);
    smg_begin_tiles();
    for (int32_t s = 0; s < job->samples; s++) {
        image_of_bits(&m, smg_at(job, 0, s), job->scratch);
        smg_tile_image(&a, &g, job->scratch, store_bits, 8, &g, smg_at(job, 3, s));
    }
    smg_end_tiles();
}

const smg_variant smg_q_binary_conv_amx = {"smg_q_binary_conv", ISA,        bits_packed,
                                           bits_scratch,        bytes_pack, bytes_run};
const smg_variant smg_q_binary_conv_bits_amx = {
    "smg_q_binary_conv_bits", ISA, bits_packed, bits_scratch, bits_pack, bits_run};
