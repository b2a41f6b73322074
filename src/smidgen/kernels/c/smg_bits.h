/* Bit streams, most significant bit first. Freestanding C99: no libc, no allocation.
 *
 * Readers never touch memory outside [data, data + size): past the end they deliver zeros and set `overrun`.
 * Writers count what does not fit, so a writer of capacity 0 measures.
 */
#ifndef SMG_BITS_H
#define SMG_BITS_H

#include <stddef.h>
#include <stdint.h>

typedef enum { SMG_OK = 0, SMG_TRUNCATED = 1, SMG_BAD_TABLE = 2, SMG_CORRUPT = 3 } smg_status;

typedef struct {
    const uint8_t *data;
    size_t size;     /* bytes */
    size_t next;     /* index of the next byte to load */
    uint64_t window; /* loaded bits, left-aligned */
    unsigned filled; /* how many of them are valid */
    int overrun;     /* 1 once more bits were taken than there are */
} smg_bit_reader;

typedef struct {
    uint8_t *data;
    size_t capacity; /* bytes that may be written */
    size_t size;     /* whole bytes produced, also beyond capacity */
    uint64_t window; /* pending bits, right-aligned */
    unsigned filled; /* how many, 0..7 between calls */
} smg_bit_writer;

/* Where decoded symbols go: unsigned items of 1, 2 or 4 bytes. */
typedef struct {
    void *data;
    unsigned item_bytes;
} smg_output;

static inline smg_bit_reader smg_bits_reader(const uint8_t *data, size_t size) {
    smg_bit_reader reader = {data, size, 0, 0, 0, 0};
    return reader;
}

static inline void smg_bits_refill(smg_bit_reader *r) {
    while (r->filled <= 56 && r->next < r->size) {
        r->window |= (uint64_t)r->data[r->next++] << (56 - r->filled);
        r->filled += 8;
    }
}

/* The next `width` (0..32) bits without taking them; zeros stand beyond the end. */
static inline uint32_t smg_bits_peek(smg_bit_reader *r, unsigned width) {
    smg_bits_refill(r);
    return width ? (uint32_t)(r->window >> (64 - width)) : 0;
}

static inline void smg_bits_skip(smg_bit_reader *r, unsigned width) {
    if (width > r->filled) {
        r->overrun = 1;
        r->filled = 0;
        r->window = 0;
    } else {
        r->filled -= width;
        r->window <<= width;
    }
}

static inline uint32_t smg_bits_read(smg_bit_reader *r, unsigned width) {
    uint32_t value = smg_bits_peek(r, width);
    smg_bits_skip(r, width);
    return value;
}

/* Bytes touched so far, counting a partly read one as touched. */
static inline size_t smg_bits_position(const smg_bit_reader *r) {
    return r->next - r->filled / 8;
}

/* Append the low `width` (0..32) bits of `value`. */
static inline void smg_bits_write(smg_bit_writer *w, uint32_t value, unsigned width) {
    uint64_t mask = ((uint64_t)1 << width) - 1;
    w->window = (w->window << width) | (value & mask);
    w->filled += width;
    while (w->filled >= 8) {
        w->filled -= 8;
        if (w->size < w->capacity)
            w->data[w->size] = (uint8_t)(w->window >> w->filled);
        w->size++;
    }
}

/* Fill the last byte with zeros. */
static inline void smg_bits_flush(smg_bit_writer *w) {
    if (w->filled)
        smg_bits_write(w, 0, 8 - w->filled);
}

static inline void smg_put(const smg_output *out, size_t index, uint32_t value) {
    switch (out->item_bytes) {
    case 1:
        ((uint8_t *)out->data)[index] = (uint8_t)value;
        break;
    case 2:
        ((uint16_t *)out->data)[index] = (uint16_t)value;
        break;
    default:
        ((uint32_t *)out->data)[index] = value;
    }
}

/* Pack `count` values of `width` (0..32) bits. */
void smg_bits_pack(const uint32_t *values, size_t count, unsigned width, smg_bit_writer *out);

/* out[i] = offset + i-th value of `width` (0..32) bits. The data must end with the last value's byte. */
smg_status smg_bits_unpack(const uint8_t *data, size_t size, unsigned width, uint32_t offset, size_t count,
                           smg_output out);

#endif
