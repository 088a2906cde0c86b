"""Canonical logs in several files of one step: which rows are of one group, and which are written twice."""

from itertools import combinations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from logs.log_files import balanced, read_log, reasons

from grpo_prm.analysis.analyze import analyze
from grpo_prm.logs import collect
from grpo_prm.logs.grouping.keyed_parts import with_draws
from grpo_prm.logs.rollouts import ADDED, SCHEMA, Rollouts, load, save, validate


def file(folder, rank, rows, **more):
    """Write the file of a rank; a row is (key, number, sample, ids)."""
    given = {
        "run": ["a"] * len(rows),
        "step": [1] * len(rows),
        "group": [number for _, number, _, _ in rows],
        "group_key": [key for key, _, _, _ in rows],
        "sample": [sample for _, _, sample, _ in rows],
        "tokens": [ids for _, _, _, ids in rows],
        "reward": [float(ids[-1] % 2) for *_, ids in rows],
        "tokens_from": ["log"] * len(rows),
        **more,
    }
    table = pl.DataFrame({c: given.get(c, [None] * len(rows)) for c in SCHEMA}, SCHEMA)
    folder.mkdir(exist_ok=True)
    table.write_parquet(folder / f"step_1.rank{rank}.parquet")


def groups_of(rollouts):
    """The ids of each group, in order."""
    table = rollouts.table.group_by("group", maintain_order=True).agg("group_key", "tokens")
    return [(keys[0], ids) for keys, ids in table.select("group_key", "tokens").iter_rows()]


def part(key, number, samples, first):
    return [(key, number, sample, [7, first + n]) for n, sample in enumerate(samples)]


def test_two_ranks_with_other_keys_are_two_groups_though_both_count_from_0(tmp_path):
    for rank in (0, 1):
        file(tmp_path / "r", rank, part(f"rank{rank}", 0, range(2), 10 * rank))
    got = collect(tmp_path / "r")
    assert groups_of(got) == [("rank0", [[7, 0], [7, 1]]), ("rank1", [[7, 10], [7, 11]])]
    assert not len(got.rejected) and not got.notes


@pytest.mark.parametrize("number", [0, 5])
def test_two_ranks_with_parts_of_one_group_are_joined_by_its_key(tmp_path, number):
    file(tmp_path / "r", 0, part("k", 0, (0, 1), 0))
    file(tmp_path / "r", 1, part("k", number, (2, 3), 20))
    got = collect(tmp_path / "r")
    assert groups_of(got) == [("k", [[7, 0], [7, 1], [7, 20], [7, 21]])] and not len(got.rejected)
    assert got.table["sample"].to_list() == [0, 1, 2, 3]
    assert got.notes == ("Parts of one group stand in several files (step 1, k): they were joined by their key.",)


@pytest.mark.parametrize("number", [0, 3])
def test_a_file_that_was_written_twice_is_rejected_row_by_row(tmp_path, number):
    """Equal bytes, and the same rows under another group number: neither adds a row."""
    file(tmp_path / "r", 0, part("k", 0, range(3), 0))
    file(tmp_path / "r", 1, part("k", number, range(3), 0))
    got = collect(tmp_path / "r")
    assert groups_of(got) == [("k", [[7, 0], [7, 1], [7, 2]])] and balanced(got)
    assert [reason for _, _, reason in reasons(got)] == ["duplicate"] * 3
    assert all(name.endswith("rank1.parquet") for name in got.rejected["file"])
    assert not any("Parts of one group" in note for note in got.notes)  # nothing was put together


def test_a_sample_that_two_parts_share_is_kept_once(tmp_path):
    file(tmp_path / "r", 0, part("k", 0, (0, 1, 2), 0))
    file(tmp_path / "r", 1, part("k", 0, (2, 3), 2))
    got = collect(tmp_path / "r")
    assert groups_of(got) == [("k", [[7, 0], [7, 1], [7, 2], [7, 3]])]
    assert reasons(got) == [(1, "sample", "duplicate")]


def test_two_draws_of_one_key_in_one_file_stay_apart(tmp_path):
    file(tmp_path / "r", 0, part("k", 0, range(2), 0) + part("k", 1, range(2), 4))
    got = collect(tmp_path / "r")
    assert groups_of(got) == [("k", [[7, 0], [7, 1]]), ("k#2", [[7, 4], [7, 5]])]
    assert not len(got.rejected) and not got.notes


def test_samples_that_collide_with_other_content_are_another_draw_and_that_is_said(tmp_path):
    file(tmp_path / "r", 0, part("k", 0, range(2), 0))
    file(tmp_path / "r", 1, part("k", 0, range(2), 4))
    got = collect(tmp_path / "r")
    assert groups_of(got) == [("k", [[7, 0], [7, 1]]), ("k#2", [[7, 4], [7, 5]])] and not len(got.rejected)
    assert got.notes == (
        "One key stands in several files with samples of one number that differ (step 1, k): each is a draw, a group.",
    )


def test_two_draws_in_two_files_whose_samples_collide_are_four(tmp_path):
    for rank in (0, 1):
        file(tmp_path / "r", rank, part("k", 0, range(2), 10 * rank) + part("k", 1, range(2), 10 * rank + 4))
    got = collect(tmp_path / "r")
    assert [ids for _, ids in groups_of(got)] == [[[7, a], [7, a + 1]] for a in (0, 4, 10, 14)]


def test_parts_of_two_draws_in_two_files_go_by_their_number_and_the_guess_is_said(tmp_path):
    file(tmp_path / "r", 0, part("k", 3, (0, 1), 0) + part("k", 8, (0, 1), 4))
    file(tmp_path / "r", 1, part("k", 8, (2, 3), 30) + part("k", 3, (2, 3), 20))
    got = collect(tmp_path / "r")
    assert [ids for _, ids in groups_of(got)] == [[[7, n] for n in (0, 1, 20, 21)], [[7, n] for n in (4, 5, 30, 31)]]
    assert "put together by number, else by order" in " ".join(got.notes)


def test_a_draw_that_is_written_twice_is_known_by_its_content_not_by_its_number(tmp_path):
    file(tmp_path / "r", 0, part("k", 0, range(2), 0) + part("k", 1, range(2), 4))
    file(tmp_path / "r", 1, part("k", 0, range(3), 4) + part("k", 1, range(3), 0))  # swapped, with a sample more
    got = collect(tmp_path / "r")
    assert [ids for _, ids in groups_of(got)] == [[[7, 0], [7, 1], [7, 2]], [[7, 4], [7, 5], [7, 6]]]
    assert len(got.rejected) == 4 and balanced(got)


def test_a_sample_that_agrees_says_more_than_a_number_that_does(tmp_path):
    file(tmp_path / "r", 0, part("k", 0, (0, 1), 0) + part("k", 1, (5, 6), 4))
    file(tmp_path / "r", 1, part("k", 0, (6, 7), 5))
    got = collect(tmp_path / "r")
    assert [ids for _, ids in groups_of(got)] == [[[7, 0], [7, 1]], [[7, 4], [7, 5], [7, 6]]]
    assert len(got.rejected) == 1 and not any("put together by number" in note for note in got.notes)


ROW = st.tuples(st.integers(0, 2), st.sampled_from("kl"), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1))


@pytest.mark.slow
@given(st.lists(ROW, min_size=2, max_size=14))
@example(
    [(0, "k", 0, 0, 0), (0, "k", 0, 1, 0), (1, "k", 0, 0, 0), (1, "k", 0, 1, 1)]
)  # one sample agrees, one does not
@example([(0, "k", 0, 0, 0), (0, "k", 1, 0, 0), (1, "k", 0, 0, 0), (1, "k", 0, 1, 0)])  # two equal draws
@example([(0, "k", 0, 0, 0), (1, "k", 1, 1, 0), (2, "k", 0, 2, 0)])
def test_what_is_together_and_what_is_apart(rows):
    """Every rule of docs/logs.md, on all pairs of rows (file, key, number, sample, content)."""
    rows = sorted({row[:4]: row for row in rows}.values(), key=lambda row: row[0])  # a sample once in a file's group
    columns = zip(*rows, strict=True)
    names = ("_file", "key", "group", "sample", "tokens")
    table = pl.DataFrame(dict(zip(names, map(list, columns), strict=True))).with_columns(
        pl.col("group", "sample").cast(pl.String),
        pl.concat_list("tokens"),
        run=pl.lit("a"),
        step=pl.lit(1),
        _line=pl.Series(range(len(rows))),
    )
    kept, copies, _ = with_draws(table, {})
    assert sorted([*kept["_line"], *copies["_line"]]) == list(range(len(rows)))
    group = {line: (key, draw) for line, key, draw in kept.select("_line", "key", "group").iter_rows()}
    for line in copies["_line"]:  # in an earlier file the same sample says the same
        rank, key, _, sample, content = rows[line]
        assert any(row[0] < rank and (row[1], *row[3:]) == (key, sample, content) for row in rows)
    for n, m in combinations(group, 2):
        one, other, together = rows[n], rows[m], group[n] == group[m]
        if one[1] != other[1]:
            assert not together  # other keys
        elif one[0] == other[0]:
            assert together == (one[2] == other[2])  # in one file the number decides
        elif one[3] == other[3]:
            assert not together  # a sample stands once in a group
    for key in {row[1] for row in rows}:
        mine = [row for row in rows if row[1] == key]
        one_number = len({(row[0], row[2]) for row in mine}) == len({row[0] for row in mine})
        if one_number and len({row[3] for row in mine}) == len({row[3:] for row in mine}):
            assert len({g for g in group.values() if g[0] == key}) == 1  # nothing speaks against one group


def test_steps_and_runs_are_apart_though_key_and_number_are_equal(tmp_path):
    for rank, step in enumerate((1, 2)):
        file(tmp_path / "r", rank, part("k", 0, range(2), 0), step=[step] * 2)
    got = collect(tmp_path / "r")
    assert [ids for _, ids in groups_of(got)] == [[[7, 0], [7, 1]]] * 2 and not len(got.rejected)


def test_files_with_other_parts_of_the_reward_are_one_table(tmp_path):
    for n, name in enumerate(("right", "form")):
        made = part(f"k{n}", n, range(2), 0)
        file(tmp_path / "r", n, made)
        path = tmp_path / "r" / f"step_1.rank{n}.parquet"
        pl.read_parquet(path).with_columns(pl.Series(f"reward/{name}", [0.5, None])).write_parquet(path)
    for suffix in ("parquet", "jsonl"):
        got = collect(tmp_path / "r").table
        assert got.columns == [*SCHEMA, "reward/right", "reward/form"]
        assert got["reward/right"].to_list() == [0.5, None, None, None]
        assert got["reward/form"].to_list() == [None, None, 0.5, None]
        if suffix == "parquet":
            for path in sorted((tmp_path / "r").iterdir()):
                pl.read_parquet(path).write_ndjson(path.with_suffix(".jsonl"))
                path.unlink()


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_table_of_an_older_version_is_read_and_completed(tmp_path, suffix):
    file(tmp_path / "r", 0, part("k", 0, range(2), 0))
    old = pl.read_parquet(tmp_path / "r" / "step_1.rank0.parquet").drop(ADDED).with_columns(extra=pl.lit(3))
    path = tmp_path / f"old{suffix}"
    old.write_parquet(path) if suffix == ".parquet" else old.write_ndjson(path)
    loaded = load(path)
    assert loaded.columns == [*SCHEMA, "extra"] and loaded.select(*SCHEMA).schema == SCHEMA
    assert all(loaded[c].null_count() == 2 for c in ADDED)
    assert collect(path).table.equals(loaded.drop("extra"), null_equal=True)
    assert validate(old).columns == [*SCHEMA, "extra"]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_new_columns_are_read_as_they_were_written(tmp_path, suffix):
    file(
        tmp_path / "r",
        0,
        part("k", 0, range(2), 0),
        problem=["7", None],
        task=["math", "code"],
        trainer_logprobs=[[-0.5, -0.25], None],
    )
    made = pl.read_parquet(tmp_path / "r" / "step_1.rank0.parquet").with_columns(
        pl.Series("reward/late", [None] * 1 + [2.0])
    )
    save(made, tmp_path / f"new{suffix}")
    got = collect(tmp_path / f"new{suffix}").table
    assert got.equals(made, null_equal=True) and got.schema == made.schema


def test_a_kept_column_that_is_called_like_one_of_ours_has_no_role_in_a_canonical_log(tmp_path):
    """`response`, `example_id` and `metrics` stand beside the table; none of them is a text, a key or a part."""
    file(tmp_path / "r", 0, part("k", 0, range(2), 0))
    made = pl.read_parquet(tmp_path / "r" / "step_1.rank0.parquet").drop("completion", "problem", "prompt")
    made = made.with_columns(response=pl.lit("x"), example_id=pl.lit(4), question=pl.lit("q"))
    made = made.with_columns(metrics=pl.struct(a=pl.lit(1.0)))
    made.write_parquet(tmp_path / "t.parquet")
    got = collect(tmp_path / "t.parquet").table
    assert got.columns == [*SCHEMA] and all(got[c].null_count() == 2 for c in ("completion", "problem", "prompt"))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_groups_of_several_prompts_are_counted_in_canonical_logs_too(tmp_path, suffix):
    """By the text of the prompts, and by their ids where these alone were logged."""
    rows = [
        {"uid": key, "prompt": asked, "response": f"so {n}", "reward": n % 2}
        for key, prompts in (("g", "aab"), ("h", "ccc"))
        for n, asked in enumerate(prompts)
    ]
    ids = [
        {"tokens": [[*asked, 7, n] for n, asked in enumerate(prompts)],
         "masks": [[-100] * len(asked) + [7, n] for n, asked in enumerate(prompts)], "scores": [1, 0, 1]}
        for prompts in ([[5, 6]] * 3, [[5, 6], [5, 8], [5, 6]], [[4]] * 3)
    ]  # fmt: skip
    for log in (rows, ids):
        once = read_log(tmp_path, log)
        save(once, tmp_path / f"c{suffix}")
        again = collect(tmp_path / f"c{suffix}")
        assert once.counts["groups_prompts_differ"] == again.counts["groups_prompts_differ"] == 1
        save(again, tmp_path / f"d{suffix}")  # and it stays known
        assert collect(tmp_path / f"d{suffix}").counts["groups_prompts_differ"] == 1
        assert analyze(Rollouts(once.table)).summary["counts"]["groups_prompts_differ"] == 1
