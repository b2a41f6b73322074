"""Real pretrained networks: loaded, compared with their runtime, as int8 and as 4-bit weights.

What to install: benchmarks/pretrained_models.py. Writes results/pretrained.{json,md}, one network after the
other; those that are there already are kept (--again NAME to measure one anew).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks import pretrained_data as inputs
from benchmarks.common import RESULTS, progress, write_results
from benchmarks.pretrained_forms import Form, ends, four_bit, int8
from benchmarks.pretrained_models import Arrays, Pretrained, dtln_file, efficientnet, gtcrn_file, onnx_network
from benchmarks.pretrained_speech import Frame, Stage, across, dtln, gtcrn, per_sample
from smidgen.errors import SmidgenError
from smidgen.run.float_ops import run_float_all
from smidgen.run.islands import islands

CIFAR, CALIBRATION, CLIPS, CALIBRATION_CLIPS, SNR_DB = 100, 64, 8, 16, 5.0
Row = dict[str, Any]
HOW = (
    "`difference`: the largest between our float32 outputs and the original runtime's on real inputs (goal "
    "1e-4). `share`: bytes of the `.smg` in percent of 4 bytes a parameter (goals: int8 27, 4 bits 15). "
    "`4-bit weights`: `quantize.weights`, groups of 16, depthwise filters 8 bits; activations float, biases "
    "corrected on calibration samples where the network has one input. Quality is measured on the file, read "
    "again. EfficientNet: agreement with the original's top-1 on foolbox's 20 labelled images (and accuracy "
    f"there), and, out of domain, on {CIFAR} upscaled test images of CIFAR-10 (JPEG); calibration on "
    f"{CALIBRATION} of its training images. Denoisers: mean SI-SDR improvement over {CLIPS} words of Speech "
    f"Commands in its real background noise at {SNR_DB:g} dB, streamed with states; calibration on what they "
    f"read and carry in streams of {CALIBRATION_CLIPS} other words, every third frame. Magnitudes of spectra "
    "reach a hundred times their median: the ranges of DTLN's part 1 hold 99.9% (with the whole range both "
    "parts gained +4.72 dB on these words). `real ends`: from the spectrum to the first convolution and from "
    "the last one on in float32. Transformer: accuracy."
)


def _row(network: Pretrained, form: str, difference: float, made: Form | None, quality: str) -> Row:
    size = network.fp32_bytes if made is None else made.nbytes
    return {
        "network": network.name,
        "form": form,
        "difference": f"{difference:.1e}" if made is None else "",
        "bytes": size,
        "share, %": round(100 * size / network.fp32_bytes, 1),
        "quality": quality,
        "runs on": network.runtime if made is None else made.backend,
        "emitted": "" if made is None else made.emitted,
        "islands": "; ".join(f"{i.source}: {i.reason}" for i in islands(network.graph)),
    }


def difference(network: Pretrained, x: Arrays) -> float:
    """The largest between our outputs and the original's; the batch is the first axis of everything."""
    found, expected = run_float_all(network.graph, x), network.original(x)
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(a.ravel() - np.asarray(b).ravel()).max()) for a, b in pairs)


def efficientnet_rows() -> list[Row]:
    network = efficientnet()
    photographs, labels = inputs.labelled_photographs()
    cifar = inputs.upscaled_cifar10("test", CIFAR)
    seen = inputs.upscaled_cifar10("train", CALIBRATION)
    expected = [network.original((x,))[0].argmax(1) for x in (photographs, cifar)]

    def quality(run: Callable[[Arrays], Arrays]) -> str:
        photo, upscaled = (run((x,))[0].argmax(1) for x in (photographs, cifar))
        agreed = [100 * float((a == b).mean()) for a, b in zip((photo, upscaled), expected)]
        right = 100 * float((photo == labels).mean())
        return f"agreement {agreed[0]:.0f}% (accuracy {right:.0f}%), CIFAR-10 {agreed[1]:.0f}%"

    batches = [seen[i : i + 8] for i in range(0, len(seen), 8)]
    forms = {"int8": int8(network, batches), "4-bit weights": four_bit(network, (seen,))}
    rows = [_row(network, "fp32", difference(network, (photographs,)), None, quality(network.original))]
    return rows + [_row(network, name, 0.0, made, quality(made.run)) for name, made in forms.items()]


def dtln_rows() -> list[Row]:
    """Both parts are compressed alike and judged together."""
    state = np.zeros((1, 2, 128, 2), np.float32)
    first = onnx_network("DTLN part 1", dtln_file(1), (np.zeros((1, 1, 257), np.float32), state), (0, 0))
    second = onnx_network("DTLN part 2", dtln_file(2), (np.zeros((1, 1, 512), np.float32), state), (0, 0))
    clean, noisy = inputs.speech_in_noise(CLIPS, SNR_DB)
    states = (np.zeros((CLIPS, 2, 128, 2), np.float32),)

    def improvement(parts: tuple[Frame, Frame]) -> str:
        made = dtln(noisy, *(Stage(part, states) for part in parts))
        gain = inputs.si_sdr_db(made, clean) - inputs.si_sdr_db(noisy, clean)
        return f"SI-SDR {gain.mean():+.2f} dB"

    networks = (first, second)
    recorded = _recorded(networks)
    originals = tuple(per_sample(network.original) for network in networks)
    together = improvement((originals[0], originals[1]))
    rows = []
    for network, batches in zip(networks, recorded, strict=True):
        worst = max(difference(network, tuple(a[:1] for a in x)) for x in batches[::20])
        rows.append(_row(network, "fp32", worst, None, f"{together} (both)"))
    made: dict[str, list[Form]] = {
        "int8": [int8(first, recorded[0], "percentile"), int8(second, recorded[1])],
        "4-bit weights": [four_bit(network, ()) for network in networks],
    }
    for name, forms in made.items():
        heard = improvement((forms[0].run, forms[1].run))
        rows += [_row(n, name, 0.0, form, f"{heard} (both)") for n, form in zip(networks, forms, strict=True)]
    return rows


def _recorded(networks: tuple[Pretrained, Pretrained]) -> tuple[list[Arrays], list[Arrays]]:
    """What the two parts read (frames and states) on other noisy words than those that judge."""
    _, noisy = inputs.speech_in_noise(CALIBRATION_CLIPS, SNR_DB, seed=1)
    states = (np.zeros((CALIBRATION_CLIPS, 2, 128, 2), np.float32),)
    stages = [Stage(per_sample(network.original), states, recorded=[]) for network in networks]
    dtln(noisy, stages[0], stages[1])
    first, second = (stage.recorded or [] for stage in stages)
    return first, second


def gtcrn_rows() -> list[Row]:
    shapes = ((1, 257, 1, 2), (2, 1, 16, 16, 33), (2, 3, 1, 1, 16), (2, 1, 33, 16))
    axes = (0, 1, 2, 1)
    network = onnx_network("GTCRN", gtcrn_file(), tuple(np.zeros(s, np.float32) for s in shapes), axes)
    ports = [network.graph.values[name].shape for name in network.graph.inputs]
    clean, noisy = inputs.speech_in_noise(CLIPS, SNR_DB)

    def stream(run: Frame, heard: inputs.Floats, recorded: list[Arrays] | None = None) -> inputs.Floats:
        states = tuple(np.zeros((len(heard), *shape), np.float32) for shape in ports[1:])
        return gtcrn(heard, Stage(run, states, recorded))

    def improvement(run: Frame) -> str:
        gain = inputs.si_sdr_db(stream(run, noisy), clean) - inputs.si_sdr_db(noisy, clean)
        return f"SI-SDR {gain.mean():+.2f} dB"

    recorded: list[Arrays] = []
    original = across(network.original, axes)
    stream(original, inputs.speech_in_noise(CALIBRATION_CLIPS, SNR_DB, seed=1)[1], recorded)
    alike = Pretrained(network.name, network.runtime, network.graph, original, network.fp32_bytes)
    worst = max(difference(alike, x) for x in recorded[::4])
    rows = [_row(network, "fp32", worst, None, improvement(original))]
    forms = (
        ("int8", int8(network, recorded)),
        ("int8, real ends", int8(network, recorded, real=ends)),
        ("4-bit weights", four_bit(network, ())),
    )
    return rows + [_row(network, name, 0.0, made, improvement(made.run)) for name, made in forms]


def transformer_rows() -> list[Row]:
    from benchmarks.pretrained_transformer import frames, trained
    from smidgen.tasks.task import load_task

    data = load_task("spoken_digits").load()
    network, test = trained(data), frames(data.test.x)
    train = frames(data.train.x)

    def quality(run: Callable[[Arrays], Arrays]) -> str:
        return f"accuracy {100 * float((run((test,))[0].argmax(1) == data.test.y).mean()):.1f}%"

    rows = [_row(network, "fp32", difference(network, (test[:64],)), None, quality(network.original))]
    forms: Iterable[tuple[str, Form]] = (
        ("int8", int8(network, [train[i : i + 64] for i in range(0, 512, 64)])),
        ("4-bit weights", four_bit(network, (train[:256],))),
    )
    return rows + [_row(network, name, 0.0, made, quality(made.run)) for name, made in forms]


NETWORKS: dict[str, Callable[[], list[Row]]] = {
    "efficientnet": efficientnet_rows,
    "dtln": dtln_rows,
    "transformer": transformer_rows,
    "gtcrn": gtcrn_rows,
}


def stored() -> dict[str, list[Row]]:
    path = RESULTS / "pretrained.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["networks"]) if path.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", choices=NETWORKS, action="append", default=[])
    again = parser.parse_args().again
    kept = {name: rows for name, rows in stored().items() if name not in again}
    for name in progress([name for name in NETWORKS if name not in kept], "pretrained networks"):
        try:
            kept[name] = NETWORKS[name]()
        except SmidgenError as problem:
            kept[name] = [{"network": name, "form": "not loaded", "islands": str(problem)}]
        rows = [row for known in NETWORKS for row in kept.get(known, [])]
        write_results("pretrained", "Pretrained networks", rows, HOW, networks=kept)


if __name__ == "__main__":
    main()
