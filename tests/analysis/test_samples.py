"""Which groups are kept with their text, against a sort of all groups; and their rows."""

from __future__ import annotations

import polars as pl
import pytest
from canonical import table_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis import samples as module
from grpo_prm.analysis.content import CONTENT
from grpo_prm.analysis.samples import EACH, Samples, prompts_behind
from grpo_prm.core.seeds import group_seed
from grpo_prm.logs.grouping.groups import hashed

MOST = 3  # groups of each kind in these tests


@st.composite
def sums(draw, most=9):
    """Suppressed-good tokens, mean reward (perhaps none), zero variance and clarity of some groups."""
    one = st.tuples(
        st.integers(0, 3), st.sampled_from([None, -1.0, 0.0, 0.5]), st.booleans(), st.sampled_from([0.0, 0.25, 1.5])
    )
    return draw(st.lists(one, min_size=1, max_size=most))


def tables(figures):
    """A log of two completions per group, and the columns of the groups table that are looked at."""
    log = [("a", n // 2, f"p{n}", [Row([n]), Row([n, 1])]) for n in range(len(figures))]
    names = ("suppressed_good_tokens", "reward_mean", "zero_variance", "clarity")
    schema = dict(zip(names, (pl.Int64, pl.Float64, pl.Boolean, pl.Float64), strict=True))
    figures = [(*own, 0.0)[:4] for own in figures]
    groups = pl.DataFrame(figures, schema=schema, orient="row").with_columns(
        run=pl.lit("a"),
        step=pl.Series([entry[1] for entry in log], dtype=pl.Int64),
        group=pl.int_range(pl.len(), dtype=pl.Int64),
        group_key=pl.Series([entry[2] for entry in log]),
        prompts_differ=pl.lit(False),
        tool_output=pl.lit(0),
        phantom_advantage=pl.lit(None, pl.Float64),
        duplicates=pl.lit(0),
        **{CONTENT: pl.lit(None, pl.UInt64)},
    )
    return table_of(log), groups


def expected(figures, seed, most=MOST):
    """Group to kinds: the first of every order."""
    numbers = range(len(figures))
    worst = sorted((n for n in numbers if figures[n][0] > 0), key=lambda n: (-(*figures[n], 0.0)[3], -figures[n][0]))
    mixed = [n for n in numbers if figures[n][1] is not None and not figures[n][2]]
    best = sorted(mixed, key=lambda n: -figures[n][1])
    seeds = sorted(numbers, key=lambda n: group_seed(seed, "sample", "a", n // 2, f"p{n}"))
    kinds: dict[int, list[str]] = {}
    for name, order in (("best", best), ("random", seeds), ("worst", worst)):
        for n in order[:most]:
            kinds.setdefault(n, []).append(name)
    return dict(sorted(kinds.items()))


@settings(max_examples=40)
@given(sums(), st.integers(0, 5), st.data())
@example([(3, 0.5, False, 0.0), (1, 0.5, False, 0.5), (2, 0.5, False, 0.5), (9, 0.5, False, 0.25)], 0, None)
@example([(2, 0.5, False)] * 5, 0, None)  # ties: the first of the log
@example([(0, None, False)] * 4, 0, None)  # neither suppressed tokens nor rewards: random ones alone
@example([(1, 1.0, True)] * 4, 0, None)  # all rewards equal
def test_the_groups_kept_are_the_first_of_each_order(figures, seed, data):
    table, groups = tables(figures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EACH", MOST)
        samples, at = Samples(seed), 0
        while at < len(groups):  # slice by slice, each batch of rollouts in one or two slices
            end = min(at + (2 if data is None else data.draw(st.integers(1, 4))), len(groups))
            batch = table.filter(pl.col("group").is_between(at, end - 1))
            for part in (groups[at:end],) if data is None else (groups[at : at + 1], groups[at + 1 : end]):
                samples.add(batch, part)
            at = end
        found = samples.table()
    wanted = expected(figures, seed)
    kinds = dict(found.select("group", "kind").unique(maintain_order=True).iter_rows())
    # The first group without variance is the example of that finding.
    example = next((n for n, (_, _, zero, *_) in enumerate(figures) if zero), None)
    assert {group for group, of_group in kinds.items() if "finding" in of_group} == ({example} - {None})
    chosen = {group: [kind for kind in of_group if kind != "finding"] for group, of_group in kinds.items()}
    assert {group: of_group for group, of_group in chosen.items() if of_group} == wanted
    rows = table.filter(pl.col("group").is_in(list(kinds)))
    assert_frame_equal(found.drop("kind"), rows)


def test_ten_of_each_kind_are_kept():
    figures = [(n % 17, n % 13 / 2, False) for n in range(60)]
    table, groups = tables(figures)
    samples = Samples(3)
    samples.add(table, groups)
    found = samples.table()
    assert EACH == 10 and dict(found.select("group", "kind").iter_rows()) == expected(figures, 3, 10)
    assert found["kind"].list.len().max() > 1 and found.group_by("group").len()["len"].unique().to_list() == [2]


def test_another_seed_chooses_others():
    table, groups = tables([(0, None, False)] * 40)
    chosen = []
    for seed in (0, 0, 1):
        samples = Samples(seed)
        samples.add(table, groups)
        chosen.append(samples.table()["group"].to_list())
    assert chosen[0] == chosen[1] != chosen[2]


def test_columns_that_one_batch_lacks_are_null_there():
    table, groups = tables([(1, 0.5, False), (2, 0.5, False)])
    samples = Samples(0)
    samples.add(table.filter(pl.col("group") == 0), groups[:1])
    samples.add(table.filter(pl.col("group") == 1).with_columns(answer=pl.lit("4")), groups[1:])
    assert samples.table()["answer"].to_list() == [None, None, "4", "4"]


def test_prompts_behind_hashes_and_no_others():
    table = pl.DataFrame(
        {
            "run": ["r"] * 4,
            "step": [1, 1, None, 2],
            "group": [0, 0, 1, 2],
            "group_key": [hashed("a\n"), hashed("a\n"), hashed("b") + "#2", "p7"],
            "prompt": ["a\n", "a\n", "b", "c"],
        }
    )
    assert prompts_behind(table) == {("r", 1, hashed("a\n")): "a\n", ("r", None, hashed("b") + "#2"): "b"}
    assert prompts_behind(table.with_columns(prompt=pl.lit(None, pl.String))) == {}
