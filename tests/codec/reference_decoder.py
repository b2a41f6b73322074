"""A second decoder of coded streams, in plain Python, written from the description of the format alone."""

from __future__ import annotations

from tests.codec.reference_context import context


class Bits:
    """Bits of a byte string, most significant first."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def read(self, width: int) -> int:
        piece = self.text[self.at : self.at + width]
        assert len(piece) == width, "read past the end"
        self.at += width
        return int(piece, 2) if width else 0


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def intervals(bits: Bits, width: int) -> list[tuple[int, int]]:
    """(base, raw bits) of every token: a binary tree in preorder, 1 = split."""
    most, least = bits.read(6), bits.read(6)
    found: list[tuple[int, int]] = []

    def visit(base: int, size: int) -> None:
        if size > most or (size > least and bits.read(1)):
            visit(base, size - 1)
            visit(base + 2 ** (size - 1), size - 1)
        else:
            found.append((base, size))

    visit(0, width)
    return found


def levels(bits: Bits, tokens: list[tuple[int, int]], slope: int, limit: int) -> list[int]:
    out: list[int] = []
    last = None
    for _, raw in tokens:
        guess = limit // 2 if last is None else min(max(last[0] + slope * (raw - last[1]), 1), limit)
        if bits.read(1):
            code = bits.read(2)
            guess = bits.read(4) if code == 3 else {0: guess + 1, 1: guess - 1, 2: 0}[code]
        out.append(guess)
        last = (guess, raw) if guess else last
    return out


def huffman(data: bytes, width: int, count: int) -> list[int]:
    bits = Bits(data)
    tokens = intervals(bits, width)
    lengths = levels(bits, tokens, -1, 15)
    codes, code = {}, 0
    for length in range(1, 16):
        for token, own in enumerate(lengths):
            if own == length:
                codes[f"{code:0{length}b}"] = token
                code += 1
        code *= 2
    out = []
    for _ in range(count):
        word = ""
        while word not in codes:
            word += str(bits.read(1))
        base, raw = tokens[codes[word]]
        out.append(base + bits.read(raw))
    return out


def frequencies(bits: Bits, tokens: list[tuple[int, int]]) -> list[int]:
    lengths = levels(bits, tokens, 1, 12)
    mantissa = bits.read(4)
    rest = lengths.index(max(lengths))
    out = []
    for token, length in enumerate(lengths):
        kept = min(mantissa, length - 1)
        out.append((2**kept + bits.read(kept)) * 2 ** (length - 1 - kept) if length and token != rest else 0)
    out[rest] = 4096 - sum(out)
    return out


def rans(data: bytes, width: int, count: int) -> list[int]:
    bits = Bits(data)
    tokens = intervals(bits, width)
    shares = frequencies(bits, tokens)
    at = -(-bits.at // 8)
    state, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    out = []
    for _ in range(count):
        slot, token = state % 4096, 0
        while slot >= shares[token]:
            slot, token = slot - shares[token], token + 1
        state = shares[token] * (state // 4096) + slot
        while state < 2**23:
            state, at = state * 256 + data[at], at + 1
        base, raw = tokens[token]
        done = 0
        while done < raw:
            part = min(raw - done, 12)
            base += state % 2**part * 2**done
            state //= 2**part
            done += part
            while state < 2**23:
                state, at = state * 256 + data[at], at + 1
        out.append(base)
    assert (state, at) == (2**23, len(data))
    return out


def decode(data: bytes) -> list[int]:
    """Symbols of any stream."""
    coder, bits = data[0] >> 6, (data[0] & 31) + 1
    count, at = varint(data, 1)
    if count == 0:
        return []
    if coder == 3:
        words = [0] * count
        size = 32 if bits > 16 else 16
        for shift in range(0, size, 8):
            length, at = varint(data, at)
            plane = decode(data[at : at + length])
            words = [word + (byte << shift) for word, byte in zip(words, plane, strict=True)]
            at += length
        return [w - 2**size if data[0] >> 5 & 1 and w >= 2 ** (size - 1) else w for w in words]
    code, at = varint(data, at)
    offset = -(code + 1) // 2 if code % 2 else code // 2
    width, body = data[at], data[at + 1 :]
    if width == 64:
        size = 32 if bits > 16 else 16 if bits > 8 else 8
        low = -(2 ** (size - 1)) if data[0] >> 5 & 1 else 0
        return [(offset + value - low) % 2**size + low for value in context(body, count)]
    reader = Bits(body)
    if coder == 0:
        return [offset + reader.read(width) for _ in range(count)]
    return [offset + value for value in (huffman if coder == 1 else rans)(body, width, count)]
