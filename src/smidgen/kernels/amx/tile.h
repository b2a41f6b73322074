/* Products of int8 tiles: 16 rows by 64 values, times 64 values by 16 outputs, into 16 x 16 sums of int32.
 * The weights are those that gemm.h packs: 16 of its rows of LANES x DEPTH bytes are one tile. */
#ifndef SMIDGEN_TILE_H
#define SMIDGEN_TILE_H

#include <immintrin.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_VALUES = 64, TILE_BYTES = 1024 };

/* All eight tiles have 16 rows of 64 bytes. */
static inline void smg_begin_tiles(void) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {
        1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&config);
}

static inline void smg_end_tiles(void) {
    _tile_release();
}

/* gcc 12 does not say that loading a tile reads memory: what was stored before has to be there. */
static inline void smg_stored_before_tiles(void) {
    __asm__ volatile("" ::: "memory");
}

#endif
