"""A renamed file moves no number: where only files name the runs, every draw follows from what is in the groups."""

from __future__ import annotations

import itertools
import json
import math
from operator import itemgetter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import grpo_prm
from grpo_prm import Options, ReadOptions, analyze
from grpo_prm.analysis import texts
from grpo_prm.analysis.content import CONTENT, EIGHTHS, FACTORS, digests, with_content
from grpo_prm.analysis.measure import seeds_of
from grpo_prm.core.seeds import group_seed
from grpo_prm.logs import chunks
from grpo_prm.logs.rollouts import group_opens

MASK = 2**64 - 1


def rows_of(seed, *, run=None, text=False, steps=5, prompts=25, k=3, reward="reward"):
    """Rows of a run: some steps, the prompts of which are those of any other seed."""
    rng = np.random.default_rng(seed)
    rows = []
    for step, prompt, sample in itertools.product(range(steps), range(prompts), range(k)):
        ids = rng.integers(0, 3, rng.integers(1, 7)).tolist()
        row = {"step": step, "group_id": f"g{prompt}", "sample": sample, "prompt": f"what is {prompt}?"}
        row["kind"] = str(prompt % 2)
        row |= {"completion": " ".join(["one", "two", "three"][n] for n in ids)} if text else {"tokens": ids}
        rows.append(row | {reward: float(rng.integers(0, 4)) / 3} | ({"run": run} if run else {}))
    return rows


def written(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def said(analysis, names):
    """The summary and the tables, with the names of runs and files as given."""
    text = json.dumps(analysis.summary | {"source": {**analysis.summary["source"], "files": [], "runs": []}})
    for name, other in names.items():
        text = text.replace(json.dumps(name), json.dumps(other))
    tables = [analysis.training, analysis.groups, analysis.permutations, analysis.baseline, analysis.samples]
    frames = [table.lazy().collect() for table in tables]
    return text, [frame.with_columns(pl.col("run").replace(names)) if "run" in frame else frame for frame in frames]


def assert_same(one, other):
    assert one[0] == other[0]
    for mine, theirs in zip(one[1], other[1], strict=True):
        assert_frame_equal(mine, theirs, check_exact=True)


@pytest.mark.parametrize("text", [False, True], ids=["ids", "text"])
def test_one_content_under_any_name(tmp_path, text, monkeypatch):
    monkeypatch.setattr(texts, "ROOM", 500)  # some groups keep their text, chosen at random
    rows, options = rows_of(0, text=text), Options(baseline_by="kind", seed=3)
    first = said(analyze(written(tmp_path / "a.jsonl", rows), options), {"a": "x"})
    for name in ("b-part.jsonl", "Z/rollouts.jsonl", "0.ndjson"):
        path = written(tmp_path / name, rows)
        assert_same(first, said(analyze(path, options), {(tmp_path / name).stem: "x"}))
    # Nor does a name of the run that the user gives, or that rows in memory have.
    assert_same(first, said(analyze(path, options, reading=ReadOptions(run="mine")), {"mine": "x"}))
    assert_same(first, said(analyze(rows, options), {"rows": "x"}))


def test_a_run_that_the_log_names_draws_by_its_name_as_ever(tmp_path):
    paths = [written(tmp_path / f"{run}.jsonl", rows_of(0, run=run, steps=2)) for run in ("a", "b")]
    assert analyze(paths[0]).summary["overlap"] == analyze(paths[1]).summary["overlap"]
    assert analyze(paths[0]).summary["informativeness"] != analyze(paths[1]).summary["informativeness"]
    table = with_content(next(grpo_prm.read_rollouts(paths[0])).table)
    heads = table[group_opens(table), ["run", "step", "group_key", CONTENT]]
    assert seeds_of(heads, 5).tolist() == [group_seed(5, *name) for name in heads.drop(CONTENT).iter_rows()]


def test_the_canonical_table_of_a_log_draws_as_the_log(tmp_path):
    path = written(tmp_path / "mine.jsonl", rows_of(1, text=True, steps=2))
    (batch,) = [one for one in grpo_prm.read_rollouts(path) if len(one.table)]
    for name in ("kept.parquet", "kept.jsonl"):
        grpo_prm.save(batch, tmp_path / name)
        again = analyze(str(tmp_path / name)).summary
        assert again["informativeness"] == analyze(path).summary["informativeness"]
        assert again["credit"] == analyze(path).summary["credit"]


def by_run(analysis, run):
    return analysis.training.lazy().filter(pl.col("run") == run).drop("run").collect()


def test_runs_of_a_sweep_say_together_what_they_say_apart(tmp_path):
    paths = {run: written(tmp_path / f"{run}.jsonl", rows_of(seed)) for seed, run in enumerate(("p", "q"))}
    together = analyze(list(paths.values()))
    for run, path in paths.items():
        assert_frame_equal(by_run(together, run), by_run(analyze(path), run), check_exact=True)
    renamed = [written(tmp_path / f"{name}.jsonl", rows_of(seed)) for seed, name in enumerate("zy")]
    there = json.loads(said(analyze(renamed), {"z": "p", "y": "q"})[0])
    here = json.loads(said(together, {})[0])
    # Names order the runs, and the groups of a list that are equal in all else.
    there["runs"].sort(key=itemgetter("run"))
    assert there["defects"].pop("worst_groups") and here["defects"].pop("worst_groups")
    assert there == here
    # Files in another order: the same draws and resamples, added up in another order.
    turned = json.loads(said(analyze(renamed[::-1]), {"z": "p", "y": "q"})[0])
    turned["defects"].pop("worst_groups")
    for section in ("overlap", "baseline", "prm", "sharing", "credit", "informativeness"):
        assert list(leaves(turned[section])) == pytest.approx(list(leaves(here[section])), rel=1e-12)


def leaves(value):
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif value is not None:
        yield value


def nulls_of_steps(rows, run, path):
    training = by_run(analyze(written(path / f"{run}.jsonl", rows)), run)
    return training.filter(statistic="suppressed_good").select("null_mean", "null_low", "null_high").rows()


def test_two_runs_of_equal_keys_and_other_content_have_other_permutations(tmp_path):
    rows = rows_of(2)
    # Other ids, equal trees, lengths and rewards: whatever differs comes of the draws.
    other = [row | {"tokens": [n + 10 for n in row["tokens"]]} for row in rows]
    one, two = nulls_of_steps(rows, "s0", tmp_path), nulls_of_steps(other, "s1", tmp_path)
    assert len(one) == 5 and not set(one) & set(two)
    # A copy is a copy: what is equal in every row has the same permutations, as it is no further evidence.
    assert nulls_of_steps(rows, "s2", tmp_path) == one


def slow_digest(rows):
    """The digest of a group, one row and unit after the other."""

    def mixed(n):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            n = (n ^ n >> shift) * factor & MASK
        return n ^ n >> 31

    def spread(values):
        places = [(len(values) - 1) * place // 8 for place in range(EIGHTHS)] if len(values) else []
        factors = [int(factor) for factor in FACTORS]
        return len(values) * factors[0] + sum(values[at] * f for at, f in zip(places, factors[1:], strict=False))

    total = 0
    for row in rows:
        value = row["reward"] if row["reward"] is not None else row["advantage"] or 0.0
        units = spread(row["tokens"])
        bits = int(np.float64(value + 0.0).view(np.uint64))
        total += mixed(units + bits * int(FACTORS[-1]) & MASK)
    return mixed(total & MASK)


NUMBER = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0]), st.floats(-9, 9))
ROW = st.fixed_dictionaries(
    {
        "tokens": st.lists(st.integers(0, 2**31 - 1), max_size=20),
        "reward": NUMBER,
        "advantage": NUMBER,
    }
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(ROW, min_size=1, max_size=4), min_size=1, max_size=5), st.randoms())
def test_the_digest_is_that_of_the_rows_in_any_order(groups, random):
    rows = [row | {"group": number} for number, group in enumerate(groups) for row in group]
    types = {"tokens": pl.List(pl.Int32), "reward": pl.Float64, "advantage": pl.Float64}
    table = pl.DataFrame(rows, schema_overrides=types)
    found = digests(table, group_opens(table)).tolist()
    assert found == [slow_digest(group) for group in groups]
    for group in groups:
        random.shuffle(group)
    again = pl.DataFrame(
        [row | {"group": n} for n, group in enumerate(groups) for row in group], schema_overrides=types
    )
    assert digests(again, group_opens(again)).tolist() == found


def test_any_unit_of_a_short_completion_changes_the_digest():
    base = [3, 1, 4, 1, 5, 9, 2, 6, 5]
    lists = [base, *([*base[:at], 7, *base[at + 1 :]] for at in range(9)), base[:-1], [*base, 5], base[::-1], []]
    fixed = {"reward": 1.0, "advantage": None}
    table = pl.DataFrame([{"group": n, "tokens": ids} | fixed for n, ids in enumerate(lists)])
    assert len(set(digests(table, group_opens(table)).tolist())) == len(lists)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_the_order_of_the_rows_changes_nothing(tmp_path_factory, data):
    folder, text = tmp_path_factory.mktemp("order"), data.draw(st.booleans())
    reward = data.draw(st.sampled_from(["reward", "advantage"]))
    rows = rows_of(data.draw(st.integers(0, 9)), text=text, steps=8, prompts=6, k=4, reward=reward)
    wanted = said(analyze(written(folder / "a.jsonl", rows)), {"a": "x"})
    order = data.draw(st.sampled_from([np.random.default_rng(data.draw(st.integers(0, 99))).permutation(len(rows))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", size := data.draw(st.sampled_from([500, 20_000, 1 << 20])))
        patch.setattr(chunks, "TEXT", size)
        found = said(analyze(written(folder / "b.jsonl", [rows[n] for n in order])), {"b": "x"})
    assert found[0] == wanted[0]


def test_draws_of_one_key_have_permutations_of_their_own():
    """Twice a key in a step, of another content or of the same."""
    heads = pl.DataFrame(
        {"run": "f", "step": 0, "group_key": "g", CONTENT: pl.Series([7, 8, 7, None, None], dtype=pl.UInt64)}
    )
    found = seeds_of(heads, 1).tolist()
    numbered = [(7,), (8,), (7, 1), ("f",), ("f", 1)]
    assert found == [group_seed(1, name, 0, "g", *again) for name, *again in numbered]
    assert len(set(found)) == 5


@pytest.mark.slow
def test_blocks_of_many_problems_do_not_follow_the_name(tmp_path):
    """More than 2,048 problems in a log, and 512 in a step, are resampled in blocks."""
    rows = rows_of(3, steps=1, prompts=2100, k=2)
    found = [said(analyze(written(tmp_path / f"{run}.jsonl", rows)), {run: "x"}) for run in ("a", "b")]
    assert_same(*found)
    low = json.loads(found[0][0])["overlap"]["path_depth"]["low"]
    assert low is not None and not math.isnan(low)
