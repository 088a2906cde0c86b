"""Turns of others: a mask that takes in the last message of an environment is said, and nothing else is."""

import json
import random

import numpy as np
import polars as pl
import pytest
from logs.formats.trained import write_lines

import grpo_prm
from grpo_prm.analysis.findings import sentence
from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions, collect, inspect
from grpo_prm.logs.rollouts import save
from grpo_prm.logs.rows.chat import messages_of, segments
from grpo_prm.logs.rows.roles import OTHERS, other_at_the_end
from grpo_prm.logs.stream import read as batches

ASKED, SAID, TOLD = ({"role": role, "content": role} for role in ("user", "assistant", "environment"))
IN, OUT = np.array([False, True]), np.array([True, False])


@pytest.mark.parametrize(
    ("chat", "mask", "wanted"),
    [
        ([SAID, TOLD], IN, "environment"),
        (json.dumps([SAID, TOLD]), IN, "environment"),
        ([SAID, {"role": " Tool "}], IN, "tool"),
        ([SAID, TOLD], OUT, None),
        ([SAID, TOLD], IN[:0], None),
        ([TOLD, SAID], IN, None),
        ([SAID, {"role": "critic"}], IN, None),  # nobody knows whose it is
        ([{"role": "critic"}, TOLD], IN, None),
        ([ASKED], IN, None),  # a prompt
        ([SAID, {**TOLD, "trainable": True}], IN, None),  # the log itself says so
        ([SAID, {**TOLD, "trainable": False}], IN, "environment"),
        ([SAID, {"role": 3}], IN, None),
        ([SAID, {"content": "x"}], IN, None),
        *((nothing, IN, None) for nothing in (None, [], {}, 7, "text", "[", [1], [[SAID]], '[{"role": null}]')),
    ],
)
def test_what_contradicts_the_mask(chat, mask, wanted):
    assert other_at_the_end(chat, mask) == wanted


@pytest.mark.parametrize("role", OTHERS)
def test_every_role_of_others_is_one(role):
    assert other_at_the_end([SAID, {"role": role}], IN) == role


def line(number, ends, seed=0):
    """A group of four of atropos; the completions whose places are in `ends` end with the environment's turn."""
    chats = [[ASKED, SAID | {"content": str(n)}, *([TOLD] if n in ends else [])] for n in range(4)]
    return {
        "tokens": [[1, 2, number, n] for n in range(4)], "masks": [[-100, -100, number, n] for n in range(4)],
        "scores": [float(n % 2 + number) for n in range(4)], "messages": chats, "overrides": None, "seed": seed,
    }  # fmt: skip


def said(done):
    return [note for note in done.notes if "the last message is of" in note]


def test_rows_are_counted_whatever_the_order_and_the_cut(tmp_path, monkeypatch):
    rows = [line(number, range(number % 4)) for number in range(40)]
    right = sum(number % 4 for number in range(40))
    for seed in range(3):
        random.Random(seed).shuffle(rows)  # noqa: S311
        path = write_lines(tmp_path / "groups.jsonl", rows)
        done = collect(path)
        assert done.format == "atropos" and done.counts["ends_with_others"] == right
        (note,) = said(done)
        assert note.startswith(
            f"In {right} rows (each a completion) the last message is of `environment`, not of the model, and the last "
        )
        assert note in inspect(path).notes
        monkeypatch.setattr("grpo_prm.logs.chunks.CHUNK", 300)
        parts = list(batches(path))
        assert sum((part.counts["ends_with_others"] for part in parts), 0) == right
        assert [note for part in parts for note in said(part)] == [note]
        monkeypatch.undo()


def test_of_the_model_alone_of_equal_chats_and_without_a_mask_nothing_is_said(tmp_path):
    rows = [line(number, ()) for number in range(4)]
    rows += [{**line(n, ()), "messages": [[ASKED, SAID, ASKED]] * 4} for n in range(4, 8)]  # a prompt with an example
    rows += [
        {**line(n, ()), "messages": odd}
        for n, odd in enumerate(("x", None, [1, 2], [None] * 4, ["a", "[", None, 3]), 8)
    ]
    done = collect(write_lines(tmp_path / "groups.jsonl", rows))
    assert not said(done) and not done.counts["ends_with_others"] and len(done.table) == 52 and not len(done.rejected)
    path = write_lines(tmp_path / "more.jsonl", [line(n, (1, 2)) for n in range(4)])
    assert said(collect(path)) and not said(collect(path, ReadOptions(columns={"mask": "-"})))


def rows_of(ends, **more):
    """Rows with ids, a mask and a chat; every other one ends with a tool."""
    return [
        {
            "uid": f"g{n // 4}", "completion_ids": [5, 6, n], "completion_mask": [1, 0, int(ends)],
            "reward": float(n % 3), "completion": [SAID, {"role": "tool", "content": str(n)}][: 1 + n % 2], **more,
        }
        for n in range(16)
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["jsonl", "parquet", "text"])
def test_a_log_of_its_own_columns_is_judged_by_its_chats(tmp_path, how):
    for ends, right in ((True, 8), (False, 0)):
        rows = rows_of(ends)
        rows.append(rows[1] | {"uid": "alone"})
        if how == "text":
            rows = [row | {"completion": json.dumps(row["completion"])} for row in rows]
        path = tmp_path / f"log{ends}.{'parquet' if how == 'parquet' else 'jsonl'}"
        if how == "parquet":
            pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
        else:
            write_lines(path, rows)
        assert collect(path).counts["ends_with_others"] == right
    rows.pop()
    whole = [{**rows[0], **{c: [row[c] for row in rows] for c in ("completion_ids", "completion_mask", "reward")}}]
    whole[0]["completion"] = [[SAID, TOLD]] * len(rows)
    whole[0]["completion_mask"] = [[1, 1, 1]] * len(rows)
    assert collect(write_lines(tmp_path / "group.jsonl", whole)).counts["ends_with_others"] == len(rows)
    whole[0]["completion"] = json.dumps(whole[0]["completion"])
    assert collect(write_lines(tmp_path / "group.jsonl", whole)).counts["ends_with_others"] == len(rows)


def test_a_mask_that_the_reader_made_is_not_held_against_the_log(tmp_path):
    """NeMo-Gym's ids end with the last call of the model; what a function said behind it has none."""
    call = {"type": "message", "role": "assistant", "content": "so", "generation_token_ids": [7, 8]}
    rows = [
        {
            "responses_create_params": {"input": "ask"}, "reward": float(n % 2), "_ng_task_index": n // 4,
            "response": {
                "output": [call | {"prompt_token_ids": [1, n], "generation_token_ids": [7, n]},
                           {"type": "function_call_output", "output": "42"}]
            },
        }
        for n in range(8)
    ]  # fmt: skip
    done = collect(write_lines(tmp_path / "a_rollouts.jsonl", rows))
    assert done.format == "nemo-gym" and done.table["tokens_from"][0] == "log" and not said(done)


def trace(n, ids, mask):
    nodes = [
        {"message": ASKED, "sampled": False, "token_ids": [1], "mask": [False]},
        {"message": SAID, "sampled": True, "token_ids": [2, n], "mask": [True, True], "parent": 0},
        {"message": {"role": "tool", "content": "42"}, "sampled": False, "token_ids": ids, "mask": mask, "parent": 1},
    ]
    one = {"id": f"t{n}", "nodes": nodes, "rewards": {"r": {"score": n % 2}}, "ok": True}
    return {"task": {"key": f"k{n // 4}"}, "group": {"id": f"g{n // 4}"}, "ok": True, "traces": [one]}


@pytest.mark.parametrize(
    ("ids", "mask", "right"), [([], [], 0), ([9], [False], 0), ([9], [True], 8), ([9, 9], [True, False], 0)]
)
def test_of_traces_the_messages_that_have_ids_are_judged(tmp_path, ids, mask, right):
    done = collect(write_lines(tmp_path / "traces.jsonl", [trace(n, ids, mask) for n in range(8)]))
    assert done.format == "traces" and done.counts["ends_with_others"] == right and bool(said(done)) is (right > 0)


def test_copies_of_others_ask_for_the_mask_and_not_for_another_temperature(tmp_path):
    rows = [line(number, ends) for ends in ((0, 1, 2, 3),) for number in range(8)]
    for row in rows:
        row["tokens"], row["masks"] = [row["tokens"][0]] * 4, [row["masks"][0]] * 4
    for ends, asks in ((True, "check the mask"), (False, "raise the temperature")):
        made = rows if ends else [row | {"messages": [chat[:2] for chat in row["messages"]]} for row in rows]
        summary = grpo_prm.analyze(write_lines(tmp_path / "log.jsonl", made)).summary
        (found,) = [one for one in summary["verdict"]["findings"] if one["code"] == "copies"]
        assert found.get("measure") == ("copies_of_others" if ends else None)
        done = collect(tmp_path / "log.jsonl")
        assert grpo_prm.analyze(done.table).summary["counts"].get("ends_with_others", 0) == 32 * ends
        for suffix in (".jsonl", ".parquet"):  # the canonical table tells it too
            save(done, path := tmp_path / f"table{suffix}")
            again = collect(path)
            assert again.counts["ends_with_others"] == 32 * ends and said(again) == said(done)
            assert again.table.equals(done.table)
            theirs = again.table.with_columns(ends_with_role=pl.lit(7))  # a column of somebody else
            assert grpo_prm.analyze(theirs).groups["tool_output"].sum() == 0
            assert not said(collect(path, ReadOptions(columns={"mask": "-"})))
        assert asks in sentence(found)
        (group, *_), shares = (
            grpo_prm.analyze(tmp_path / "log.jsonl").groups.rows(named=True),
            [one for one in summary["verdict"]["findings"] if one["code"] == "unmasked_tool_output"],
        )
        assert group["tool_output"] == 4 * ends and len(shares) == ends
        for one in shares:
            assert (one["measure"], one["value"], one["groups"]) == ("turns_of_others", 1.0, 8)
            assert one["command"].startswith("grpo-prm tree DIR --group ")
        assert summary["counts"].get("ends_with_others", 0) == 32 * ends


def test_where_no_assistant_speaks_another_role_is_taken_for_the_model_and_said(tmp_path):
    for role in ("agent", "model", "gpt", "AI"):
        chat = [{"role": role, "content": "so"}, {"role": "tool", "content": "42"}]
        assert [text for text, in_loss in segments(messages_of(chat)) if in_loss] == ["so"]
        both = [*chat, {"role": "assistant", "content": "I"}]
        assert [text for text, in_loss in segments(messages_of(both)) if in_loss] == ["I"]
    rows = [
        {"prompt": f"p{n // 4}", "reward": float(n % 2), "completion": [{"role": "agent", "content": f"so {n}"}, TOLD]}
        for n in range(8)
    ]
    done = collect(write_lines(tmp_path / "log.jsonl", rows))
    assert "No message of 8 rows is the assistant's: those of agent are taken for the model's." in done.notes
    assert done.table["mask"].list.any().all() and not done.table["mask"].list.last().any()
    rows = [row | {"completion": [SAID, TOLD]} for row in rows]
    assert not [n for n in collect(write_lines(tmp_path / "log.jsonl", rows)).notes if "taken for the model" in n]


def test_a_column_of_the_line_gives_the_groups_of_atropos_their_names(tmp_path):
    path = write_lines(tmp_path / "groups.jsonl", [line(number, (), seed=number // 2) for number in range(4)])
    done = collect(path, ReadOptions(columns={"group": "seed"}, keep=("seed",)))
    assert done.table["group_key"].unique(maintain_order=True).to_list() == ["0", "0#2", "1", "1#2"]
    assert done.table.group_by("group").len()["len"].to_list() == [4] * 4
    assert done.table["seed"].to_list() == [number // 2 for number in range(4) for _ in range(4)]
    assert "A line is a group, whatever seed says: it gives the groups their names." in done.notes
    scores = collect(path, ReadOptions(columns={"reward": "scores"}))
    assert scores.table["reward"].to_list() == collect(path).table["reward"].to_list()
    with pytest.raises(UsageError, match=r"there is no column sed; .*Did you mean seed\?"):
        collect(path, ReadOptions(columns={"group": "sed"}))
