"""Logs without steps, rows that are mixed, and indices that begin anew: which rows are of one draw."""

import json

import pytest
from logs.log_files import balanced, read_log

from grpo_prm.logs import ReadOptions, collect


def rows_of(prompts, k=1, start=0, **more):
    return [{"prompt": p, "completion": f"{p}{start + i}", "reward": i % 2, **more} for p in prompts for i in range(k)]


def texts(got):
    return [
        " ".join(group) for group in got.table.group_by("group", maintain_order=True).agg("completion")["completion"]
    ]


def folder(tmp_path, files):
    log = tmp_path / "log"
    log.mkdir()
    for name, rows in files.items():
        (log / name).write_text("".join(json.dumps(x) + "\n" for x in rows))
    return log


def test_a_key_in_a_later_file_is_another_draw(tmp_path):
    log = folder(tmp_path, {"a1.jsonl": rows_of("pq", 2), "a2.jsonl": rows_of("qrp", 2, 5)})
    got = collect(log)
    assert texts(got) == ["p0 p1", "q0 q1", "q5 q6", "r5 r6", "p5 p6"] and got.counts["groups_joined"] == 0
    assert "No step is logged, and 2 keys come back in a later file" in " ".join(got.notes)
    keys = got.table["group_key"].to_list()[::2]
    assert keys[2] == f"{keys[1]}#2" and keys[4] == f"{keys[0]}#2"


def test_where_a_step_is_named_rows_of_two_files_are_one_group(tmp_path):
    log = folder(tmp_path, {"a1.jsonl": rows_of("pq", 2, step=1), "a2.jsonl": rows_of("qp", 2, 5, step=1)})
    got = collect(log)
    assert texts(got) == ["p0 p1 p5 p6", "q0 q1 q5 q6"] and not any("No step" in note for note in got.notes)


def test_pieces_of_one_data_set_are_one_file(tmp_path):
    log = folder(tmp_path, {f"data-0000{n}-of-00002.jsonl": rows_of("pqr", 1, n) for n in (0, 1)})
    assert texts(collect(log)) == ["p0 p1", "q0 q1", "r0 r1"]


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_log_that_goes_round_is_joined_quietly(tmp_path, cut):
    rows = [x for n in range(3) for x in rows_of("pqr", 1, n)]
    got = read_log(tmp_path, rows[: len(rows) - cut])
    assert texts(got) == ["p0 p1 p2", "q0 q1 q2"[: 8 if cut < 2 else 5], "r0 r1 r2"[: 5 if cut else 8]]
    assert got.counts["groups_joined"] == 0 and "goes through its prompts in one order again and again" in got.notes[-1]


@pytest.mark.parametrize("order", ["ppqqppqq", "pqqp", "pqrqrp"])
def test_a_key_that_comes_back_inside_a_file_is_joined_loudly(tmp_path, order):
    rows = [x for n, p in enumerate(order) for x in rows_of(p, 1, n)]
    got = read_log(tmp_path, rows)
    assert texts(got) == [" ".join(f"{p}{n}" for n, q in enumerate(order) if q == p) for p in dict.fromkeys(order)]
    back = sum(order.count(p) != len(order[order.index(p) : order.rindex(p) + 1]) for p in set(order))
    assert got.counts["groups_joined"] == back and f"{back} key" in got.notes[-1] and "step=NAME" in got.notes[-1]
    named = read_log(tmp_path, [{**x, "step": 1} for x in rows])
    assert named.counts["groups_joined"] == 0 and not named.notes


def test_neighbours_need_no_word(tmp_path):
    got = read_log(tmp_path, rows_of("pqr", 3))
    assert texts(got) == ["p0 p1 p2", "q0 q1 q2", "r0 r1 r2"] and not got.notes and not got.counts["groups_joined"]


MIXED = [
    *rows_of("p", 2, step=1), *rows_of("q", 4, step=1), *rows_of("p", 6, 2, step=1), *rows_of("r", 4, step=1),
    *rows_of("s", 4, step=1),
]  # fmt: skip


def test_rows_that_are_mixed_with_others_are_never_cut_in_file_order(tmp_path):
    got = read_log(tmp_path, MIXED)  # p stands in stretches of 2 and 6, and 4 is the size of the others
    assert sorted(map(len, map(str.split, texts(got)))) == [4, 4, 4, 8] and got.counts["groups_split"] == 0
    assert got.counts["groups_merged"] == 1 and "8 rows, where 4 are usual" in got.notes[-1]
    assert "group=NAME" in got.notes[-1] and "--group-size 4" in got.notes[-1]
    asked = read_log(tmp_path, MIXED, group_size=4)
    assert texts(asked)[:2] == ["p0 p1 p2 p3", "p4 p5 p6 p7"] and asked.counts["groups_merged"] == 0
    assert "not neighbours" in asked.notes[-1]
    stretches = [
        *rows_of("p", 4, step=1),
        *rows_of("q", 4, step=1),
        *rows_of("p", 4, 4, step=1),
        *rows_of("r", 4, step=1),
    ]
    cut = read_log(tmp_path, stretches)
    assert texts(cut)[:2] == ["p0 p1 p2 p3", "p4 p5 p6 p7"] and cut.counts["groups_merged"] == 0


def with_index(orders, **more):
    """Rows of one key, of which the sample index is given; every row says something else."""
    return [
        {"step": 1, "group": key, "sample_idx": i, "completion": f"{key}{n}", "reward": n % 2, **more}
        for key, order in orders.items()
        for n, i in enumerate(order)
    ]


def test_a_sample_index_that_begins_anew_is_another_draw(tmp_path):
    got = read_log(tmp_path, with_index({"a": [0, 1, 2, 0, 1, 2], "b": [0, 1, 2], "c": [0, 1, 2]}))
    assert texts(got) == ["a0 a1 a2", "b0 b1 b2", "c0 c1 c2", "a3 a4 a5"] and not len(got.rejected)
    assert "sample_idx begins anew" in got.notes[-1] and balanced(got)


def test_an_index_that_comes_once_more_is_a_mistake(tmp_path):
    got = read_log(tmp_path, with_index({"a": [0, 1, 2, 1], "b": [0, 1, 2], "c": [0, 1, 2]}))
    assert texts(got) == ["a0 a1 a2", "b0 b1 b2", "c0 c1 c2"] and got.rejected["reason"].to_list() == ["duplicate"]


def test_a_row_that_says_the_same_is_a_copy(tmp_path):
    rows = with_index({"a": [0, 1, 2], "b": [0, 1, 2]})
    got = read_log(tmp_path, [*rows, *rows[:2]])
    assert texts(got) == ["a0 a1 a2", "b0 b1 b2"] and len(got.rejected) == 2 and balanced(got)


def test_advantages_overrule_an_index_that_begins_anew(tmp_path):
    rows = with_index({"a": [0, 1, 2, 0, 1, 2], "b": [0, 1, 2], "c": [0, 1, 2]})
    for key, reward in (("a", [0, 0, 0, 1, 1, 1]), ("b", [0, 1, 1]), ("c", [0, 0, 1])):
        for x, r in zip((x for x in rows if x["group"] == key), reward, strict=True):
            x["reward"], x["advantage"] = r, r - sum(reward) / len(reward)
    assert texts(read_log(tmp_path, rows))[0] == "a0 a1 a2 a3 a4 a5"  # two ranks, each counting from 0


def test_an_index_that_most_groups_have_twice_is_none_of_the_group(tmp_path):
    got = read_log(tmp_path, with_index({key: [0, 1, 0, 1] for key in "abc"}))
    assert [len(group.split()) for group in texts(got)] == [4, 4, 4] and "not used as a sample index" in got.notes[-1]


def test_the_order_of_batches_changes_nothing(tmp_path):
    rows = [x for n in range(40) for x in rows_of("pqrst", 2, 2 * n)]
    got = read_log(tmp_path, rows)
    assert got.counts["groups_joined"] == 5 and len(texts(got)) == 5
    assert collect(tmp_path / "log.jsonl", ReadOptions(ordered=False)).notes == got.notes


@pytest.mark.parametrize("one_each", [False, True])
def test_files_of_one_row_of_a_key_are_parts_of_its_group(tmp_path, one_each):
    """A file for each pass over the problems, or for each rollout: none holds a group."""
    files = [rows_of("pqr", 1, n) for n in range(3)]
    files = [[x] for rows in files for x in rows] if one_each else files
    got = collect(folder(tmp_path, {f"pass_{n}.jsonl": rows for n, rows in enumerate(files)}))
    assert texts(got) == ["p0 p1 p2", "q0 q1 q2", "r0 r1 r2"] and got.counts["groups_joined"] == 0
    assert "a file holds one row of a key" in " ".join(got.notes)


def test_rows_without_a_step_beside_rows_with_one(tmp_path):
    """The step stands in the path of some files only."""
    files = {f"step_{n}.jsonl": rows_of("pq", 2, 10 * n) for n in (1, 2)}
    got = collect(folder(tmp_path, files | {"last.jsonl": rows_of("pq", 2, 30)}))
    assert len(texts(got)) == 6 and all(len(group.split()) == 2 for group in texts(got))


def test_numbers_of_groups_that_begin_anew_are_joined_loudly(tmp_path):
    rows = [{k: v for k, v in x.items() if k != "prompt"} for n in (0, 5) for x in rows_of("pq", 2, n)]
    rows = [{**x, "group_index": n // 2 % 2} for n, x in enumerate(rows)]
    got = read_log(tmp_path, rows)
    assert got.counts["groups_joined"] == 2 and "2 keys come back later in the log" in " ".join(got.notes)
