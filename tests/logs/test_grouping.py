"""Groups: keys, prompts, draws of one prompt, and the modal size."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs.log_files import balanced, groups, read_log, row


def sizes(rollouts):
    """Of the groups, by the prompts of their members in order, the draws of one prompt one after the other."""
    keys = rollouts.table.group_by("group", maintain_order=True).agg(pl.len(), pl.first("prompt", "group_key"))
    return keys.sort("prompt", "group_key")["len"].to_list()


def rows_of(prompt, k, start=0, **more):
    return [
        {"step": 1, "prompt": prompt, "completion": f"{prompt} {start + n}", "reward": n % 2, **more} for n in range(k)
    ]


def with_advantages(rows, std=False):
    """Rows of one draw with the advantages that a trainer logs for it."""
    r = np.array([x["reward"] for x in rows], float)
    a = (r - r.mean()) / (r.std(ddof=1) + 1e-4 if std else 1)
    return [{**x, "advantage": float(np.float32(v))} for x, v in zip(rows, a, strict=True)]


@pytest.mark.slow
@given(st.permutations([(g, n) for g in "abc" for n in range(4)]))
def test_rows_of_a_group_need_not_be_neighbours(tmp_path_factory, order):
    rows = [row(group=g, tokens=[n]) for g, n in order]
    got = read_log(tmp_path_factory.mktemp("log"), rows)
    assert groups(got) == {("log", 1, g): [[n] for h, n in order if h == g] for g in "abc"}
    assert got.table["group_key"].unique(maintain_order=True).to_list() == ["a", "b", "c"]
    assert got.table["group"].to_list() == [g for g in range(3) for _ in range(4)]
    assert got.table["sample"].to_list() == 3 * [0, 1, 2, 3]


def test_without_a_key_the_exact_prompt_is_the_group(tmp_path):
    got = read_log(tmp_path, [*rows_of("p", 3), *rows_of("p ", 3), *rows_of("q", 3)])
    keys = got.table["group_key"].unique(maintain_order=True).to_list()
    assert sizes(got) == [3, 3, 3] and len(set(keys)) == 3 and all(len(k) == 12 and int(k, 16) >= 0 for k in keys)
    again = read_log(tmp_path, rows_of("q", 3))
    assert again.table["group_key"][0] == got.table.filter(prompt="q")["group_key"][0]


def test_a_prompt_drawn_twice_is_split_in_file_order(tmp_path):
    rows = [*rows_of("p", 4), *rows_of("q", 4), *rows_of("r", 4), *rows_of("p", 4, start=4)]
    got = read_log(tmp_path, rows)
    assert sizes(got) == [4, 4, 4, 4] and got.counts["groups_split"] == 1 and not got.counts["groups_uneven"]
    of_p = got.table.filter(prompt="p")
    assert of_p["completion"].to_list() == [f"p {n}" for n in range(8)]
    first, second = of_p["group_key"].to_list()[0:8:4]
    assert second == f"{first}#2"
    assert "8 rows as 2 draws of 4); there are no logged advantages to check it by" in got.notes[-1]


@pytest.mark.parametrize("std", [True, False])
def test_logged_advantages_tell_the_draws_apart_even_without_a_modal_size(tmp_path, std):
    one, other = rows_of("p", 4), rows_of("p", 4, start=4)
    other[0]["reward"] = 1
    got = read_log(tmp_path, [*with_advantages(one, std), *with_advantages(other, std)])
    assert sizes(got) == [4, 4] and "the logged advantages fit each draw" in got.notes[-1]


def test_draws_that_take_turns(tmp_path):
    one, other = with_advantages(rows_of("p", 4)), rows_of("p", 4, start=4)
    other[0]["reward"] = 1
    mixed = [x for pair in zip(one, with_advantages(other), strict=True) for x in pair]
    got = read_log(tmp_path, mixed)
    assert got.table["completion"].to_list() == [f"p {n}" for n in range(8)] and sizes(got) == [4, 4]


def test_a_bucket_whose_advantages_fit_the_whole_is_one_group(tmp_path):
    eight = rows_of("p", 8)
    for x in eight[:4]:
        x["reward"] = 0
    others = [x for p in "qrs" for x in with_advantages(rows_of(p, 4))]
    got = read_log(tmp_path, [*others, *with_advantages(eight)])
    assert sizes(got) == [8, 4, 4, 4] and got.counts["groups_uneven"] == 1 and got.counts["groups_split"] == 0


def test_advantages_that_fit_nothing_are_said(tmp_path):
    others = [x for p in "qrs" for x in with_advantages(rows_of(p, 4))]
    odd = [{**x, "advantage": n} for n, x in enumerate(rows_of("p", 8))]
    got = read_log(tmp_path, [*others, *odd])
    assert sizes(got) == 5 * [4] and "do not fit the draws" in got.notes[-1]


def test_sizes_without_a_clear_mode_are_left_alone(tmp_path):
    rows = [x for p, k in (("p", 2), ("q", 4), ("r", 6), ("s", 8)) for x in rows_of(p, k)]
    assert sizes(read_log(tmp_path, rows)) == [2, 4, 6, 8]
    assert sizes(read_log(tmp_path, rows, group_size=2)) == 10 * [2]


def test_a_log_that_goes_through_its_prompts_again_and_again_says_how_often(tmp_path):
    turns = [[*rows_of("p", 1, n), *rows_of("q", 1, n), *rows_of("p", 1, n + 50)] for n in range(3)]
    rows = [x for turn in turns for x in turn]  # p q p, p q p, p q p: k = 3, and p is drawn twice
    got = read_log(tmp_path, rows)
    assert {tuple(x.split()[1] for x in g) for g in got.table.filter(prompt="p").group_by("group").agg("completion")[
        "completion"].to_list()} == {("0", "1", "2"), ("50", "51", "52")}  # fmt: skip
    assert got.counts["groups_split"] == 1 and "goes through its prompts in one order again and again" in got.notes[-1]
    assert sizes(read_log(tmp_path, rows[:-1])) == [5, 3]  # the last turn is cut, so it may be chance
    blocks = [x for n in (0, 2) for p in "pq" for x in rows_of(p, 2, n)]
    assert sizes(read_log(tmp_path, blocks)) == [4, 4]  # p p q q, p p q q: two draws of 2, or one of 4 in two parts
    odd = [x for n, p in enumerate("pqppqpp") for x in rows_of(p, 1, n)]
    assert sizes(read_log(tmp_path, odd)) == [5, 2]
    keyed = [{"uid": key, "tokens": [n], "reward": n} for n in range(3) for key in "aba"]
    assert sizes(read_log(tmp_path, keyed)) == [6, 3]


@pytest.mark.parametrize(("key", "expected"), [("uid", [4, 8]), ("group_id", [4, 8]), ("problem_id", [4, 4, 4])])
def test_a_key_that_is_one_per_draw_is_never_split(tmp_path, key, expected):
    rows = [{"step": 1, key: k, "tokens": [n], "reward": n} for k, size in (("a", 4), ("b", 8)) for n in range(size)]
    got = read_log(tmp_path, rows, group_size=4)
    assert sizes(got) == expected
    assert got.counts["groups_uneven"] == (0 if key == "problem_id" else 1)


def test_groups_of_one_are_kept_and_not_uneven(tmp_path):
    got = read_log(tmp_path, [row(group=g) for g in "aabbc"])
    assert sizes(got) == [2, 2, 1] and got.counts["groups_uneven"] == 0 and balanced(got)


def test_an_index_that_numbers_the_rows_is_no_key(tmp_path):
    rows = [{**x, "index": n} for n, x in enumerate([*rows_of("p", 3), *rows_of("q", 3)])]
    assert sizes(read_log(tmp_path, rows)) == [3, 3]


def test_an_id_that_mixes_prompts_is_no_key(tmp_path):
    rows = [{**x, "id": n // 2} for n, x in enumerate(x for _ in range(2) for p in "pq" for x in rows_of(p, 1))]
    got = read_log(tmp_path, rows)
    assert sizes(got) == [2, 2] and "The column id mixes different prompts" in got.notes[-1]


def test_an_index_that_repeats_is_a_key_but_never_against_the_prompts(tmp_path):
    rows = [*rows_of("p", 2, index=5), *rows_of("p", 2, start=2, index=6), *rows_of("q", 2, index=7)]
    got = read_log(tmp_path, rows)
    assert [k for _, _, k in groups(got)] == ["5", "6", "7"]


def test_a_key_that_is_different_in_every_row_gives_way_to_the_prompt(tmp_path):
    rows = [{**x, "uid": f"u{n}"} for n, x in enumerate([*rows_of("p", 2), *rows_of("q", 2)])]
    got = read_log(tmp_path, rows)
    assert sizes(got) == [2, 2] and "The column uid is different in every row" in got.notes[-1]


def test_a_sample_index_of_the_data_set_is_not_one_of_the_group(tmp_path):
    rows = [{**row(group=g, tokens=[n]), "sample_idx": g} for g in "ab" for n in range(4)]
    got = read_log(tmp_path, rows)
    assert sizes(got) == [4, 4] and not len(got.rejected) and "sample_idx is the same in many rows" in got.notes[-1]
