#include "smg_bits.h"

void smg_bits_pack(const uint32_t *values, size_t count, unsigned width, smg_bit_writer *out) {
    for (size_t i = 0; i < count; i++)
        smg_bits_write(out, values[i], width);
    smg_bits_flush(out);
}

smg_status smg_bits_unpack(const uint8_t *data, size_t size, unsigned width, uint32_t offset, size_t count,
                           smg_output out) {
    smg_bit_reader reader = smg_bits_reader(data, size);
    if (width > 32)
        return SMG_BAD_TABLE;
    for (size_t i = 0; i < count; i++) {
        smg_put(&out, i, offset + smg_bits_read(&reader, width));
        if (reader.overrun)
            return SMG_TRUNCATED;
    }
    return smg_bits_position(&reader) == size ? SMG_OK : SMG_CORRUPT;
}
