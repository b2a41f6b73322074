"""Device descriptions, read from `targets/*.toml` or a user's file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from smidgen.targets.architecture import Isa

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
CPU = r"^[a-z0-9_]+(\+[a-z0-9]+)*$"
NEEDED_BY_DEVICES = ("flash_bytes", "ram_bytes", "clock_mhz", "cpu", "cycles_per_mac")


class Target(BaseModel):
    """A device: what memory it has and how it is built for. All sizes in bytes, clock in MHz, price in US
    dollars.

    A `host` is this computer: the model is timed here. For a `microcontroller` and a `computer` (its image is
    loaded into RAM) firmware is built and emulated; both state all of `NEEDED_BY_DEVICES`.
    `model_copy(update={"ram_bytes": 65536})` makes the same device with another part's memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=NAME, max_length=64)
    description: str = ""
    kind: Literal["host", "microcontroller", "computer"]
    isa: Isa = "thumb"
    flash_bytes: int | None = Field(default=None, gt=0)
    ram_bytes: int | None = Field(default=None, gt=0)
    clock_mhz: float | None = Field(default=None, gt=0)
    cpu: str | None = Field(default=None, pattern=CPU)  # compiler's name of the core, e.g. cortex_m4
    cycles_per_instruction: float = Field(default=1.5, gt=0)  # assumed: emulators know no pipeline
    cycles_per_mac: float | None = Field(default=None, gt=0)  # where nothing emulates the core: latency.py
    flash_origin: int = Field(default=0, ge=0, lt=2**32)
    ram_origin: int = Field(default=0x20000000, ge=0, lt=2**32)
    stack_bytes: int = Field(default=1024, ge=256, multiple_of=8)  # reserved in RAM, counted by ram_bytes
    load_alignment_bytes: int = Field(default=4, gt=0, le=16)  # what a 32-bit load's address must divide by
    cycle_pj: float | None = Field(
        default=None, gt=0
    )  # energy of one clock cycle; without: measure/energy.py
    energy_source: str = ""
    price_usd_per_hour: float | None = Field(default=None, gt=0)  # of one core, which is what a model uses
    source: str = ""  # where the figures come from

    @model_validator(mode="after")
    def _complete(self) -> Target:
        missing = [key for key in NEEDED_BY_DEVICES if getattr(self, key) is None]
        if self.kind != "host" and missing:
            raise ValueError(f"a {self.kind} needs {', '.join(missing)}")
        if self.kind != "host" and self.isa == "x86-64":
            raise ValueError("firmware is built for thumb, arm, aarch64 and riscv32, not for x86-64")
        return self

    @property
    def size_axis(self) -> str:
        """The frontier's size: the file on hosts, flash (code + model) on devices."""
        return "file_bytes" if self.kind == "host" else "flash_bytes"
