/* What to ask memory for before it is needed. */
#ifndef SMIDGEN_FETCH_H
#define SMIDGEN_FETCH_H

#include "library.h"

/* Where the words lie that are needed SMG_AHEAD words later: behind the end of the tile's first block, in the
 * next tile, which no prefetcher guesses. */
#define SMG_AHEAD 256
SMG_INLINE const uint32_t *smg_ahead(const uint32_t *codes, const uint32_t *end, size_t other_blocks) {
    return codes + SMG_AHEAD + (codes + SMG_AHEAD >= end ? other_blocks : 0);
}

#endif
