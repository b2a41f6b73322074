import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from smidgen.search.paired import mcnemar_p, mean_drop, paired_drop, t_interval

LABELS = np.zeros(400, np.int64)


def with_errors(start, stop):
    found = LABELS.copy()
    found[start:stop] = 1
    return found


def test_the_drop_is_the_difference_of_accuracies():
    drop = paired_drop(with_errors(0, 20), [with_errors(10, 50)], LABELS)
    assert drop.points == pytest.approx(5.0)
    assert mean_drop(with_errors(0, 20), [with_errors(10, 50)], LABELS) == pytest.approx(5.0)


def test_equal_predictions_leave_no_doubt():
    drop = paired_drop(with_errors(0, 40), [with_errors(0, 40)], LABELS)
    assert (drop.points, drop.low, drop.high) == (0, 0, 0)


def test_pairing_narrows_the_interval():
    same_mistakes = paired_drop(with_errors(0, 40), [with_errors(0, 48)], LABELS)
    other_mistakes = paired_drop(with_errors(0, 40), [with_errors(200, 248)], LABELS)
    assert same_mistakes.points == other_mistakes.points
    assert same_mistakes.high - same_mistakes.low < other_mistakes.high - other_mistakes.low


def test_the_interval_is_that_of_drawing_the_samples_themselves():
    rng = np.random.default_rng(1)
    reference, candidate = with_errors(0, 40), with_errors(20, 90)
    lost = (reference == LABELS).astype(int) - (candidate == LABELS)
    means = [rng.choice(lost, lost.size).mean() * 100 for _ in range(4000)]
    drop = paired_drop(reference, [candidate], LABELS)
    assert [drop.low, drop.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(200):
        reference = (rng.random(400) < 0.10).astype(np.int64)
        candidate = (rng.random(400) < 0.15).astype(np.int64)
        drop = paired_drop(reference, [candidate], LABELS, seed=trial)
        hits += drop.low <= 5.0 <= drop.high
    assert 180 <= hits <= 200


def drawn_cluster_by_cluster(lost, clusters, draws, seed):
    """Means, in points, of samples made of whole clusters that were drawn with replacement."""
    rng, numbers = np.random.default_rng(seed), np.unique(clusters)
    rows = [np.flatnonzero(clusters == number) for number in numbers]
    picks = (rng.integers(0, len(numbers), len(numbers)) for _ in range(draws))
    return [lost[np.concatenate([rows[i] for i in pick])].mean() * 100 for pick in picks]


def test_with_clusters_whole_clusters_are_drawn():
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 25, 400)
    reference = (rng.random(400) < 0.1).astype(np.int64)
    candidate = (rng.random(400) < 0.05 + 0.3 * (clusters % 4 == 0)).astype(np.int64)
    drop = paired_drop(reference, [candidate], LABELS, clusters=clusters)
    means = drawn_cluster_by_cluster(candidate - reference, clusters, 4000, 4)
    assert [drop.low, drop.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.5)
    assert drop.points == pytest.approx((candidate - reference).mean() * 100)
    assert drop.clusters == 25


def test_clusters_of_one_sample_change_nothing():
    alone = paired_drop(with_errors(0, 40), [with_errors(20, 90)], LABELS)
    each = paired_drop(with_errors(0, 40), [with_errors(20, 90)], LABELS, clusters=np.arange(400))
    assert (each.points, each.low, each.high) == (alone.points, alone.low, alone.high)


def test_mistakes_that_come_in_clusters_widen_the_interval():
    clusters = np.arange(400) // 20
    alone = paired_drop(LABELS, [with_errors(0, 40)], LABELS)
    together = paired_drop(LABELS, [with_errors(0, 40)], LABELS, clusters=clusters)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_clusters_and_seeds_are_both_drawn():
    clusters = np.arange(400) // 20
    one = paired_drop(LABELS, [with_errors(0, 20)] * 2, LABELS, clusters=clusters)
    apart = paired_drop(LABELS, [LABELS, with_errors(0, 40)], LABELS, clusters=clusters)
    assert apart.points == one.points
    assert apart.high > one.high


def test_few_clusters_give_no_reliable_interval():
    assert paired_drop(LABELS, [LABELS], LABELS).reliable
    assert paired_drop(LABELS, [LABELS], LABELS, clusters=np.arange(400) // 40).reliable
    assert not paired_drop(LABELS, [LABELS], LABELS, clusters=np.arange(400) // 200).reliable


def test_clusters_of_other_samples_are_refused():
    with pytest.raises(ValueError, match="clusters for"):
        paired_drop(LABELS, [LABELS], LABELS, clusters=np.arange(3))


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_s_p_value_is_that_of_a_fair_coin(only_reference, only_candidate):
    lost = np.repeat([1, -1, 0], [only_reference, only_candidate, 10])
    tosses = only_reference + only_candidate
    expected = scipy.stats.binomtest(only_reference, tosses).pvalue if tosses else 1.0
    assert mcnemar_p(lost) == pytest.approx(expected, rel=1e-9)


def test_the_p_value_is_the_first_seed_s_and_needs_independent_samples():
    first, other = with_errors(0, 30), with_errors(0, 10)
    drop = paired_drop(with_errors(0, 20), [first, other], LABELS)
    assert drop.mcnemar_p == pytest.approx(scipy.stats.binomtest(10, 10).pvalue)
    clustered = paired_drop(with_errors(0, 20), [first], LABELS, clusters=np.arange(400) // 20)
    assert clustered.mcnemar_p is None


def test_seeds_that_disagree_widen_the_interval():
    alike = paired_drop(LABELS, [with_errors(0, 20)] * 4, LABELS)
    apart = paired_drop(LABELS, [LABELS, with_errors(0, 40), LABELS, with_errors(0, 40)], LABELS)
    assert apart.points == alike.points
    assert apart.high - apart.low > alike.high - alike.low


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=40))
def test_the_t_interval_is_student_s(differences):
    found = t_interval(differences)
    sem = scipy.stats.sem(differences)
    half = scipy.stats.t.ppf(0.975, min(len(differences) - 1, 10**6)) * sem
    # Past 30 degrees of freedom the normal quantile stands in, 4% narrower at most.
    assert found.points == pytest.approx(np.mean(differences), abs=1e-9)
    assert found.high - found.points == pytest.approx(
        half, rel=0.045 if len(differences) > 31 else 1e-3, abs=1e-9
    )


def test_one_fold_proves_nothing():
    assert t_interval([1.0]).high == math.inf


def test_predictions_for_other_samples_are_refused():
    with pytest.raises(ValueError, match="labels"):
        paired_drop(LABELS, [LABELS[:3]], LABELS)
