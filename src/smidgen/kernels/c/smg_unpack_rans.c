#include "smg_rans.h"
#include "smidgen.h"

void smg_unpack_rans(const smg_unpack_rans_args *a, const uint8_t *data, void *work, uint8_t *y) {
    const smg_output out = {y, 1};
    if ((size_t)a->work_bytes >= sizeof(smg_rans_workspace))
        smg_rans_decode(data, (size_t)a->size, (unsigned)a->width, (uint32_t)a->offset, (size_t)a->count,
                        work, out);
}
