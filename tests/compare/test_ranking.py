"""Places of runs: what is planted comes out, what is not is a tie, and all places together hold in 95 % of cases."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from compare.invented import folder, log
from scipy.stats import t as student

from grpo_prm.compare.comparison import as_json, compare
from grpo_prm.compare.difference import COMPARED, Draws, common_part, draws_of
from grpo_prm.compare.ranking import rank
from grpo_prm.compare.runs import open_runs
from grpo_prm.compare.tables import ranking_sheet
from grpo_prm.core.holm import holm
from grpo_prm.core.interval import Interval
from grpo_prm.errors import UsageError


def runs(tmp_path, *successes, **more):
    made = [
        log(run=f"r{n}", seed=n, success=lambda step, rng, p=p: p, prompts=4, **more) for n, p in enumerate(successes)
    ]
    return [folder(tmp_path / f"{n}.prm", one) for n, one in enumerate(made)]


def told(found):
    return [(place.run, place.best, place.worst, place.tied) for place in found.ranking.places]


def test_what_is_far_apart_has_places_and_what_is_alike_is_tied(tmp_path):
    found = compare(runs(tmp_path, 0.5, 0.9, 0.5, 0.1))
    assert told(found)[0] == ("r1", 1, 1, ()) and told(found)[3] == ("r3", 4, 4, ())
    middle = {place[0]: place[1:] for place in told(found)[1:3]}
    assert middle == {"r0": (2, 3, ("r2",)), "r2": (2, 3, ("r0",))}
    assert (found.ranking.pairs, found.ranking.apart, found.ranking.untested) == (6, 5, 0)
    sheet = ranking_sheet(found)
    assert [row[3:] for row in sheet.rows] == [["1", ""], ["2 to 3", "3"], ["2 to 3", "2"], ["4", ""]]
    kept = as_json(found)["ranking"]
    assert kept["statistic"] == "reward" and kept["places"][0]["run"] == "r1"


def test_pairs_are_tested_by_the_differences_of_their_steps_with_holm(tmp_path):
    """As many groups in each step, so the reward is a mean of one number a step, and Student's t of these is near."""
    made = [log(run=f"r{n}", seed=n, success=lambda step, rng, p=p: p) for n, p in enumerate((0.4, 0.5, 0.6, 0.62))]
    found = compare([folder(tmp_path / f"{n}.prm", one) for n, one in enumerate(made)])
    by_step = {
        f"r{n}": np.array([np.mean([r.reward for _, s, _, g in one if s == step for r in g]) for step in range(24)])
        for n, one in enumerate(made)
    }
    order = sorted(by_step, key=lambda name: -by_step[name].mean())
    pairs = list(combinations(order, 2))
    apart = [by_step[a] - by_step[b] for a, b in pairs]
    p = [2 * student.sf(abs(d.mean()) / (d.std(ddof=1) / np.sqrt(24)), 23) for d in apart]
    assert found.table.filter(statistic="reward", run="r3")["p"].item() == pytest.approx(
        p[pairs.index(("r3", "r0")) if ("r3", "r0") in pairs else pairs.index(("r0", "r3"))], rel=0.25, abs=1e-4
    )
    decided = {pair for pair, value in zip(pairs, slow_holm(p), strict=True) if value <= 0.05}
    for place in found.ranking.places:
        above = sum(loser == place.run for _, loser in decided)
        below = sum(winner == place.run for winner, _ in decided)
        assert (place.best, place.worst) == (1 + above, 4 - below)


def slow_holm(p):
    """Reject the smallest at 1/n, the next at 1/(n - 1), ... until one is not: the level at which each would be."""
    order = sorted(range(len(p)), key=lambda n: p[n])
    adjusted = [0.0] * len(p)
    for at, n in enumerate(order):
        adjusted[n] = min(1.0, max(p[m] * (len(p) - i) for i, m in enumerate(order[: at + 1])))
    return adjusted


def test_holm_is_the_definition():
    rng = np.random.default_rng(0)
    for size in (0, 1, 2, 7):
        p = rng.random(size) ** 3
        assert holm(p) == pytest.approx(slow_holm(p.tolist()))


def test_the_table_is_adjusted_over_all_its_differences(tmp_path):
    table = compare(runs(tmp_path, 0.5, 0.7)).table
    known = table.filter(table["p"].is_not_null())
    assert known["p_holm"].to_list() == pytest.approx(slow_holm(known["p"].to_list()))
    assert table.filter(table["p"].is_null())["p_holm"].null_count() == len(table) - len(known)


def invented(means, noise, rng):
    """Draws of runs whose statistics have normal resamples of their own."""
    draws = []
    for mean in means:
        value = mean + noise * rng.standard_normal()
        resampled = np.full((400, len(COMPARED)), value) + noise * rng.standard_normal((400, 1))
        interval = dict.fromkeys(COMPARED, Interval(value, None, None, 400))
        draws.append(Draws(interval, np.full(len(COMPARED), value), resampled, np.full(len(COMPARED), 400)))
    return draws


def test_places_hold_together_in_95_percent_of_cases(tmp_path):
    """Six runs, 400 times: the ranges of all true places at once."""
    compared = open_runs(runs(tmp_path, *([0.5] * 6), steps=range(2)))
    rng, hits = np.random.default_rng(1), 0
    means = (0.0, 0.0, 1.0, 2.5, 2.5, 6.0)
    for _ in range(400):
        places = {place.run: place for place in rank(compared, invented(means, 0.5, rng), "reward").places}
        hits += all(
            places[f"r{n}"].best <= 1 + sum(other > mean for other in means)
            and sum(other >= mean for other in means) <= places[f"r{n}"].worst
            for n, mean in enumerate(means)
        )
    assert hits >= 0.93 * 400


def test_without_intervals_nothing_is_told_apart(tmp_path):
    found = compare(runs(tmp_path, 0.1, 0.5, 0.9, steps=range(2)))
    assert [place[1:3] for place in told(found)] == [(1, 3)] * 3
    assert (found.ranking.apart, found.ranking.untested) == (0, 3)


def test_by_another_statistic_and_what_cannot_rank(tmp_path):
    paths = runs(tmp_path, 0.5, 0.6, 0.7)
    found = compare(paths, by="path_depth")
    means = [place.mean for place in found.ranking.places]
    assert found.ranking.statistic == "path_depth" and means == sorted(means, reverse=True)
    with pytest.raises(UsageError, match=r"--rank luck: no statistic.*Choose one of reward"):
        compare(paths, by="luck")
    other = folder(tmp_path / "k.prm", log(run="k", k=6))
    with pytest.raises(UsageError, match=r"--rank contest: the runs cannot be compared in it \(other k\)"):
        compare([*paths, other], by="contest")


def test_a_run_without_the_statistic_has_no_place(tmp_path):
    paths = runs(tmp_path, 0.5, 0.6, 1.0)  # groups that are all right have no reliability
    found = compare(paths, by="reliability").ranking
    assert (found.places[-1].run, found.places[-1].best, found.pairs) == ("r2", None, 1)


def test_runs_of_one_kind_are_seldom_told_apart(tmp_path):
    """Draws of equal runs: with Holm any pair of 10 is told apart in 5 % of cases at most."""
    compared = open_runs(runs(tmp_path, *([0.5] * 5), steps=range(2)))
    rng = np.random.default_rng(2)
    wrong = sum(rank(compared, invented((0.0,) * 5, 1.0, rng), "reward").apart > 0 for _ in range(300))
    assert wrong <= 0.08 * 300


def test_common_draws_pair_the_runs(tmp_path):
    """The same rewards in both: whatever is drawn, nothing differs."""
    one = folder(tmp_path / "a.prm", log(run="a"))
    two = folder(tmp_path / "b.prm", log(run="b"))
    compared = open_runs([one, two])
    first, second = draws_of(common_part(compared.runs), 0)
    assert np.array_equal(first.of("reward").resampled, second.of("reward").resampled)
