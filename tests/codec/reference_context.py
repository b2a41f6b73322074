"""The context coder's second decoder: plain Python, unbounded integers, from `smg_context.h` alone."""

from __future__ import annotations

from collections import defaultdict


class Decision:
    """The probability of outcome 1 in units of 2^-22, and how often it was used."""

    def __init__(self) -> None:
        self.p, self.n = 2**21, 0

    def learn(self, outcome: int, limit: int) -> None:
        rate = 131072 // (2 * self.n + 3)
        if outcome:
            self.p += (2**22 - 1 - self.p) // 64 * rate // 1024
        else:
            self.p -= self.p // 64 * rate // 1024
        self.n = min(self.n + 1, 2 ** (4 + limit) - 1)


class Context:
    def __init__(self, data: bytes) -> None:
        self.limit, self.left_shift, self.sides = data[0] >> 5, data[0] >> 2 & 7, data[0] & 3
        self.columns, self.scale = data[1] >> 5, data[1] & 31
        at = 4 if self.columns else 2
        row = data[2] + 256 * data[3] if self.columns else 1
        assert max(self.limit - 6, self.sides - 2, row - 4096) <= 0 < row
        self.stream = data[at:] + bytes(3)
        self.left, self.last, self.means, self.index = 0, 0, [0] * row, 0
        self.decisions: dict[tuple[object, ...], Decision] = defaultdict(Decision)
        self.range, self.code, self.at = 2**32 - 1, int.from_bytes(self.stream[:4], "big"), 4

    def halve(self, bound: int) -> int:
        outcome = int(self.code < bound)
        self.code, self.range = (self.code, bound) if outcome else (self.code - bound, self.range - bound)
        while self.range < 2**24:
            self.range, self.code = self.range * 256, self.code * 256 + self.stream[self.at]
            self.at += 1
        return outcome

    def decide(self, *key: object) -> int:
        decision = self.decisions[key]
        outcome = self.halve(self.range // 2**15 * max(decision.p // 128, 1))
        decision.learn(outcome, self.limit)
        return outcome

    def magnitude(self, neighbourhood: int) -> int:
        octave = 0
        while octave < 31 and not self.decide("octave", neighbourhood, octave):
            octave += 1
        value = 1
        for depth in range(octave):
            bit = self.decide("mantissa", octave, value) if depth < 3 else self.halve(self.range // 2)
            value = 2 * value + bit
        return value

    def difference(self) -> int:
        neighbourhood = (self.left + self.means[self.index]).bit_length()
        value = 0
        if self.decide("nonzero", neighbourhood):
            is_negative = self.sides == 2 or (self.sides == 0 and self.decide("negative", self.last))
            value = -self.magnitude(neighbourhood) if is_negative else self.magnitude(neighbourhood)
        self.last = (value > 0) + 2 * (value < 0)
        seen = 256 * min(abs(value) >> self.scale, 255)
        if self.left_shift:
            self.left += (seen >> self.left_shift) - (self.left >> self.left_shift)
        if self.columns:
            mean = self.means[self.index]
            self.means[self.index] = mean + (seen >> self.columns) - (mean >> self.columns)
            self.index = (self.index + 1) % len(self.means)
        return value


def context(body: bytes, count: int) -> list[int]:
    """Differences from the stream's offset."""
    decoder = Context(body)
    found = [decoder.difference() for _ in range(count)]
    assert decoder.at == len(decoder.stream)
    assert 0 < decoder.range - decoder.code <= 2**24
    return found
