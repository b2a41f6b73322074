"""Bad input gives one documented line and its exit code, before any work and without leaving files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.api.packages import require_packages
from smidgen.errors import MissingExtra
from smidgen.targets import load_target
from tests.cli.conftest import Cli, Ran
from tests.cli.messages import is_documented
from tests.cli.tiny import Tiny

Arrays = Mapping[str, Any]


def assert_refused(ran: Ran, code: int, says: str) -> None:
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err
    assert is_documented(ran.err)
    assert ran.code == code


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "there is no task or file 'nonsense'"),
        (["none.onnx", "--data", "d.npz"], "none.onnx: no such file"),
        (["weights.pth", "--data", "d.npz"], "weights.pth: no such file"),
        (["digits", "--target", "toaster"], "smidgen knows cortex-a53"),
        (["digits", "--target", "none.toml"], "no such target"),
        (["digits", "--method", "prune.everything"], "unknown step 'prune.everything'"),
        (["digits", "--budget", "flash=64KB"], "x86-64 has no flash"),
        (["digits", "--budget", "weight=3"], "limits are flash, ram, file, latency"),
        (["digits", "--budget", "file=3parsecs"], "'3parsecs' is not a size"),
        (["digits", "--time", "5 fortnights"], "'5 fortnights' is not a duration"),
    ],
)
def test_compress_refuses_what_it_does_not_know(
    arguments: list[str], says: str, cli: Cli, tmp_path: Path
) -> None:
    assert_refused(cli("compress", *arguments), 3, says)
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--time", "0", "a search needs some"),
        ("--trials", "0", "at least one candidate"),
        ("--seeds", "0", "at least one is needed"),
        ("--seeds", "-2", "seeds: -2"),
        ("--max-drop", "101", "0 to 100 are possible"),
        ("--max-drop", "nan", "0 to 100 are possible"),
    ],
)
def test_numbers_out_of_range_are_refused(
    option: str, value: str, says: str, cli: Cli, tmp_path: Path
) -> None:
    ran = cli("compress", "digits", option, value)
    assert ran.code == 3
    assert says in ran.err
    assert not files(tmp_path)


def test_a_model_without_data_is_refused_for_a_device_that_runs_integers(user: Tiny, cli: Cli) -> None:
    assert_refused(cli("compress", user.onnx, "--target", "cortex-m4"), 3, "Pass --data")


def test_data_for_a_task_are_refused(user: Tiny, cli: Cli) -> None:
    ran = cli("compress", "digits", "--data", user.npz)
    assert ran.code == 3
    assert "task digits brings its own" in ran.err


def test_a_file_that_is_no_model_is_refused(user: Tiny, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    assert_refused(cli("compress", "bad.onnx", "--data", user.npz), 3, "not an ONNX model")


def with_nan(x: Any, row: int) -> Any:
    x = x.copy()
    x[row, 0, 5, 5] = np.nan
    return x


WRONG: Mapping[str, tuple[Callable[[Any, Any], Arrays], str]] = {
    "missing keys": (lambda x, y: {"images": x}, "it holds images"),
    "labels missing": (lambda x, y: {"x": x}, "there is no 'y'"),
    "NaN": (lambda x, y: {"x": with_nan(x, row=3), "y": y}, "row 3 has NaN"),
    "channels last": (lambda x, y: {"x": x.reshape(-1, 8, 8, 1), "y": y}, "the model takes [1, 8, 8]"),
    "other lengths": (lambda x, y: {"x": x, "y": y[:-1]}, "one entry a row"),
    "label out of range": (
        lambda x, y: {"x_train": x, "y_train": y, "x_val": x, "y_val": y + 1, "x_test": x, "y_test": y},
        "a validation label is 10",
    ),
    "negative label": (lambda x, y: {"x": x, "y": y - 1}, "labels run from 0"),
    "labels with gaps": (lambda x, y: {"x": x, "y": 2 * y}, "without gaps"),
    "more classes than outputs": (
        lambda x, y: {"x": np.concatenate([x, x]), "y": np.concatenate([y, y + 10])},
        "the model has 10 outputs",
    ),
    "empty split": (
        lambda x, y: {"x_train": x, "y_train": y, "x_test": x[:0], "y_test": y[:0]},
        "there are no rows",
    ),
    "objects": (
        lambda x, y: {"x": np.array([[1], [1, 2]], dtype=object), "y": y[:2]},
        "objects could run code",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_are_refused(case: str, user: Tiny, cli: Cli, tmp_path: Path) -> None:
    arrays, says = WRONG[case]
    np.savez(tmp_path / "wrong.npz", **arrays(user.x, user.y))
    ran = cli("compress", user.onnx, "--data", "wrong.npz", "--trials", 1)
    assert ran.code == 3
    assert ran.err.count("\n") == 1
    assert says in ran.err
    assert files(tmp_path) == {"wrong.npz"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("none.npz", "no such file"),
        (
            "table.csv",
            "an .npz or .parquet file, a folder of them or of class folders, or package.module:function",
        ),
        ("no_such_module:load", "module 'no_such_module' can't be imported"),
        ("json:no_such_function", "no function 'no_such_function' in json"),
        ("json:loads", "the function raised TypeError"),
    ],
)
def test_data_that_are_not_there_are_refused(source: str, says: str, user: Tiny, cli: Cli) -> None:
    ran = cli("compress", user.onnx, "--data", source)
    assert ran.code == 3
    assert says in ran.err


def test_a_folder_that_can_t_be_made_is_refused(user: Tiny, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for source in (["digits"], [user.onnx, "--data", user.npz]):
        ran = cli("compress", *source, "--out", "file/run", "--trials", 1)
        assert ran.code == 3
        assert "can't be written" in ran.err


@pytest.mark.parametrize("command", ["inspect", "verify", "measure"])
def test_a_file_that_is_not_an_artifact_is_exit_code_6(command: str, user: Tiny, cli: Cli) -> None:
    assert_refused(cli(command, user.npz), 6, "a .smg file starts with its magic bytes")
    assert cli(command, "none.smg").code == 6


def test_a_truncated_artifact_is_exit_code_6(run_folder: Path, cli: Cli, tmp_path: Path) -> None:
    whole = (run_folder / "chosen" / "model.smg").read_bytes()
    (tmp_path / "cut.smg").write_bytes(whole[:-20])
    assert_refused(cli("verify", "cut.smg"), 6, "truncated")


def test_a_damaged_artifact_is_exit_code_6(run_folder: Path, cli: Cli, tmp_path: Path) -> None:
    damaged = bytearray((run_folder / "chosen" / "model.smg").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.smg").write_bytes(damaged)
    assert_refused(cli("inspect", "damaged.smg"), 6, "its checksum is wrong")


def test_a_float_artifact_can_t_be_verified(user: Tiny, cli: Cli, tmp_path: Path) -> None:
    import smidgen
    from smidgen.codec.container import write_smg

    write_smg(tmp_path / "float.smg", [smidgen.load(str(user.onnx))])
    assert_refused(cli("verify", "float.smg"), 4, "only integer networks run exactly")


def test_a_weight_that_is_not_there_is_refused(run_folder: Path, cli: Cli) -> None:
    ran = cli("inspect", run_folder / "chosen" / "model.smg", "--weight", "none")
    assert ran.code == 3
    assert "there is no 'none'" in ran.err


def test_an_unknown_form_or_back_end_is_refused(run_folder: Path, cli: Cli) -> None:
    model = run_folder / "chosen" / "model.smg"
    for arguments in (["export", "zip", model, "out"], ["verify", model, "--backend", "abacus"]):
        ran = cli(*arguments)
        assert ran.code == 3
        assert "is unknown" in ran.err


def test_export_overwrites_nothing_of_the_user_s(run_folder: Path, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work", encoding="utf-8")
    assert_refused(cli("export", "c", run_folder / "chosen" / "model.smg", "mine"), 3, "did not write")
    assert files(tmp_path / "mine") == {"thesis.tex"}


def test_data_of_another_shape_are_refused(run_folder: Path, user: Tiny, cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=user.x[:, :, :4], y=user.y)
    ran = cli("measure", run_folder / "chosen" / "model.smg", "--data", "other.npz")
    assert_refused(ran, 3, "the model takes [n, 1, 8, 8]")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not: a list", "a list of steps is needed"),
        ("- fry.crisp", "unknown step 'fry.crisp'"),
        ("- quantize.affine: {bit: 4}", "bit"),
        ("[", "not YAML"),
    ],
)
def test_a_recipe_that_is_none_is_refused(text: str, says: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    ran = cli("apply", "recipe.yaml", "digits")
    assert ran.code == 3
    assert says in ran.err
    assert files(tmp_path) == {"recipe.yaml"}


def test_a_folder_without_a_report_is_exit_code_6(cli: Cli) -> None:
    assert_refused(cli("report", "nowhere"), 6, "report.json of a run is needed")


def test_check_lists_what_does_not_fit_and_is_exit_code_4(user: Tiny, cli: Cli) -> None:
    assert cli("check", user.onnx, "--target", "cortex-m4").code == 0
    ran = cli("check", user.onnx, "--target", "cortex-m4", "--budget", "flash=100B")
    assert ran.code == 4
    assert "bytes of flash" in " ".join(ran.out.split())


def test_a_missing_package_is_named_with_its_extra_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.api.packages.find_spec", lambda name: None if name == "ziglang" else name)
    require_packages(load_target("x86-64"))
    with pytest.raises(MissingExtra, match=r"ziglang is not installed. Run: pip install 'smidgen\[mcu\]'"):
        require_packages(load_target("cortex-m4"))


def test_a_package_missing_in_the_middle_is_exit_code_8(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="optuna.samplers")

    monkeypatch.setattr("smidgen.targets.load_target", fails)
    assert_refused(cli("check", "digits"), 8, "pip install 'smidgen[compress]'")


def test_the_unexpected_is_one_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise ZeroDivisionError("by [zero]")

    monkeypatch.setattr("smidgen.targets.load_target", fails)
    ran = cli("check", "digits")
    assert ran.code == 1
    assert ran.err.startswith("error: unexpected ZeroDivisionError: by [zero]. Set SMIDGEN_DEBUG=1")
    assert ran.err.count("\n") == 1


def test_inspecting_what_is_neither_a_file_nor_a_task_names_it(cli: Cli) -> None:
    ran = cli("inspect", "nothing-here.onnx")
    assert_refused(ran, 3, "no such file")
