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
from grpo_prm.reproduce.binary_tree_runs import HARDEST, LAST, SETTINGS, Plan, tree_record
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
            runs = pl.DataFrame({"seed": np.arange(50), "target": target})
            fresh[name] = (Choice(1.0, (setting, name) in edges, {}), runs)
        found += compare(part, setting, fresh)
    return found


def word(*findings):
    return CLAIM.decide(with_holm([f for some in findings for f in some]))


WON = {(setting, "p = 1"): 0.8 for setting in ALL}
TIED = {(HARDEST, "position"): 0.8}


def test_a_planted_win():
    verdict = word(planted(WON))
    assert verdict.word == "reproduced" and verdict.parts == {"a policy": "reproduced"}
    assert re.search(r"a policy 0\.(49|50|51).* and 0\.(79|80|81).*position placebo beaten", verdict.why)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_ties(control):
    assert word(planted(WON | {(HARDEST, control): 0.8})).word == "partly"


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_wins(control):
    verdict = word(planted(WON | {(HARDEST, control): 0.95}))
    assert verdict.word == "not reproduced"
    assert ("position placebo better" in verdict.why) == (control == "position")


def test_holm_adjusts_for_what_the_rule_reads_and_nothing_else():
    judged = {(f.setting, f.what) for f in planted(WON) if f.p is not None}
    assert judged == {(setting, "p = 1 - p = 0") for setting in ALL} | {(HARDEST, f"p = 1 - {c}") for c in CONTROLS}


def test_a_win_in_the_hardest_setting_only():
    assert word(planted({(HARDEST, "p = 1"): 0.8})).word == "partly"


def test_ties_and_losses():
    assert word(planted({})).word == "not reproduced"
    assert word(planted({(setting, "p = 1"): 0.2 for setting in ALL})).word == "not reproduced"
    assert word(planted({key: value for key, value in WON.items() if key[0] != HARDEST})).word == "not reproduced"


def test_a_win_at_the_edge_of_a_grid_is_none():
    assert word(planted(WON, edges={(HARDEST, "p = 0")})).word == "not testable here"
    assert word(planted(WON, edges={(HARDEST, "position")})).word == "partly"
    assert "(edge)" in word(planted(WON, edges={(HARDEST, "position")})).why
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


def test_a_seed_has_found_the_target_when_it_nearly_always_takes_it():
    found = planted({(HARDEST, "p = 1"): 0.8, (HARDEST, "parent"): 1.1})
    share = {name: pick(found, f"seeds that find it, {name}", setting=HARDEST)[0].mean for name in ("p = 1", "parent")}
    assert share["p = 1"] < 0.05 and share["parent"] > 0.95


def test_the_target_is_counted_over_the_last_steps():
    table = tree_record(1, -1.0, ["p = 1"], [8.0], [0, 3], 80, {}, network=False)
    for curve, target in table.select("curve", "target").iter_rows():
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
    plan = Plan(choosing=3, seeds=4, networks=1, hardest=3, elsewhere=2, steps=6)
    evidence = CLAIM.run(plan, 1, at_once(tmp_path))
    part = "softmax / SGD"
    for name in ("p = 1", "norm-matched"):
        rate = pick(evidence.findings, f"rate of {name}", part=part, setting=HARDEST)[0].mean
        runs = train_trees(paper_tree(1, -1.0), [BY_NAME[name]], [rate], range(100_000, 100_004), steps=6)
        found = pick(evidence.findings, name, part=part, setting=HARDEST)[0]
        assert found.n == 4 and np.isclose(found.mean, runs.mean(), atol=1e-6)
        seen = pick(evidence.findings, f"seeds that find it, {name}", part=part, setting=HARDEST)[0]
        assert (seen.mean, seen.n) == ((runs.mean(axis=-1) > 0.95).mean(), 4)
    network = pick(evidence.findings, "p = 0", part="tiny GPT-2 / Adam")
    assert [f.n for f in network] == [3, 2, 2, 2, 2, 2]
    assert set(CLAIM.figures) == set(evidence.tables)
    for name, draw in CLAIM.figures.items():
        assert draw(evidence.tables[name]).axes
    assert CLAIM.decide(with_holm(evidence.findings)).word in ("partly", "not reproduced", "not testable here")
