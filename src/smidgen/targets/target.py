"""Device descriptions, read from `targets/*.toml` or a user's file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Target(BaseModel):
    """A device: what memory it has and how it is built for. All sizes in bytes, clock in MHz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    kind: Literal["host", "microcontroller"]
    flash_bytes: int | None = Field(default=None, gt=0)
    ram_bytes: int | None = Field(default=None, gt=0)
    clock_mhz: float | None = Field(default=None, gt=0)
    cpu: str | None = None  # compiler's name of the core, e.g. cortex_m4
    cycles_per_mac: float | None = Field(default=None, gt=0)  # for modelled latency
    flash_origin: int = 0
    ram_origin: int = 0x20000000
    source: str = ""  # where the figures come from

    @property
    def size_axis(self) -> str:
        """The frontier's size: the file on hosts, flash (code + model) on microcontrollers."""
        return "file_bytes" if self.kind == "host" else "flash_bytes"
