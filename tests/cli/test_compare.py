"""`smidgen compare` as it is typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.container import write_smg
from tests import planted
from tests.cli.conftest import Cli
from tests.cli.tiny import Tiny


def test_a_model_and_its_artifact_out_of_a_run(user: Tiny, run_folder: Path, cli: Cli) -> None:
    chosen = run_folder / "chosen" / "model.smg"
    ran = cli("compare", user.onnx, chosen, "--data", user.npz, "--fixes", 0, "--out", "page.html")
    assert ran.code == 0
    assert "Signal to noise, B against A" in ran.out
    assert "Accuracy:" in ran.out
    assert Path("page.html").stat().st_size > 10_000


def test_the_uncompressed_file_of_a_run_will_do_as_well(user: Tiny, run_folder: Path, cli: Cli) -> None:
    chosen = run_folder / "chosen" / "model.smg"
    again = cli("compare", chosen, chosen, "--data", user.npz)
    assert again.code == 0
    assert "agree bit for bit" in again.out
    assert "no fixes are simulated" in again.out


def test_fixes_are_printed_with_their_line_and_place(cli: Cli, tmp_path: Path) -> None:
    plant = planted.two_bits()
    write_smg(tmp_path / "a.smg", [plant.graph])
    write_smg(tmp_path / "b.smg", [plant.artifact()])
    part = plant.data.train
    np.savez(tmp_path / "d.npz", x=part.x, y=part.y)
    ran = cli("compare", "a.smg", "b.smg", "--data", "d.npz", "--fixes", 2)
    assert ran.code == 0
    assert "First layer below 20 dB: second (q.linear)" in ran.out
    assert "8 bits instead of 2 in second" in ran.out
    assert "- quantize.layer: {layer: second, bits: 8}   # after step 2, quantize.layer" in ran.out
    assert "recipe: read off B's weights" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["{onnx}", "absent.smg", "--data", "{npz}"], 3, "there is no file 'absent.smg'"),
        (["{onnx}", "{onnx}"], 3, "data: none was given"),
        (["{onnx}", "{npz}", "--data", "{npz}"], 3, "only .onnx and .pt2 are read"),
        (["{onnx}", "{onnx}", "--data", "{npz}", "--samples", "0"], 3, "samples: 0"),
        (["{onnx}"], 2, "Missing argument 'B'"),
    ],
)
def test_bad_input_is_one_line(user: Tiny, arguments: list[str], code: int, complaint: str, cli: Cli) -> None:
    ran = cli("compare", *(a.format(onnx=user.onnx, npz=user.npz) for a in arguments))
    assert ran.code == code
    assert complaint in ran.err
    assert ran.out == ""
