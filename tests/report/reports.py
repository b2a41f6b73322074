"""Report documents that the report's tests share."""

from __future__ import annotations

from smidgen.measurement import How, Measurement
from smidgen.report.model import Drop, Dropped, Environment, Kind, Layer, Note, Point, Report, Score


def costs(flash: float, ram: float, latency: float, how: How = "emulated") -> tuple[Measurement, ...]:
    return (
        Measurement("flash_bytes", flash, "bytes", "measured"),
        Measurement("ram_bytes", ram, "bytes", how),
        Measurement("latency_ms", latency, "ms", "modelled", repeats=5, spread=latency / 20),
    )


def point(
    number: int,
    label: str,
    kind: Kind,
    accuracy: tuple[float, float],
    size: tuple[float, float, float],
    test: float | None = None,
    frontier: bool = False,
    chosen: bool = False,
) -> Point:
    """`accuracy` is (mean, sd) on validation; `size` flash bytes, RAM bytes and milliseconds."""
    return Point(
        id=f"{number:04d}",
        label=label,
        kind=kind,
        recipe=label,
        recipe_yaml=f"- quantize.affine:\n    bits: {number}\n",
        measurements=costs(*size),
        validation=Score(mean=accuracy[0], sd=accuracy[1], seeds=3),
        test=None if test is None else Score(mean=test, sd=0.4, seeds=3),
        drop=Drop(points=91.2 - accuracy[0], low=90.8 - accuracy[0], high=91.6 - accuracy[0]),
        on_frontier=frontier,
        chosen=chosen,
        artifact=f"trials/{number:04d}/seed-0",
    )


def watch() -> Report:
    """A microcontroller run with a chosen point, baselines, layers, notes and failures."""
    return Report(
        task="watch",
        description="Gestures from a wrist-worn accelerometer, on people the network never saw.",
        caveats="Small data set: ten people. Read the spread before the mean.",
        target="cortex-m4",
        target_description="Cortex-M4F at 80 MHz, 256 KB flash, 64 KB RAM",
        size_axis="flash_bytes",
        budget={"flash_bytes": 65536, "ram_bytes": 49152},
        max_drop=1.0,
        uncompressed=point(99, "float32", "uncompressed", (91.2, 0.5), (141_000, 61_000, 48.0), 89.9),
        points=POINTS,
        layers=LAYERS,
        notes=(
            Note(
                level="warning", text="Layer attention runs in float: no integer rule", remedy="Use softmax"
            ),
            Note(level="info", text="prune.channels changed nothing: ratio 0 keeps every channel"),
        ),
        dropped=(
            Dropped(
                id="0007",
                label="quantize.affine",
                status="rejected",
                reason="RAM is 70 KB, 48 KB are allowed",
            ),
            Dropped(
                id="0009",
                label="prune.channels(ratio=0.99)",
                status="failed",
                reason="no channel left in conv2",
            ),
        ),
        environment=Environment(
            command="smidgen compress watch --target cortex-m4 --budget flash=64KB,ram=48KB --max-drop 1",
            created="2025-01-31T12:00:00+00:00",
            cpu="Example CPU @ 2.0 GHz, 2 cores",
            platform="Linux x86_64",
            seeds=(0, 1, 2),
            data_digest="0123456789abcdef-0123456789abcdef-0123456789abcdef",
            versions={"smidgen": "0.1.0", "numpy": "2.0.0", "torch": "2.13.0", "python": "3.11.2"},
        ),
    )


POINTS = (
    point(
        1, "quantize.affine(bits=8)", "compressed", (91.0, 0.4), (43_100, 15_400, 12.1), 89.8, frontier=True
    ),
    point(
        2,
        "prune.channels(ratio=0.3) → quantize.affine(bits=4) → tune.fit(epochs=8)",
        "compressed",
        (90.8, 0.3),
        (14_900, 11_200, 8.4),
        89.5,
        frontier=True,
        chosen=True,
    ),
    point(3, "quantize.affine(bits=4)", "compressed", (88.1, 0.9), (24_000, 15_400, 12.0)),
    point(
        4, "quantize.affine(bits=2) → tune.fit", "compressed", (79.3, 1.8), (11_600, 15_100, 12.3), 78.0, True
    ),
    point(5, "width-0.5: quantize.affine", "width baseline", (89.2, 0.7), (19_800, 8_900, 5.2), 88.0),
    point(6, "width-0.25: quantize.affine", "width baseline", (84.0, 1.1), (12_900, 5_100, 2.2), 82.9, True),
    point(8, "linear", "other model", (71.5, 0.2), (16_000, 2_700, 0.7)),
)

LAYERS = (
    Layer(
        name="conv1",
        op="q.conv",
        shape=(100, 24),
        weight_shape=(24, 5, 6),
        format="affine4",
        bits=4,
        raw_bytes=2880,
        packed_bytes=408,
        coded_bytes=371,
        macs=72_000,
        time_share=0.31,
    ),
    Layer(
        name="conv2",
        op="q.conv",
        shape=(50, 40),
        weight_shape=(40, 5, 24),
        format="sparse(affine4)",
        bits=4,
        raw_bytes=19200,
        packed_bytes=2480,
        coded_bytes=2105,
        macs=240_000,
        time_share=0.62,
    ),
    Layer(name="pool", op="q.mean", shape=(40,), time_share=0.02),
    Layer(
        name="head",
        op="q.linear",
        shape=(7,),
        weight_shape=(7, 40),
        format="affine8",
        bits=8,
        raw_bytes=1120,
        packed_bytes=294,
        macs=280,
        time_share=0.05,
    ),
)
