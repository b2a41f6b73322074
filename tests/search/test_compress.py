"""One call, everything real: a frontier of files that were run."""

import numpy as np
import pytest

from smidgen.errors import BadInput
from smidgen.measurement import Measurement
from smidgen.methods.tune.fit import Fit
from smidgen.search.baselines import OTHER_MODELS
from smidgen.search.compress import Job, compress
from smidgen.search.engine import Limits
from smidgen.search.result import Result
from smidgen.targets.registry import load_target
from tests.search.small import fresh, splits, trained


@pytest.fixture(scope="module")
def job():
    data = splits()
    return Job(
        trained(data),
        data,
        load_target("x86-64"),
        max_drop=5,
        training=Fit(epochs=2, lr=3e-3),
        methods=("quantize.affine", "prune.global_magnitude"),
        widths=(0.5,),
        width_model=fresh,
    )


@pytest.fixture(scope="module")
def found(job, tmp_path_factory) -> Result:
    return compress(job, Limits(trials=4, seeds=(0, 1)), tmp_path_factory.mktemp("run"))


def test_the_chosen_artifact_is_smaller_and_nearly_as_accurate(found):
    chosen = found.require_chosen()
    assert chosen.cost("file_bytes") < found.reference.measurements["file_bytes"].value / 2
    assert found.drops[chosen.key].points <= 5


def test_the_frontier_is_confirmed_and_tested(found):
    chosen = found.require_chosen()
    assert len(chosen.runs) == len(chosen.test) == 2
    assert found.reference_test is not None


def test_baselines_are_part_of_the_search(found):
    assert {p.candidate.base for p in found.points} == {"model", "width-0.5", *OTHER_MODELS}
    assert not found.failed


def test_every_number_says_how_it_was_obtained(found):
    numbers = [m for p in found.points for m in p.measurements.values()]
    assert numbers
    assert all(isinstance(m, Measurement) and m.unit for m in numbers)


def test_only_the_asked_methods_are_used(found):
    used = {s.name for p in found.points if p.kind == "compressed" for s in p.candidate.recipe.steps}
    assert used <= {"quantize.affine", "prune.global_magnitude"}


def test_a_run_can_t_go_on_with_another_network(job, found):
    other = Job(**{**vars(job), "graph": fresh(seed=5)})
    with pytest.raises(BadInput, match="model changed"):
        compress(other, Limits(trials=5, seeds=(0, 1)), found.folder)


def test_a_run_can_t_go_on_with_another_sampler(job, found):
    other = Job(**{**vars(job), "sampler": "tpe"})
    with pytest.raises(BadInput, match=r"sampler changed.*Choose another --out"):
        compress(other, Limits(trials=5, seeds=(0, 1)), found.folder)


def test_an_unknown_sampler_is_refused_before_anything_is_written(job, tmp_path):
    with pytest.raises(BadInput, match="there is no 'grid'"):
        compress(Job(**{**vars(job), "sampler": "grid"}), Limits(trials=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unusable_data_is_refused_before_anything_is_written(job, tmp_path):
    broken = splits()
    broken.train.x[3, 0, 0, 0] = np.nan
    with pytest.raises(BadInput, match="train sample 3 has NaN"):
        compress(Job(**{**vars(job), "data": broken}), Limits(trials=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_workers_make_the_same_files(job, found, tmp_path):
    again = compress(job, Limits(trials=3, seeds=(0,)), tmp_path, workers=2)
    one, two = (
        {p.label: (p.artifact / "model.smg").read_bytes() for p in result.points} for result in (found, again)
    )
    both = one.keys() & two.keys()
    assert len(both) >= 5  # hand-picked recipes and baselines, which no sampler has a say in
    assert all(one[label] == two[label] for label in both)
    assert all(p.measurements["latency_ms"].how == "measured" for p in again.points)


def test_a_width_model_that_can_t_travel_is_refused(job, tmp_path):
    local = Job(**{**vars(job), "width_model": lambda width, seed: fresh(width, seed)})
    with pytest.raises(BadInput, match="Define it at the top level of a module"):
        compress(local, Limits(trials=2), tmp_path, workers=2)
