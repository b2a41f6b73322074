"""The built-in tasks: found by path, checked data, honest splits, a model that fits."""

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from smidgen.data.dataset import Splits
from smidgen.data.masking import BINS, rebuilt, sdr, sdr_gains
from smidgen.data.metrics import METRICS, metric_for
from smidgen.data.source import find
from smidgen.errors import BadFile, BadInput, MissingExtra
from smidgen.tasks import Task, load_task, speech_commands, spoken_digits, task_names, watch
from smidgen.tasks import task as task_module
from smidgen.tasks.task import is_task
from tests.conftest import require

FILES = {  # what `find` must find, or one of them
    "mnist": ("mnist_train.npz", "mnist.npz"),
    "cifar10": ("cifar10_train.parquet",),
    "speech_commands": ("speech_commands_test.parquet",),
    "spoken_digits": ("spoken_digits.parquet",),
    "denoise": ("spoken_digits.parquet",),
}
CLASSIFIED = sorted(set(task_names()) - {"denoise"})


def ready(name: str) -> Task:
    """The task, or a skip that says what its data needs."""
    if name == "watch":
        require(importlib.util.find_spec("seglearn"), "the package seglearn")
    if name in FILES:
        require(any(map(find, FILES[name])), f"{FILES[name][0]} (set SMIDGEN_DATA)")
    return load_task(name)


@cache
def data_of(name: str) -> Splits:
    """The task's splits, read once: decoding takes seconds."""
    return ready(name).load()


@pytest.fixture(autouse=True, scope="module")
def _forget_data() -> Iterator[None]:
    yield
    data_of.cache_clear()


every_task = pytest.mark.parametrize("name", task_names())


def test_tasks_are_the_modules_of_the_folder() -> None:
    folder = Path(str(task_module.__file__)).parent
    assert set(task_names()) == {p.stem for p in folder.glob("*.py")} - {"__init__", "task"}
    assert {"digits", "mnist", "watch"} <= set(task_names())


@pytest.mark.parametrize("name", ["watches", "task", "", "../watch", "os"])
def test_an_unknown_task_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput, match="known: cifar10, denoise, digits, mnist"):
        load_task(name)


@every_task
def test_a_task_is_called_like_its_file_and_fully_described(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert METRICS[task.metric].targets == ("classes" if task.labels else "values")
    assert all((task.description, task.licence, task.caveats))


@every_task
def test_the_data_is_as_declared(name: str) -> None:
    task = ready(name)
    splits = data_of(name)
    for part in (splits.train, splits.validation, splits.test):
        assert part.x.shape[1:] == task.input_shape
        assert part.x.dtype == np.float32
    assert metric_for(splits).name == task.metric


@pytest.mark.parametrize("name", CLASSIFIED)
def test_every_part_holds_every_class(name: str) -> None:
    task = ready(name)
    splits = data_of(name)
    for part in (splits.train, splits.validation, splits.test):
        assert set(np.unique(part.y)) == set(range(task.classes))
    assert splits.classes == task.classes


@every_task
def test_no_sample_is_in_two_parts(name: str) -> None:
    splits = data_of(name)
    parts = [
        {hash(row.tobytes()) for row in part.x} for part in (splits.train, splits.validation, splits.test)
    ]
    assert parts[0].isdisjoint(parts[1])
    assert parts[2].isdisjoint(parts[0] | parts[1])


@pytest.mark.parametrize("name", ["digits", "watch", "spoken_digits"])
def test_loading_twice_gives_the_same_data(name: str) -> None:
    task = ready(name)
    assert task.load().digest == task.load().digest


@every_task
def test_the_model_takes_the_data(name: str) -> None:
    task = load_task(name)
    graph = task.model(width=0.5, seed=1)
    assert graph.values[graph.inputs[0]].shape == task.input_shape
    outputs = (task.classes,) if task.labels else (task.input_shape[0] * BINS,)
    assert graph.values[graph.outputs[0]].shape == outputs


def test_no_subject_of_watch_is_in_two_parts() -> None:
    splits = ready("watch").load()
    parts = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert parts == [{1, 2, 3, 4, 5, 6}, {7, 8}, {9, 10}]


def test_watch_is_standardised_by_its_training_windows_alone() -> None:
    splits = ready("watch").load()
    np.testing.assert_allclose(splits.train.x.mean(axis=(0, 1), dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(splits.train.x.std(axis=(0, 1), dtype=np.float64), 1, atol=1e-6)
    assert np.abs(splits.test.x.mean(axis=(0, 1), dtype=np.float64)).max() > 0.01


def test_watch_windows_are_the_recordings_cut_in_overlapping_pieces() -> None:
    ready("watch")
    data, recordings = watch.windows(), watch._recordings()
    assert len(data) == sum((len(signal) - 200) // 100 + 1 for signal in recordings["X"])
    np.testing.assert_array_equal(data.x[1], recordings["X"][0][100:300].astype(np.float32))
    assert data.y[1] == recordings["y"][0]


def test_windows_of_a_watch_recording_are_one_cluster_of_one_subject() -> None:
    ready("watch")
    data, recordings = watch.windows(), watch._recordings()
    assert data.clusters is not None
    assert np.bincount(data.clusters).tolist() == [(len(s) - 200) // 100 + 1 for s in recordings["X"]]
    for number in np.unique(data.clusters):
        assert len(set(data.groups[data.clusters == number])) == 1
    validation = load_task("watch").load().validation
    assert len(set(validation.clusters.tolist())) >= 20


def test_folds_of_watch_test_every_subject_once() -> None:
    ready("watch")
    tested = [sorted(set(fold.test.groups.tolist())) for fold in watch.folds()]
    assert tested == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]


def test_watch_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"smidgen\[tasks\]"):
        load_task("watch").load()


def test_a_watch_file_with_other_contents_is_never_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "watch_dataset.npy").write_bytes(b"not the data")
    spec = importlib.util.spec_from_file_location("seglearn", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(BadFile, match="SHA-256"):
        load_task("watch").load()


def test_denoise_mixes_speech_and_noise_at_0_db_from_other_people_and_clips() -> None:
    ready("denoise")
    splits = data_of("denoise")
    speakers, clips = set(), set()
    for part in (splits.train, splits.validation, splits.test):
        size = part.x.shape[1] * BINS
        clean, real, imaginary = (
            part.y[:, 3 * size :],
            part.y[:, size : 2 * size],
            part.y[:, 2 * size : 3 * size],
        )
        noisy = rebuilt((real + 1j * imaginary).reshape(len(part), -1, BINS).astype(np.complex64))
        np.testing.assert_allclose(sdr(clean, noisy), 0, atol=1e-3)
        np.testing.assert_allclose((noisy**2).mean(axis=1), 1, rtol=1e-3)
        assert sdr_gains(part.y[:, :size], part.y).mean() > 10
        assert speakers.isdisjoint(part.groups.tolist())
        assert clips.isdisjoint(part.clusters.tolist())
        speakers.update(part.groups.tolist())
        clips.update(part.clusters.tolist())
    assert len(speakers) == 6


def test_denoise_gives_sizes_of_four_bits() -> None:
    ready("denoise")
    part = data_of("denoise").train.head(50)
    assert set(np.unique(part.x)) == {-1.0, 1.0}
    size = part.x.shape[1] * BINS
    spectrum = (part.y[:, size : 2 * size] + 1j * part.y[:, 2 * size : 3 * size]).reshape(50, -1, BINS)
    index = ((part.x.reshape(50, -1, BINS, 4) > 0) * [8, 4, 2, 1]).sum(axis=-1)
    for b in (5, 40, 120):  # a larger size never has a lower index
        order = np.argsort(np.abs(spectrum[..., b]), axis=None)
        assert np.all(np.diff(index[..., b].ravel()[order]) >= 0)


def test_digits_are_spread_evenly() -> None:
    splits = load_task("digits").load()
    for part, share in ((splits.train, 0.6), (splits.validation, 0.2), (splits.test, 0.2)):
        counts = np.bincount(part.y) / len(part)
        assert np.abs(counts - 0.1).max() < 0.02
        assert abs(len(part) / 1797 - share) < 0.002


def test_mnist_that_is_not_mnist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mnist_train.npz", "mnist_test.npz"):
        np.savez(tmp_path / name, x=np.zeros((3, 28, 28), np.uint8), y=np.zeros(3, np.uint8))
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path))
    with pytest.raises(BadFile, match=r"x is uint8 \[3, 28, 28\]"):
        load_task("mnist").load()


def test_corrupt_mnist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mnist_train.npz", "mnist_test.npz"):
        (tmp_path / name).write_bytes(b"PK")
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path))
    with pytest.raises(BadFile, match="can't be read"):
        load_task("mnist").load()


def test_the_baseline_learns_its_task() -> None:
    from smidgen.learn.fit import float_logits

    task = load_task("digits")
    short = replace(task, training=replace(task.training, epochs=8))
    splits = short.load()
    trained = short.baseline(splits, width=0.25, seed=2)
    found = np.mean(float_logits(trained, splits.validation.x).argmax(axis=1) == splits.validation.y)
    assert found > 0.9


def test_the_committed_baselines_reach_what_the_tasks_promise() -> None:
    results = json.loads((Path(__file__).parents[2] / "benchmarks/results/tasks.json").read_text())
    reached = {row["task"]: row["test_accuracy_mean"] for row in results["tasks"]}
    assert set(reached) == set(CLASSIFIED)
    assert reached["cifar10"] >= 0.75
    assert reached["watch"] >= 0.75
    assert reached["mnist"] >= 0.988
    assert reached["digits"] >= 0.97
    assert reached["speech_commands"] >= 0.78
    assert reached["spoken_digits"] >= 0.94


def test_a_variant_is_the_same_task_with_another_network_and_training() -> None:
    task, variant = load_task("cifar10"), load_task("cifar10:mobilenet")
    assert variant.name == "cifar10:mobilenet"
    assert variant.model().name != task.model().name
    assert variant.training is task.variants["mobilenet"].training
    assert (variant.read, variant.labels, variant.caveats) == (task.read, task.labels, task.caveats)


@pytest.mark.parametrize("name", ["cifar10:resnet", "digits:", "cifar10:mobilenet:x"])
def test_an_unknown_variant_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput, match=r"there is no variant .* known: (none|mobilenet)"):
        load_task(name)


@pytest.mark.parametrize(
    ("name", "known"),
    [("digits", True), ("digits:x", True), ("nothing", False), ("model.onnx", False), ("pkg.mod:fn", False)],
)
def test_names_of_tasks_are_told_from_files_and_functions(name: str, known: bool) -> None:
    assert is_task(name) == known


@every_task
def test_every_variant_takes_the_data(name: str) -> None:
    task = load_task(name)
    for variant in task.variants:
        graph = load_task(f"{name}:{variant}").model(width=0.5)
        assert graph.values[graph.inputs[0]].shape == task.input_shape


@pytest.mark.parametrize("name", [name for name in FILES if name != "mnist"])
def test_without_its_file_a_task_names_it_and_where_to_put_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(BadInput, match=rf"{FILES[name][0]}.*point SMIDGEN_DATA at"):
        load_task(name).load()


@pytest.mark.parametrize("name", [name for name in FILES if name != "mnist"])
def test_a_file_with_other_contents_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILES[name][0]).write_bytes(b"PAR1")
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path))
    with pytest.raises(BadFile, match="SHA-256"):
        load_task(name).load()


def test_cifar10_is_always_called_a_jpeg_copy() -> None:
    task = load_task("cifar10")
    assert "CIFAR-10 (JPEG)" in task.description
    assert "CIFAR-10 (JPEG)" in task.caveats


def test_cifar10_holds_out_a_tenth_of_every_class() -> None:
    splits = data_of("cifar10")
    assert np.bincount(splits.train.y).tolist() == [4500] * 10
    assert np.bincount(splits.validation.y).tolist() == [500] * 10
    assert np.bincount(splits.test.y).tolist() == [1000] * 10
    np.testing.assert_allclose(splits.train.x.mean((0, 1, 2), dtype=np.float64), 0, atol=1e-5)


def test_no_speaker_of_speech_commands_is_in_two_parts() -> None:
    splits = data_of("speech_commands")
    parts = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert all(a & b == {speech_commands.NOBODY} for a, b in combinations(parts, 2))
    assert len(set.union(*parts)) == 240


def test_speech_commands_are_divided_60_20_20_silence_included() -> None:
    splits = data_of("speech_commands")
    parts, silence = (splits.train, splits.validation, splits.test), speech_commands.LABELS.index("silence")
    for part, share in zip(parts, (0.6, 0.2, 0.2)):
        assert abs(len(part) / 4890 - share) < 0.01
        assert abs((part.y == silence).sum() / 408 - share) < 0.01
        assert ((part.y == silence) == (part.groups == speech_commands.NOBODY)).all()


@pytest.mark.parametrize("name", ["speech_commands", "spoken_digits"])
def test_spectrograms_are_standardised_by_coefficient_over_training(name: str) -> None:
    train = data_of(name).train.x
    np.testing.assert_allclose(train.mean((0, 1), dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(train.std((0, 1), dtype=np.float64), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["speech_commands", "spoken_digits"])
def test_tasks_on_spectrograms_say_which_features(name: str) -> None:
    assert load_task(name).features.startswith("10 MFCCs of 40 log-mel bands")


def test_spoken_digits_test_the_first_five_recordings_of_every_speaker_and_digit() -> None:
    splits = data_of("spoken_digits")
    for part, count in ((splits.train, 40), (splits.validation, 5), (splits.test, 5)):
        assert np.bincount(part.groups * 10 + part.y).tolist() == [count] * 60


def test_folds_of_spoken_digits_test_every_speaker_once_unheard() -> None:
    ready("spoken_digits")
    held = [
        (set(f.train.groups.tolist()), set(f.validation.groups.tolist()), set(f.test.groups.tolist()))
        for f in spoken_digits.folds()
    ]
    assert [test for _, _, test in held] == [{speaker} for speaker in range(6)]
    assert all(train | {*validation} == set(range(6)) - test for train, validation, test in held)
    assert all(train.isdisjoint(validation) and len(validation) == 1 for train, validation, _ in held)
