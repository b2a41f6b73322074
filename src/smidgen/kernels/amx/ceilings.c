/* What multiplying tiles reaches at best: four of sums, as many as loads of operands leave free. */
#include "tiles.h"

const int64_t smg_tile_operations = 4 * 2 * TILE_ROWS * TILE_ROWS * RUN_STEP;

void smg_tile_ceiling(int64_t rounds) {
    smg_start_tiles();
    for (int64_t i = 0; i < rounds; i++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
}
