"""Device descriptions, read from `targets/*.toml` or a user's file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
CPU = r"^[a-z0-9_]+(\+[a-z0-9]+)*$"
NEEDED_BY_MICROCONTROLLERS = ("flash_bytes", "ram_bytes", "clock_mhz", "cpu", "cycles_per_mac")


class Target(BaseModel):
    """A device: what memory it has and how it is built for. All sizes in bytes, clock in MHz, price in US
    dollars.

    A microcontroller states all of `NEEDED_BY_MICROCONTROLLERS`. `model_copy(update={"ram_bytes": 65536})`
    makes the same device with another part's memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=NAME, max_length=64)
    description: str = ""
    kind: Literal["host", "microcontroller"]
    flash_bytes: int | None = Field(default=None, gt=0)
    ram_bytes: int | None = Field(default=None, gt=0)
    clock_mhz: float | None = Field(default=None, gt=0)
    cpu: str | None = Field(default=None, pattern=CPU)  # compiler's name of the core, e.g. cortex_m4
    cycles_per_mac: float | None = Field(default=None, gt=0)  # for modelled latency, see targets/latency.py
    flash_origin: int = Field(default=0, ge=0, lt=2**32)
    ram_origin: int = Field(default=0x20000000, ge=0, lt=2**32)
    stack_bytes: int = Field(default=1024, ge=256, multiple_of=8)  # reserved in RAM, counted by ram_bytes
    price_usd_per_hour: float | None = Field(default=None, gt=0)  # of one core, which is what a model uses
    source: str = ""  # where the figures come from

    @model_validator(mode="after")
    def _complete(self) -> Target:
        missing = [key for key in NEEDED_BY_MICROCONTROLLERS if getattr(self, key) is None]
        if self.kind == "microcontroller" and missing:
            raise ValueError(f"a microcontroller needs {', '.join(missing)}")
        return self

    @property
    def size_axis(self) -> str:
        """The frontier's size: the file on hosts, flash (code + model) on microcontrollers."""
        return "file_bytes" if self.kind == "host" else "flash_bytes"
