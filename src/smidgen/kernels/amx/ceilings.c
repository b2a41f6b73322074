#include "ceilings.h"

#include <string.h>

#include "tile.h"

/* Four sums, so that the latency of one product hides behind those of others. */
uint64_t smg_dot_of_tiles(int64_t rounds) {
    static int8_t values[TILE_BYTES];
    int32_t sums[TILE_BYTES / sizeof(int32_t)];
    memset(values, 3, sizeof values);
    smg_begin_tiles();
    smg_stored_before_tiles();
    _tile_loadd(4, values, 64);
    _tile_loadd(5, values, 64);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t round = 0; round < rounds; round++) {
        _tile_dpbssd(0, 4, 5);
        _tile_dpbssd(1, 4, 5);
        _tile_dpbssd(2, 4, 5);
        _tile_dpbssd(3, 4, 5);
    }
    _tile_stored(0, sums, 64);
    smg_end_tiles();
    return (uint64_t)sums[0];
}

const int64_t smg_operations_of_tiles = 4 * 2 * TILE_ROWS * 16 * TILE_VALUES;
