"""Generic logs: names of columns, dotted paths, rows of lists, and the containers beside JSON lines."""

import gzip
import json

import polars as pl
import pytest
from logs.log_files import balanced, groups, read_log, reasons, row, write

from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.rollouts import SCHEMA, load, save

CHAT = [{"role": "user", "content": "1 + 1?"}]
ANSWER = [{"role": "assistant", "content": "It is 2."}]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["completion_ids", "response_ids", "response_tokens", "token_ids", "output_ids", "tokens"]
)
@pytest.mark.parametrize("reward", ["reward", "score", "rewards"])
@pytest.mark.parametrize("group", ["group", "uid", "prompt_id", "problem_id", "example_id", "group_index", "index"])
def test_common_names_are_recognised(tmp_path, name, reward, group):
    rows = [{group: 4, name: [n], reward: n, "global_step": 7, "advantages": n} for n in range(2)]
    got = read_log(tmp_path, rows)
    assert groups(got) == {("log", 7, "4"): [[0], [1]]} and got.table["reward"].to_list() == [0, 1]
    assert got.table["advantage"].to_list() == [0, 1] and got.table["tokens_from"][0] == "log"
    assert f"tokens = {name}" in got.notes[0] or name == "tokens"


@pytest.mark.parametrize("name", ["completion", "response", "output", "generation", "text"])
def test_text_is_cut_into_pieces(tmp_path, name):
    got = read_log(tmp_path, [{"prompt": "p", name: t, "score": 1} for t in ("a b", "a c", "")])
    (a, b, c) = got.table["tokens"].to_list()
    assert a[0] == b[0] and a[1] != b[1] and c == [] and got.table["tokens_from"].unique().to_list() == ["pieces"]
    assert got.table["completion"].to_list() == ["a b", "a c", ""] and got.table.schema == SCHEMA


def test_the_first_name_wins_and_a_column_of_another_kind_does_not_count(tmp_path):
    rows = [
        {"prompt": "p", "tokens": 12, "response": "said", "text": "all", "score": 3, "rewards": 4} for _ in range(2)
    ]
    got = read_log(tmp_path, rows)
    assert got.table["completion"].to_list() == ["said"] * 2 and got.table["reward"].to_list() == [3, 3]
    assert got.table["tokens_from"][0] == "pieces"


def test_dotted_paths_reach_into_objects_and_map_over_lists(tmp_path):
    rows = [{"idx": 9, "ys": ["a", "b"], "infos": [{"r": 1}, {"r": 0}]}, {"idx": 8, "ys": ["c"], "infos": [{"r": 1}]}]
    got = read_log(tmp_path, rows, columns={"completion": "ys", "reward": "infos.r"})
    assert got.table.select("group_key", "completion", "reward").rows() == [("9", "a", 1), ("9", "b", 0), ("8", "c", 1)]
    rows = [{"meta": {"g": "x", "a.b": n}, "a.b": [n], "reward": 1} for n in range(2)]
    got = read_log(tmp_path, rows, columns={"group": "meta.g", "tokens": "a.b"})
    assert groups(got) == {("log", None, "x"): [[0], [1]]}


def test_objects_in_a_list_that_is_called_like_a_key(tmp_path):
    rows = [{"step": 1, "prompt": f"p{n}", "group": [{"said": "a", "r": 1}, {"said": "b", "r": n}]} for n in range(2)]
    got = read_log(tmp_path, rows, columns={"completion": "group.said", "reward": "group.r"})
    assert got.table.select("prompt", "completion", "reward").rows() == [
        ("p0", "a", 1), ("p0", "b", 0), ("p1", "a", 1), ("p1", "b", 1),
    ]  # fmt: skip


def test_prompts_that_are_ids_tell_the_groups_apart(tmp_path):
    rows = [{"prompt": [1, n // 2], "response": f"so {n}", "reward": n % 2} for n in (0, 2, 1, 3)]
    got = read_log(tmp_path, rows)
    assert got.table.select("prompt", "completion").rows() == [
        ("[1, 0]", "so 0"), ("[1, 0]", "so 1"), ("[1, 1]", "so 2"), ("[1, 1]", "so 3"),
    ]  # fmt: skip


def test_a_name_that_is_null_throughout_gives_way_to_the_next(tmp_path):
    rows = [{"group": 1, "completion": None, "response": "x", "reward": None, "score": n} for n in range(2)]
    got = read_log(tmp_path, rows)
    assert got.table["completion"].to_list() == ["x", "x"] and got.table["reward"].to_list() == [0, 1]


def test_a_row_that_holds_a_whole_step(tmp_path):
    rows = [{"step": ["3"] * 4, "prompt": list("ppqq"), "completion": list("wxyz"), "reward": [0, 1, 0, 1]}]
    got = read_log(tmp_path, rows)
    assert got.table.select("step", "completion", "reward", "sample").rows() == [
        (3, "w", 0, 0), (3, "x", 1, 1), (3, "y", 0, 0), (3, "z", 1, 1),
    ]  # fmt: skip
    assert got.table["group"].to_list() == [0, 0, 1, 1]


def test_labels_in_a_mask_leave_the_prompt_out(tmp_path):
    rows = [{"tokens": [[5, 6, 7, 8], [4, 6, 7]], "masks": [[-100, -100, 7, -100], [-100, 6, 7]], "scores": [1, 0]}]
    got = read_log(tmp_path, rows)
    assert got.table["tokens"].to_list() == [[7, 8], [6, 7]]
    assert got.table["mask"].to_list() == [[True, False], [True, True]] and "labels" in got.notes[-1]


def test_members_that_read_different_prompts_are_counted(tmp_path):
    """Of three groups one read two prompts, told by their ids; a row that shows none says nothing."""
    rows = [
        {"tokens": [[*asked, 7, n] for n, asked in enumerate(prompts)],
         "masks": [[-100] * len(asked) + [7, n] for n, asked in enumerate(prompts)], "scores": [1, 0, 1]}
        for prompts in ([[5, 6]] * 3, [[5, 6], [5, 8], [5, 6]], [[4]] * 3)
    ]  # fmt: skip
    got = read_log(tmp_path, rows)
    assert got.counts["groups_prompts_differ"] == 1
    assert "_asked" not in got.table.columns and got.table["tokens"].to_list()[0] == [7, 0]


@pytest.mark.parametrize(("prompts", "differ"), [("aaab", 1), ("aaaa", 0), ("abab", 1), (["a", None, "a", "a"], 0)])
def test_prompts_of_a_group_that_was_named_are_compared(tmp_path, prompts, differ):
    rows = [{"uid": "g", "prompt": p, "response": f"so {n}", "reward": n % 2} for n, p in enumerate(prompts)]
    rows += [{"uid": "h", "prompt": "z", "response": f"so {n}", "reward": n % 2} for n in range(4)]
    assert read_log(tmp_path, rows).counts["groups_prompts_differ"] == differ


@pytest.mark.parametrize("as_text", [False, True])
def test_chats_become_text_and_only_the_assistant_is_in_the_loss(tmp_path, as_text):
    tool = [{"role": "tool", "content": "2"}]
    rows = [{"prompt": CHAT, "completion": ANSWER + tool + ANSWER, "reward": n} for n in range(3)]
    if as_text:
        rows = [{k: json.dumps(v) if k != "reward" else v for k, v in r.items()} for r in rows]
    got = read_log(tmp_path, rows)
    text = "<assistant>\nIt is 2.\n<tool>\n2\n<assistant>\nIt is 2."
    assert got.table["completion"].to_list() == [text] * 3 and got.table["prompt"][0] == "<user>\n1 + 1?"
    mask = got.table["mask"][0].to_list()
    assert mask.count(True) == 2 * len(" ".join(["It", "is", "2", "."]).split()) and not mask[0]


def test_finish_reasons_and_kept_columns(tmp_path):
    rows = [row(finish_reason=r, level=n, tags=[r]) for n, r in enumerate(["length", "stop"])]
    got = read_log(tmp_path, rows, keep=("level", "tags"))
    assert got.table["truncated"].to_list() == [True, False]
    assert got.table["level"].to_list() == [0, 1] and got.table["tags"].to_list() == ['["length"]', '["stop"]']
    assert got.table.columns == [*SCHEMA, "level", "tags"]


def test_a_weighted_reward(tmp_path):
    rows = [row(short=1, has_e=0.5), row(short=None, has_e=1), row(short=None, has_e=None)]
    got = read_log(tmp_path, rows, reward="short+0.5*has_e")
    assert got.table.select("reward", "reward/short", "reward/has_e").rows() == [(1.25, 1, 0.5), (0.5, None, 1)]
    assert reasons(got) == [(3, "reward", "all columns of its sum are missing")]
    assert read_log(tmp_path, rows[:2], reward="has_e").table["reward"].to_list() == [0.5, 1]


def test_a_log_with_advantages_only(tmp_path):
    rows = [{"group": "a", "tokens": [n], "advantage": a} for n, a in enumerate([0.5, -0.5])]
    got = read_log(tmp_path, rows)
    assert got.table["reward"].null_count() == 2 and "No reward is logged" in got.notes[0]


def test_text_beside_ids_can_be_spared(tmp_path):
    rows = [row(prompt="p", completion="x") for _ in range(2)]
    got = read_log(tmp_path, rows, spare_text=True)
    assert got.table["completion"].null_count() == got.table["prompt"].null_count() == 2
    rows = [{"prompt": "p", "completion": "x", "tokens": [n], "reward": 1} for n in range(2)]
    assert read_log(tmp_path, rows, spare_text=True).table["prompt"].to_list() == [
        "p",
        "p",
    ]  # it tells the groups apart


ROWS = [
    row(step=s, group=g, tokens=[s, n], reward=n / 2, finish_reason="stop")
    for s in (1, 2)
    for g in "ab"
    for n in range(3)
]


def as_csv(path):
    flat = [{**r, "tokens": json.dumps(r["tokens"])} for r in ROWS]
    pl.DataFrame(flat).write_csv(path)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("log.json", lambda p: p.write_text(json.dumps(ROWS))),
        ("log.json", lambda p: p.write_text(json.dumps({"info": 1, "data": {"rows": ROWS}}, indent=1))),
        ("log.csv", as_csv),
        ("log.parquet", lambda p: pl.DataFrame(ROWS).write_parquet(p)),
        ("log.parquet", lambda p: pl.DataFrame(ROWS).cast({"step": pl.UInt8, "reward": pl.Float32}).write_parquet(p)),
        ("log.jsonl.gz", lambda p: p.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode()))),
        ("log.json.gz", lambda p: p.write_bytes(gzip.compress(json.dumps(ROWS).encode()))),
        ("log.txt", lambda p: write(p, ROWS)),
    ],
)
def test_every_container_gives_the_same_table(tmp_path, name, make):
    make(tmp_path / name)
    got, plain = collect(tmp_path / name), read_log(tmp_path, ROWS, "plain.jsonl")
    assert got.table.drop("run").equals(plain.table.drop("run"), null_equal=True) and balanced(got)


def test_bad_rows_of_a_csv(tmp_path):
    path = tmp_path / "log.csv"
    lines = ["group,tokens,reward", 'a,"[1, 2]",true', 'a,"[3]",nan', 'a,"[3]"', "a,,1", b'a\xff,"[3]",1', 'a,"[]",0.5']
    write(path, lines)
    got = collect(path)
    assert got.table.select("tokens", "reward").rows() == [([1, 2], 1), ([], 0.5)] and balanced(got)
    assert reasons(got) == [
        (3, "reward", "expected a finite number, got nan"),
        (4, "", "2 cells under 3 columns"),
        (5, "tokens", "missing"),
        (6, "", "invalid UTF-8"),
    ]


def test_bad_rows_of_a_parquet(tmp_path):
    frame = pl.DataFrame({"group": ["a"] * 4, "tokens": [[1], [None], [-1], [2]], "reward": [0.5, 1, 1, float("nan")]})
    pl.concat([frame, frame.head(1)]).write_parquet(tmp_path / "log.parquet")
    got = collect(tmp_path / "log.parquet")
    assert [r[:2] for r in reasons(got)] == [(2, "tokens"), (3, "tokens"), (4, "reward")] and len(got.table) == 2


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
def test_the_canonical_table_is_taken_as_it_stands(tmp_path, name):
    rows = [{"prompt": p, "completion": f"{p} {n}", "reward": n} for p in "pq" for n in range(3)]
    rows += [{**r, "completion": r["completion"] + "!"} for r in rows[:3]]  # a second draw
    first = read_log(tmp_path, rows, group_size=3)
    save(first, tmp_path / name)
    again = collect(tmp_path / name)
    assert again.table.equals(first.table, null_equal=True) and again.table.equals(
        load(tmp_path / name), null_equal=True
    )
    assert again.notes == () and again.table["tokens_from"][0] == "pieces"


def test_a_format_can_be_forced(tmp_path):
    path = write(tmp_path / "log.jsonl", [row(), row()])
    assert len(collect(path, ReadOptions(format="generic")).table) == 2
