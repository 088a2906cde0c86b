"""The binary tree: planted wins, ties and losses get their words, and a small run is whole."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once
from rounding import bound

from grpo_prm.reproduce.binary_tree import CEILING, CLAIM, compare
from grpo_prm.reproduce.binary_tree_runs import LAST, MAIN, SETTINGS, Plan, early_share, tree_record
from grpo_prm.reproduce.binary_tree_table import TABLE_1, beside_paper, shares_of_seeds, shares_table
from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.methods import BY_NAME, CONTROLS, NAMES
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.rates import Choice
from grpo_prm.reproduce.tabular import paper_tree
from grpo_prm.reproduce.tree_runs import train_trees

ALL = [f"n = {n}, r_neg = {bad:g}" for n, bad in SETTINGS]


def planted(means, edges=(), part="a policy"):
    """Findings of 50 seeds whose targets scatter by .05 around the means of (setting, method), .5 where not given."""
    rng, found = np.random.default_rng(3), []
    for setting in ALL:
        fresh = {}
        for name in NAMES:
            target = means.get((setting, name), 0.5) + 0.05 * rng.normal(size=50)
            runs = pl.DataFrame({"seed": np.arange(50), "target": target, "early": target})
            fresh[name] = (Choice(1.0, (setting, name) in edges, {}), runs)
        found += compare(part, setting, fresh)
    return found


def word(*findings):
    return CLAIM.decide(with_holm([f for some in findings for f in some]))


WON = {(setting, "p = 1"): 0.8 for setting in ALL}
TIED = {(MAIN, "position"): 0.8}


def test_a_planted_win():
    verdict = word(planted(WON))
    assert verdict.word == "reproduced" and verdict.parts == {"a policy": "reproduced"}
    assert re.search(r"a policy 0\.(49|50|51).* and 0\.(79|80|81).*position placebo beaten", verdict.why)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_ties(control):
    assert word(planted(WON | {(MAIN, control): 0.8})).word == "partly"


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_wins(control):
    verdict = word(planted(WON | {(MAIN, control): 0.95}))
    assert verdict.word == "not reproduced"
    assert ("position placebo better" in verdict.why) == (control == "position")


def test_holm_adjusts_for_what_the_rule_reads_and_nothing_else():
    judged = {(f.setting, f.what) for f in planted(WON) if f.p is not None}
    assert judged == {(setting, "p = 1 - p = 0") for setting in ALL} | {(MAIN, f"p = 1 - {c}") for c in CONTROLS}


def test_a_win_in_the_main_setting_only():
    assert word(planted({(MAIN, "p = 1"): 0.8})).word == "partly"


def test_ties_and_losses():
    assert word(planted({})).word == "not reproduced"
    assert word(planted({(setting, "p = 1"): 0.2 for setting in ALL})).word == "not reproduced"
    assert word(planted({key: value for key, value in WON.items() if key[0] != MAIN})).word == "not reproduced"


def test_a_win_at_the_edge_of_a_grid_is_none():
    assert word(planted(WON, edges={(MAIN, "p = 0")})).word == "not testable here"
    assert word(planted(WON, edges={(MAIN, "position")})).word == "partly"
    assert "(edge; " in word(planted(WON, edges={(MAIN, "position")})).why
    assert word(planted(WON, edges={(ALL[-1], "p = 1")})).word == "partly"


def test_a_setting_at_its_ceiling_counts_neither_way():
    top = {(ALL[-1], name): CEILING + 0.015 for name in NAMES}
    found = planted(WON | top)
    assert pick(found, "p = 1 - p = 0", setting=ALL[-1])[0].note == "ceiling"
    assert word(found).word == "reproduced"
    assert word(planted(dict.fromkeys(product(ALL, NAMES), 0.995))).word == "not testable here"


def test_one_at_its_ceiling_is_a_win_over_one_that_is_not():
    found = planted(WON | {(ALL[-1], "p = 1"): CEILING + 0.015})
    assert pick(found, "p = 1 - p = 0", setting=ALL[-1])[0].note == ""


def test_seeds_that_find_the_target_and_seeds_that_lose_it():
    """Found: late above .5. Lost: early above .5, late not. A share of exactly .5 is neither."""
    late, early = [0.9, 0.51, 0.5, 0.1, 0.0, 0.2], [0.1, 0.6, 0.8, 0.9, 0.5, 0.51]
    runs = pl.DataFrame({"seed": range(6), "target": late, "early": early})
    found = shares_of_seeds("a policy", MAIN, dict.fromkeys(NAMES, runs))
    for name in NAMES:
        assert pick(found, f"seeds that find it, {name}")[0].mean == 2 / 6
        assert pick(found, f"seeds that lose it, {name}")[0].mean == 3 / 6
        assert pick(found, name)[0].mean == pytest.approx(np.mean(late))
        assert pick(found, f"early, {name}")[0].mean == pytest.approx(np.mean(early))
    change = pick(found, "late - early, p = 0")[0]
    assert change.mean == pytest.approx(np.mean(late) - np.mean(early)) and change.p is None


def test_losing_it_is_told_and_changes_no_word():
    kept = planted(WON)
    lost = [f._replace(mean=0.3) if f.what == "seeds that lose it, p = 0" else f for f in kept]
    assert "GRPO lost it in 0 of 50 seeds" in word(kept).why and "GRPO lost it in 15 of 50 seeds" in word(lost).why
    assert word(kept).word == word(lost).word == "reproduced"


def best_window(curve, last):
    """The highest mean of `last` steps in a row before the last `last`, from the definition."""
    before = list(curve)[: len(curve) - last] if len(curve) > last else []
    width = min(last, len(before))
    means = [np.mean(before[n : n + width]) for n in range(len(before) - width + 1)] if width else [np.nan]
    return max(means)


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 7, 8, 9, 23])
def test_early_is_the_best_window_before_the_last_one(steps):
    curves = np.random.default_rng(steps).random((3, 2, steps))
    wanted = [[best_window(curve, 4) for curve in of] for of in curves]
    np.testing.assert_allclose(early_share(curves, 4), wanted, rtol=bound(8))


def test_early_does_not_see_the_last_steps():
    curve = np.r_[np.zeros(150), np.ones(50), np.zeros(50)]
    assert early_share(curve) == 1.0
    assert early_share(np.r_[np.zeros(200), np.ones(50)]) == 0.0


def test_the_six_settings_are_the_papers():
    assert set(SETTINGS) == set(product((1, 2), (-0.5, -1.0, -1.5))) and MAIN in ALL
    for (n, bad), near in zip(SETTINGS, (7, 7, 7, 3, 3, 3), strict=True):
        rewards = paper_tree(n, bad).rewards.tolist()
        assert (rewards.count(bad), rewards.count(0.7), rewards.count(1.0)) == (near, 15 - near, 1)
    gains = {place: ours - theirs for place, (theirs, ours) in TABLE_1.items()}
    assert max(gains, key=gains.get) == (1, -1.0) and min(gains.values()) > 0  # where the controls are judged


def test_our_table_stands_beside_the_papers():
    found = planted(WON)
    table = beside_paper(found)
    assert table["setting"].to_list() == ALL
    row = table.row(by_predicate=pl.col("setting") == MAIN, named=True)
    assert (row["paper, GRPO"], row["paper, p = 1"]) == ("0.0000", "0.7535")
    mean = pick(found, "p = 1", setting=MAIN)[0].mean
    assert row["p = 1: early, late"] == f"{mean:.3f}, {mean:.3f}"
    number = round(pick(found, "seeds that find it, p = 0", setting=MAIN)[0].mean * 50)
    assert 10 < number < 40 and row["GRPO: found, lost"] == f"{number}, 0 of 50"
    drawn = shares_table(found).filter(pl.col("panel") != "a policy")
    assert drawn.filter(row=ALL[3], method="p = 1")["mean"].to_list() == [0.4292] and len(drawn) == 12


def test_the_target_is_counted_over_the_last_steps():
    table = tree_record(1, -1.0, ["p = 1"], [8.0], [0, 3], 80, {}, network=False)
    for curve, target, early in table.select("curve", "target", "early").iter_rows():
        assert early == pytest.approx(best_window(curve, LAST), abs=bound(LAST))
        assert target == pytest.approx(np.mean(curve[-LAST:]), abs=bound(LAST))  # of probabilities in float32
        assert abs(np.mean(curve[:LAST]) - target) > 0.01


def test_policies_that_differ_make_it_partly():
    verdict = word(planted(WON), planted({}, part="another"))
    assert verdict.word == "partly"
    assert verdict.parts == {"a policy": "reproduced", "another": "not reproduced"}
    assert word(planted(WON), planted(WON, part="another")).word == "reproduced"
    top = planted(dict.fromkeys(product(ALL, NAMES), 0.995), part="another")
    assert word(planted(WON), top).word == "partly"
    assert word(planted({}), top).word == "not reproduced"


@pytest.mark.slow
def test_a_small_run_reports_fresh_seeds_at_the_rates_chosen(tmp_path):
    plan = Plan(choosing=3, seeds=4, networks=1, main=3, elsewhere=2, steps=6)
    evidence = CLAIM.run(plan, 1, at_once(tmp_path))
    part = "softmax / SGD"
    for name in ("p = 1", "norm-matched"):
        rate = pick(evidence.findings, f"rate of {name}", part=part, setting=MAIN)[0].mean
        runs = train_trees(paper_tree(1, -1.0), [BY_NAME[name]], [rate], range(100_000, 100_004), steps=6)
        found = pick(evidence.findings, name, part=part, setting=MAIN)[0]
        assert found.n == 4 and np.isclose(found.mean, runs.mean(), atol=1e-6)
        seen = pick(evidence.findings, f"seeds that find it, {name}", part=part, setting=MAIN)[0]
        assert (seen.mean, seen.n) == ((runs.mean(axis=-1) > 0.5).mean(), 4)
    network = pick(evidence.findings, "p = 0", part="tiny GPT-2 / Adam")
    assert [f.n for f in network] == [2, 3, 2, 2, 2, 2]
    assert set(CLAIM.figures) == set(evidence.tables)
    for name, draw in CLAIM.figures.items():
        assert draw(evidence.tables[name]).axes
    assert CLAIM.decide(with_holm(evidence.findings)).word in ("partly", "not reproduced", "not testable here")
