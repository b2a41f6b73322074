"""The verdict's benchmark: every method has an arm, what was trained is not trained again."""

from __future__ import annotations

import json

import numpy as np
import pytest

import benchmarks.verdict as script
from benchmarks.arms import WIDTHS, arm, baseline, methods
from benchmarks.common import RESULTS
from benchmarks.verdict import BASELINE, CLONE, Lab, Setup, judge_task, merged, null_praised, summary
from smidgen.methods.quantize.layer import LayerQuantization
from smidgen.methods.recipe import Recipe, step_names
from smidgen.methods.tune.fit import Fit
from smidgen.search import verdict
from smidgen.search.verdict import Runs
from smidgen.tasks import load_task
from tests.contracts.methods_page import rows as method_rows
from tests.networks import small_cnn

TINY = Setup(1, 1, 3e-3, 64, train_rows=64, test_rows=40)
TRAINING = Fit(3)


def test_every_method_but_training_and_the_repair_of_a_layer_is_judged():
    assert {*methods(), Fit.name, LayerQuantization.name} == set(step_names())


@pytest.mark.parametrize("method", methods())
def test_every_method_has_an_arm_as_large_and_as_long_trained_as_the_baseline(method):
    entries = arm(method, small_cnn(), TRAINING)
    assert len(entries) == len(set(entries)) == len(baseline(TRAINING))
    for entry in entries:
        assert entry.width in WIDTHS
        assert method in [step.name for step in entry.recipe.steps]
        assert [step for step in entry.recipe.steps if step.name == Fit.name] == [TRAINING]
        assert Recipe.from_yaml(entry.recipe.to_yaml()) == entry.recipe


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(load_task("digits"), TINY, tmp_path_factory.mktemp("lab"))


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(verdict, "RESAMPLES", 400)


def invented(lab, entry, seed):
    """A network never built: nine in ten right, larger where it is wider."""
    right = np.random.default_rng(seed).random(len(lab.data.test)) < 0.9
    return int(1000 * entry.width), np.packbits(right).tobytes().hex(), []


def test_a_network_is_the_file_that_was_run(lab):
    size, right, _ = lab._build(baseline(lab.setup.training)[3], 0)
    assert size > 1000
    assert len(bytes.fromhex(right)) == 40 // 8


def test_a_task_s_table_has_a_row_for_the_clone_and_for_every_method(tmp_path, monkeypatch, few_resamples):
    monkeypatch.setattr(Lab, "_build", invented)
    lab = Lab(load_task("digits"), TINY, tmp_path)
    rows, praised = judge_task(lab, "digits", ["quantize.affine"], trials=2)
    assert [row["method"] for row in rows] == ["clone of the baseline", "quantize.affine"]
    assert all(row["verdict"] in ("pushes the frontier", "does not") for row in rows)
    assert 0 <= praised <= 2


def test_new_rows_replace_those_of_the_same_task_and_method():
    def row(task, method, gain):
        return {"task": task, "method": method, "gain": gain}

    before = [row("digits", CLONE, 1), row("digits", "b", 2), row("watch", "b", 3)]
    after = merged(before, [row("watch", "a", 4), row("digits", "b", 5), row("mnist", CLONE, 6)])
    assert [(r["task"], r["method"], r["gain"]) for r in after] == [
        ("digits", CLONE, 1),
        ("digits", "b", 5),
        ("watch", "a", 4),
        ("watch", "b", 3),
        ("mnist", CLONE, 6),
    ]


def test_a_methods_verdicts_in_words():
    found = {"a": "pushes the frontier", "b": "does not", "c": "does not"}
    rows = [{"task": task, "method": "m", "verdict": text} for task, text in found.items()]
    assert summary(rows, "m") == "pushes: a; does not: b, c"
    assert summary(rows[1:], "m") == "does not: b, c"
    assert summary(rows, "another") == "–"


def test_the_methods_page_says_what_was_found():
    rows = json.loads((RESULTS / "verdict.json").read_text(encoding="utf-8"))["rows"]
    for found in method_rows():
        assert found["verdict"] == summary(rows, found["name"]), found["name"]


def test_what_was_measured_is_not_built_again(lab, monkeypatch):
    entries = baseline(lab.setup.training)[2:]
    first = lab.arm(BASELINE, entries, [0])
    monkeypatch.setattr(Lab, "_build", lambda *_: pytest.fail("built again"))
    again = lab.arm(BASELINE, entries, [0])
    assert np.array_equal(first.right, again.right)
    assert np.array_equal(first.cost, again.cost)


def test_a_changed_recipe_is_built_anew(lab, monkeypatch):
    monkeypatch.setattr(Lab, "_build", lambda *_: (2, "00" * 5, []))
    lab.arm("clone", baseline(lab.setup.training), [0])
    monkeypatch.setattr(Lab, "_build", lambda *_: (1, "00" * 5, []))
    assert lab.arm("clone", baseline(Fit(7)), [0]).cost.max() == 1


def test_a_method_that_can_t_be_built_is_listed_with_the_reason(lab, monkeypatch):
    def broken(*_):
        raise ValueError("no such layer")

    monkeypatch.setattr(Lab, "_build", broken)
    found = lab.arm("broken", baseline(Fit(7)), [0])
    assert found == "ValueError: no such layer"
    assert script.row("digits", "broken", found)["verdict"] == "can't be built (ValueError: no such layer)"


def test_the_null_deals_every_seed_to_one_arm(monkeypatch):
    seen = []

    def judged(b, again, clone, corner, seed):
        seen.append(sorted(int(c) for runs in (b, again, clone) for c in runs.cost[0]))
        return verdict.Verdict(1.0, float(len(seen) - 2), None, 5)

    monkeypatch.setattr(script, "judge", judged)
    dense = Runs(np.ones((2, 15, 4), bool), np.tile(np.arange(1.0, 16.0), (2, 1)))
    assert null_praised(dense, 5, 3) == 1
    assert seen == [list(range(1, 16))] * 3
