/* Linear layers of 16 rows and more, by tiles. Values stay signed, so that x is read where it lies; its last
 * values of a row, where they fill no tile, are copied and filled up with zeros. A last tile of rows begins
 * further up, and what it computes again comes out the same. Fewer rows and short
 * ones go the way of avx512/linear.c. */
#include "linear.h"

#include "tile.h"

enum {
    MOST_TILES = 2,   /* of rows, and of outputs, at a time */
    LEAST_VALUES = 32 /* of a row: tiles filled up with more zeros take longer than vectors */
};

/* Behind the packed constants of gemm.h: what a tile may read beyond the last weight, then biases for signed
 * values [blocks][LANES]. */
static size_t signed_biases(const smg_q_linear_args *a) {
    return linear_packed(a, NULL) + TILE_BYTES;
}

static size_t tiles_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_linear_args *a = args;
    return smg_times((size_t)smg_blocks(a->out), LANES * sizeof(int32_t)) + signed_biases(a);
}

static void tiles_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_linear_args *a = args;
    const int8_t *w = pointers[1];
    const smg_channels *channels = packed;
    int32_t *bias = (int32_t *)((char *)packed + signed_biases(a));
    linear_pack(args, pointers, packed);
    for (int32_t o = 0; o < a->out; o++) {
        uint32_t sum = 0;
        for (int32_t i = 0; i < a->in; i++)
            sum += (uint32_t)(int32_t)*w++;
        const int32_t lane = smg_lane(o % LANES), block = o / LANES;
        bias[block * LANES + lane] = (int32_t)((uint32_t)channels[block].bias[lane] + 128 * sum);
    }
}

/* The end of each of 32 rows, then sums of four tiles. */
typedef struct {
    int8_t ends[MOST_TILES][TILE_ROWS][TILE_VALUES];
    int32_t sums[MOST_TILES * MOST_TILES][TILE_ROWS][LANES];
} smg_tile_scratch;

static size_t tiles_scratch(const void *args) {
    const size_t few = linear_scratch(args);
    return few > sizeof(smg_tile_scratch) ? few : sizeof(smg_tile_scratch);
}

typedef struct {
    const smg_q_linear_args *a;
    const smg_channels *channels;
    const smg_w *weights;
    const int32_t *bias;
    size_t x_step, y_step, block_size; /* bytes */
    smg_bounds bounds;
    smg_tile_scratch *scratch;
} smg_tiles;

/* Sums of `rows` tiles of rows, the second at `x[1]`, with `blocks` blocks of outputs. */
SMG_INLINE void multiply_tiles(const int rows, const int blocks, const smg_tiles *t, const int8_t *const *x,
                               const smg_w *w) {
    const int32_t whole = t->a->in / TILE_VALUES * TILE_VALUES;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int32_t k = 0; k < t->a->in; k += TILE_VALUES, w += TILE_BYTES) {
        const int last = k == whole;
        const size_t step = last ? TILE_VALUES : t->x_step;
        _tile_loadd(6, w, 64);
        _tile_loadd(4, last ? t->scratch->ends[0][0] : x[0] + k, step);
        _tile_dpbssd(0, 4, 6);
        if (blocks > 1) {
            _tile_loadd(7, w + t->block_size, 64);
            _tile_dpbssd(1, 4, 7);
        }
        if (rows > 1) {
            _tile_loadd(5, last ? t->scratch->ends[1][0] : x[1] + k, step);
            _tile_dpbssd(2, 5, 6);
            if (blocks > 1)
                _tile_dpbssd(3, 5, 7);
        }
    }
    _tile_stored(0, t->scratch->sums[0], 64);
    _tile_stored(1, t->scratch->sums[1], 64);
    _tile_stored(2, t->scratch->sums[2], 64);
    _tile_stored(3, t->scratch->sums[3], 64);
}

/* One tile of sums becomes outputs. */
SMG_INLINE void finish_tile(const smg_tiles *t, const int wide, int32_t block, const int32_t (*sums)[LANES],
                            int8_t *y) {
    const smg_vec bias = _mm512_loadu_si512(t->bias + (size_t)block * LANES);
    const int32_t left = t->a->out - block * LANES, lanes = left < LANES ? left : LANES;
    y += (size_t)block * LANES * (wide ? 2 : 1);
    for (int32_t r = 0; r < TILE_ROWS; r++, y += t->y_step) {
        const smg_vec sum = _mm512_add_epi32(_mm512_load_si512(sums[r]), bias);
        if (wide)
            smg_finish16(sum, t->channels + block, &t->bounds, lanes, y);
        else
            smg_finish8(sum, t->channels + block, &t->bounds, lanes, y);
    }
}

static void copy_ends(const smg_tiles *t, int tile, const int8_t *x) {
    const int32_t whole = t->a->in / TILE_VALUES * TILE_VALUES;
    const __mmask64 rest = ((__mmask64)1 << (t->a->in - whole)) - 1;
    for (int32_t r = 0; r < TILE_ROWS; r++)
        _mm512_store_si512(t->scratch->ends[tile][r],
                           _mm512_maskz_loadu_epi8(rest, x + (size_t)r * t->x_step + whole));
}

/* All outputs of `rows` tiles of rows. */
SMG_INLINE void run_tiles(const int rows, const int wide, const smg_tiles *t, const int8_t *const *x,
                          int8_t *const *y) {
    if (t->a->in % TILE_VALUES != 0)
        for (int r = 0; r < rows; r++)
            copy_ends(t, r, x[r]);
    smg_stored_before_tiles();
    const int32_t blocks = smg_blocks(t->a->out);
    for (int32_t block = 0; block < blocks; block += MOST_TILES) {
        const smg_w *w = t->weights + (size_t)block * t->block_size;
        const int some = blocks - block < MOST_TILES ? blocks - block : MOST_TILES;
        if (some > 1)
            multiply_tiles(rows, 2, t, x, w);
        else
            multiply_tiles(rows, 1, t, x, w);
        for (int r = 0; r < rows; r++)
            for (int b = 0; b < some; b++)
                finish_tile(t, wide, block + b, (const int32_t (*)[LANES])t->scratch->sums[2 * r + b], y[r]);
    }
}

/* `rows` >= TILE_ROWS rows, as far apart as the steps say. */
SMG_INLINE void run_rows(const int wide, const smg_tiles *t, int32_t rows, const int8_t *x, int8_t *y) {
    for (int32_t r = 0; r < rows;) {
        const int8_t *from[MOST_TILES];
        int8_t *to[MOST_TILES];
        int some = 0;
        for (; some < MOST_TILES && r < rows; some++, r += TILE_ROWS) {
            const size_t first = (size_t)(r <= rows - TILE_ROWS ? r : rows - TILE_ROWS);
            from[some] = x + first * t->x_step;
            to[some] = y + first * t->y_step;
        }
        if (some > 1)
            run_tiles(2, wide, t, from, to);
        else
            run_tiles(1, wide, t, from, to);
    }
}

SMG_INLINE void tiles_run(const smg_q_linear_args *a, const smg_job *job, const int wide) {
    const int together = a->rows == 1; /* one row a sample: rows are as far apart as samples */
    const int32_t rows = together ? job->samples : a->rows, width = wide ? 2 : 1;
    if (rows < TILE_ROWS || a->in < LEAST_VALUES) {
        linear_run(a, job, wide);
        return;
    }
    const smg_window window = linear_window(a);
    const smg_channels *channels = job->packed;
    const smg_tiles t = {.a = a,
                         .channels = channels,
                         .weights = (const smg_w *)(channels + smg_blocks(a->out)),
                         .bias = (const int32_t *)((const char *)job->packed + signed_biases(a)),
                         .x_step = together ? (size_t)job->strides[0] : (size_t)a->in,
                         .y_step = together ? (size_t)job->strides[5] : (size_t)a->out * width,
                         .block_size = smg_block_size(&window),
                         .bounds = smg_make_bounds(a->lo, a->hi, a->zero_y),
                         .scratch = job->scratch};
    smg_begin_tiles();
    for (int32_t s = 0; s < (together ? 1 : job->samples); s++)
        run_rows(wide, &t, rows, smg_at(job, 0, s), smg_at(job, 5, s));
    smg_end_tiles();
}

static void tiles_run8(const void *args, const smg_job *job) {
    tiles_run(args, job, 0);
}

static void tiles_run16(const void *args, const smg_job *job) {
    tiles_run(args, job, 1); /* the same fields as smg_q_linear_args */
}

LINEAR_VARIANTS(tiles_packed, tiles_scratch, tiles_pack, tiles_run8, tiles_run16)
