"""Table 2 again: its cells are whole counts, tests and intervals are by definition, words follow the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reproduce.at_once import at_once
from scipy.stats import fisher_exact

from grpo_prm.reproduce.claims import Finding, pick
from grpo_prm.reproduce.openrs import (
    ALL,
    BASE_OVER,
    CELLS,
    CLAIM,
    GAIN,
    OVER_BASE,
    SIGNS,
    Plan,
    drawn,
    of_cell,
    overview,
    signs,
)
from grpo_prm.reproduce.openrs_cells import BASE, PROBLEMS, TRAINED, Cell, cells
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.proportions import difference_interval, exact_p, sign_test


def test_every_cell_is_a_whole_number_of_right_answers():
    """Four decimals times n problems: the count is known where rounding can move it by less than a half."""
    for accuracies in (*BASE.values(), *(row for pair in TRAINED.values() for row in pair)):
        for n, accuracy in zip(PROBLEMS.values(), accuracies, strict=True):
            assert 5e-5 * n < 0.5
            count = round(accuracy * n)
            # As printed: the count's accuracy, to four decimals (the paper rounds some halves down).
            assert abs(count / n - accuracy) <= 5.0001e-5


def test_means_are_those_of_the_paper():
    """The text of the paper gives them on their own, so a wrong cell shows."""
    wanted = [(0.4837, 0.5576), (0.5394, 0.5739), (0.0842, 0.1001), (0.0996, 0.0973)]
    for pair, means in zip(TRAINED.values(), wanted, strict=True):
        for row, mean in zip(pair, means, strict=True):
            assert abs(np.mean(row) - mean) < 1e-4


def test_the_cells_in_order():
    table = cells()
    assert len(table) == 20
    assert table[1] == Cell("Qwen-1.5B, β = 0", "MATH-500", 500, 415, 383, 423)
    assert table[15] == Cell("Llama-3.2-1B, β = 0.04", "AIME24", 30, 0, 0, 1)


@example(0, 0, 30)
@example(0, 30, 30)
@example(0, 1, 30)
@given(st.integers(0, 30), st.integers(0, 30), st.just(30))
def test_exact_p(one, other, n):
    assert exact_p((one, other, n)) == pytest.approx(fisher_exact([[one, n - one], [other, n - other]]).pvalue)


def test_exact_p_of_a_tiny_table():
    """2 of 2 right against 0 of 2: of the 6 ways to place two right answers, two are as lopsided."""
    assert exact_p((2, 0, 2)) == 2 / 6 and exact_p((1, 1, 2)) == 1


def wilson_ends(right, n):
    """Both solutions of (p - π)² = z² π (1 - π) / n."""
    p, z = right / n, 1.96
    roots = np.roots([1 + z * z / n, -(2 * p + z * z / n), p * p])
    return min(roots.real), max(roots.real)


def newcombe(one, n, other, m):
    """Ends of the interval of the difference, from the Wilson intervals of both."""
    p, q = one / n, other / m
    (p_low, p_high), (q_low, q_high) = wilson_ends(one, n), wilson_ends(other, m)
    return p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)


def test_newcombes_example():
    """56 of 70 against 48 of 80 (Newcombe 1998, table II, method 10)."""
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@example(0, 0)
@example(40, 0)
@example(0, 40)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_of_one_pair(one, other):
    mean, low, high = difference_interval([(one, other, 40)])
    assert mean == pytest.approx((one - other) / 40, abs=1e-12)
    assert (low, high) == pytest.approx(newcombe(one, 40, other, 40), abs=1e-7)  # roots of a quadratic
    assert -1 <= low <= mean <= high <= 1


def test_the_mean_of_several_is_narrower():
    pairs = [(423, 383, 500), (11, 10, 30)]
    mean, low, high = difference_interval(pairs)
    each = [difference_interval([pair]) for pair in pairs]
    assert mean == pytest.approx(np.mean([m for m, *_ in each]))
    assert mean - low == pytest.approx(math.hypot(*(m - lower for m, lower, _ in each)) / 2)
    assert high - mean == pytest.approx(math.hypot(*(upper - m for m, _, upper in each)) / 2)


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (3, 3), (15, 4), (4, 15), (0, 9)])
def test_sign_test(up, down):
    n = up + down
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    assert sign_test(up, down) == pytest.approx(sum(c for c in chances if c <= chances[up] * (1 + 1e-12)))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return CLAIM.run(Plan(), 0, at_once(tmp_path_factory.mktemp("none")))


def test_what_the_table_gives(evidence):
    findings = with_holm(evidence.findings)
    above = [(f.part, f.setting) for f in findings if f.what == GAIN and f.p is not None and f.above]
    assert above == [("Qwen-1.5B, β = 0", "MATH-500"), ("Qwen-1.5B, β = 0", "OlympiadBench")]
    for part, setting in above:
        assert pick(findings, BASE_OVER, part=part, setting=setting)[0].mean > 0
        assert not pick(findings, OVER_BASE, part=part, setting=setting)[0].above
    assert sum(f.p is not None for f in findings) == 20
    assert pick(findings, SIGNS)[0].mean == pytest.approx(0.0192108154296875) and pick(findings, SIGNS)[0].n == 19
    verdict = CLAIM.decide(findings)
    assert verdict.word == "partly"
    assert "2 of 20 differences" in verdict.why and "(in 2 of these 2 GRPO is below the base model)" in verdict.why
    assert "15 cells up, 4 down, 1 equal: sign test p = 0.019" in verdict.why


def test_it_needs_nothing_but_the_core():
    assert not any(CLAIM.needs(plan) for plan in CLAIM.plans.values())


def word(gains, cells_of=500):
    """Of cells whose GRPO has 200 right answers and λ-GRPO so many more."""
    table = [Cell("a model", f"benchmark {n}", cells_of, 190, 200, 200 + gain) for n, gain in enumerate(gains)]
    return CLAIM.decide(with_holm([*signs(table), *(f for cell in table for f in of_cell(cell))]))


def test_words():
    assert word([80] * 8).word == "reproduced"
    assert word([80] * 5 + [5] * 3).word == "reproduced"
    assert word([80] * 4 + [5] * 4).word == "partly"  # no more than half
    assert word([5] * 8).word == "partly"  # the sign test alone
    assert word([80] + [-5] * 4).word == "partly"  # one difference alone
    assert word([5] * 5).word == "not reproduced"  # 5 of 5 are p = .06
    assert word([-5] * 8).word == "not reproduced"  # a sign test the other way
    assert word([80] * 7 + [-80]).word == "not reproduced"  # a loss that is sure, and a sign test of p = .07
    assert word([80] * 11 + [-80]).word == "not reproduced"  # a loss that is sure, and a sign test of p = .006
    assert word([-80] * 8).word == "not reproduced"
    assert word([0] * 8).word == "not reproduced"
    assert "in 0 of these 8 GRPO is below" in word([80] * 8).why and "base model" not in word([5] * 8).why


def test_signs_count_what_differs():
    table = [Cell("m", str(n), 10, 5, 5, 5 + gain) for n, gain in enumerate([1, 2, 0, -1, 0, 3])]
    assert [pick(signs(table), what)[0].mean for what in ("up", "down", "equal")] == [3, 1, 2]
    assert pick(signs(table), SIGNS, setting=CELLS)[0].n == 4


def test_table_and_figure(evidence):
    row = overview(cells()).row(1)
    assert row[:5] == ("Qwen-1.5B, β = 0", "MATH-500 (500)", "0.830 (415)", "0.766 (383)", "0.846 (423)")
    assert row[5].startswith("+0.080 [+0.031, +0.12")
    table = drawn(evidence.findings)
    assert set(table["row"]) == {*PROBLEMS, ALL} and len(table) == 2 * 4 * 6
    assert table.filter(method=BASE_OVER)["low"].null_count() == 24
    figure = CLAIM.figures["openrs_cells"](table)
    assert len(figure.axes) == 4


def test_a_mean_over_benchmarks_is_shown_and_not_judged(evidence):
    shown = pick(evidence.findings, GAIN, part="Qwen-1.5B, β = 0", setting=ALL)[0]
    assert isinstance(shown, Finding) and shown.p is None and shown.mean == pytest.approx(0.5576 - 0.4837, abs=2e-4)
