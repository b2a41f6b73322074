#include "smg_context.h"
#include "smidgen.h"

void smg_unpack_context(const smg_unpack_context_args *a, const uint8_t *data, void *work, uint8_t *y) {
    const smg_output out = {y, 1};
    if ((size_t)a->work_bytes >= sizeof(smg_context_workspace))
        smg_context_decode(data, (size_t)a->size, (uint32_t)a->offset, (size_t)a->count, work, out);
}
