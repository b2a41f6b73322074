"""What predictions cost on a rented machine: price an hour over predictions an hour."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.measurement import Measurement
from smidgen.targets.target import Target

SECONDS_AN_HOUR = 3600
PREDICTIONS = 1_000_000


def cost_per_million(found: Sequence[Measurement], target: Target) -> list[Measurement]:
    """`cost_per_million_usd` = price an hour / (3600 * throughput) * 1e6, from the throughput in `found`.

    Without a measured throughput it is 1 / latency. `how` is that of the time it is made from. Empty if the
    target has no `price_usd_per_hour` or no time is known.
    """
    named = {m.name: m for m in found}
    time = named.get("throughput") or named.get("latency_ms")
    if target.price_usd_per_hour is None or time is None:
        return []
    per_second = time.value if time.name == "throughput" else 1e3 / time.value
    cost = target.price_usd_per_hour / (SECONDS_AN_HOUR * per_second) * PREDICTIONS
    return [Measurement("cost_per_million_usd", cost, "USD", time.how)]
