"""What a device allows: limits on size, memory and time, and the reasons why a candidate breaks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from smidgen.errors import BadInput
from smidgen.measurement import Measurement
from smidgen.units import (
    format_bytes,
    format_microjoules,
    format_milliseconds,
    parse_bytes,
    parse_microjoules,
    parse_milliseconds,
)

_PARSERS: Mapping[str, Callable[[str, str], float]] = {
    "flash": parse_bytes,
    "ram": parse_bytes,
    "file": parse_bytes,
    "latency": parse_milliseconds,
    "energy": parse_microjoules,
}
_FIELDS = {
    "flash": "flash_bytes",
    "ram": "ram_bytes",
    "file": "file_bytes",
    "latency": "latency_ms",
    "energy": "energy_uj",
}


@dataclass(frozen=True)
class Budget:
    """Upper limits, each named like the measurement it limits; None: unlimited. All are positive."""

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    file_bytes: int | None = None
    latency_ms: float | None = None
    energy_uj: float | None = None  # modelled, see measure/energy.py

    @staticmethod
    def parse(text: str) -> Budget:
        """`flash=64KB,ram=48KB,latency=10ms,file=20KB,energy=5uJ`, any subset, any order. Raises BadInput."""
        limits: dict[str, float] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            key, equals, quantity = (part.strip() for part in entry.partition("="))
            if key not in _PARSERS or not equals:
                raise BadInput(
                    "budget", f"{entry!r} is no limit", f"limits are {', '.join(_PARSERS)}, as in flash=64KB"
                )
            if _FIELDS[key] in limits:
                raise BadInput("budget", f"{key} is given twice", "one limit each is needed")
            limit = _PARSERS[key](quantity, f"budget {key}")
            if limit <= 0:
                raise BadInput(
                    f"budget {key}",
                    f"the limit is {quantity}",
                    "nothing can fit into it",
                    "Give a positive limit",
                )
            limits[_FIELDS[key]] = limit
        return Budget(**limits)  # type: ignore[arg-type]

    def limits(self) -> dict[str, float]:
        """Measurement name -> limit, those that are set."""
        return {f.name: limit for f in fields(self) if (limit := getattr(self, f.name)) is not None}

    def within(self, **limits: int | None) -> Budget:
        """This budget with missing limits filled in (a target's flash and RAM)."""
        return Budget(**{**limits, **self.limits()})  # type: ignore[arg-type]

    def fits(self, measurements: Mapping[str, Measurement]) -> list[str]:
        """Reasons why a candidate does not fit; empty if it does. A limit not measured is a reason."""
        reasons = []
        for name, limit in self.limits().items():
            if name not in measurements:
                reasons.append(f"{_label(name)} was not measured, but the budget limits it")
            elif measurements[name].value > limit:
                found = measurements[name].value
                reasons.append(
                    f"{_label(name)} is {_show(name, found)}, the budget allows {_show(name, limit)}"
                )
        return reasons

    def excess(self, measurements: Mapping[str, Measurement]) -> float:
        """Sum of relative overruns, 0 when everything fits: what a sampler minimises among misfits."""
        overruns = (
            measurements[name].value / limit - 1 if name in measurements else 1.0
            for name, limit in self.limits().items()
        )
        return sum(max(overrun, 0.0) for overrun in overruns)

    def __str__(self) -> str:
        shown = [f"{_label(name)} ≤ {_show(name, limit)}" for name, limit in self.limits().items()]
        return ", ".join(shown) or "none"


def _label(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _show(name: str, value: float) -> str:
    if name.endswith("_ms"):
        return format_milliseconds(value)
    if name.endswith("_uj"):
        return format_microjoules(value)
    exact = f" ({value:,.0f} bytes)" if value >= 1024 else ""
    return format_bytes(value) + exact
