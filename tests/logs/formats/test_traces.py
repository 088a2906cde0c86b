"""Traces of verifiers 0.4 and prime-rl: written by verifiers itself, and invented ones against a walk over tokens."""

import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from grpo_prm.core.identity import SENTINEL
from grpo_prm.logs import collect

MADE = Path(__file__).parent / "verifiers_traces.jsonl"  # by write_verifiers_traces.py


def lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def made(*numbers):
    records = MADE.read_text().splitlines()
    return [json.loads(records[number]) for number in numbers]


def test_what_verifiers_wrote_is_read_token_by_token(tmp_path):
    log = collect(lines(tmp_path / "traces.jsonl", made(0, 1, 2, 3, 4)))
    assert log.format == "traces"
    table = log.table
    assert table["tokens"].to_list() == [
        [10, 11, 12, 94, 95, 93, 20, 5, 13],
        [10, 11, 12, 94, 95, 93, 20, 7, 13],
        [20, 6, 13],
    ]
    assert table["mask"].to_list()[0] == [True] * 3 + [False] * 3 + [True] * 3
    assert table["step"].to_list() == [7, 7, 7]
    assert table["reward"].to_list() == [1.25, 0.125, 0.125]
    assert table["advantage"].to_list() == [0.5625, -0.5625, -0.5625]
    assert table["reward/short"].to_list() == [0.5, 0.25, 0.25]
    assert table["truncated"].to_list() == [False, True, False]
    assert table["group_key"].to_list() == ["g1"] * 3
    assert table["problem"].to_list() == ["sum-0"] * 3
    logprobs = np.array(table["logprobs"][0])
    assert logprobs == pytest.approx([-1.4286, -1.5714, -1.7143, *[SENTINEL] * 3, -2.8571, -0.7143, -1.8571])
    assert log.rejected.select("line", "field", "reason").rows() == [
        (2, "nodes", "a side branch of a rollout: of each rollout the branch to its last message is read"),
        (2, "agent", "judge is not trained"),
        (4, "ok", "the episode failed (Timeout)"),
        (5, "ok", "the trace failed"),
    ]
    assert log.counts["rows_read"] == 7


def test_a_chat_api_gives_no_ids_and_the_task_names_the_group(tmp_path):
    records = made(5, 5)
    records[1]["traces"][0]["id"] = "another"
    records[1]["traces"][0]["nodes"][-1]["message"]["content"] = "It is 8."
    table = collect(lines(tmp_path / "traces.jsonl", records)).table
    assert table["group_key"].to_list() == ["sum-0"] * 2
    assert table["completion"][1].endswith("It is 8.")
    said = "".join(piece for piece in table["completion"][0].split("<tool>")[0])
    assert "I ask." in said
    assert 0 < sum(table["mask"][0]) < len(table["mask"][0])


def test_a_trace_twice_is_one_rollout(tmp_path):
    log = collect(lines(tmp_path / "traces.jsonl", made(0, 2, 0)))
    assert len(log.table) == 2
    assert log.rejected["reason"].to_list() == ["duplicate"]


def invented(random_, number, spaces):
    """An episode, and (id, sampled, log-probability) of the way to its last node from the first sampled token on."""
    nodes, truth, last = [], [], None
    advantage = round(random_.uniform(-2, 2), 4)
    for turn in range(random_.randint(2, 6)):
        sampled = turn % 2 == 1
        given = [random_.randint(0, 2**31 - 1) for _ in range(random_.randint(0, 5))]
        said = [random_.randint(0, 150_000) for _ in range(random_.randint(1, 5) if sampled else 0)]
        values = [-round(random_.random(), 4) for _ in said]
        node = {"message": {"role": "assistant" if sampled else "user", "content": "x"}, "sampled": sampled}
        node |= {"token_ids": given + said, "mask": [False] * len(given) + [True] * len(said), "logprobs": values}
        if sampled:
            node["advantages"] = [advantage] * len(said)
        if last is not None:
            node["parent"] = last
        truth += [(t, False, SENTINEL) for t in given]
        for token, value in zip(said, values, strict=True):
            truth.append((token, True, value))
        nodes.append(node)
        last = len(nodes) - 1
        if sampled and random_.random() < 0.3:  # a side branch behind this turn, in front of its end
            nodes.append({"parent": last, "message": {"role": "user", "content": "aside"}, "sampled": False})
            nodes[-1] |= {"token_ids": [1], "mask": [False], "logprobs": []}
    if not nodes[-1]["sampled"] and nodes[-1]["message"]["content"] == "aside":
        nodes.append({"parent": last, "message": {"role": "user", "content": "end"}, "sampled": False})
    while not truth[0][1]:
        truth.pop(0)
    score, weight = random_.random(), random_.choice([0.5, 1.0])
    trace = {"id": f"t{number}", "nodes": nodes, "rewards": {"r": {"score": score, "weight": weight}}, "ok": True}
    record = {"task": {"key": f"k{number // 4}"}, "group": {"id": f"g{number // 4}"}, "ok": True, "traces": [trace]}
    record["run"] = {"work": {"type": "train", "step": number // 8}}
    text = json.dumps(record, separators=None if spaces else (",", ":"))
    return text, truth, score * weight, advantage


@pytest.mark.parametrize("spaces", [True, False])
def test_invented_traces_are_read_as_a_walk_reads_them(tmp_path, spaces):
    random_ = random.Random(3)  # noqa: S311
    every = [invented(random_, number, spaces) for number in range(64)]
    (tmp_path / "traces.jsonl").write_text("".join(text + "\n" for text, *_ in every))
    table = collect(tmp_path / "traces.jsonl").table
    assert len(table) == 64
    for row, (_, truth, reward, advantage) in zip(table.iter_rows(named=True), every, strict=True):
        assert row["tokens"] == [token for token, _, _ in truth]
        assert row["mask"] == [sampled for _, sampled, _ in truth]
        assert row["logprobs"] == pytest.approx([value for *_, value in truth], rel=1e-6)
        assert row["reward"] == pytest.approx(reward)
        assert row["advantage"] == advantage


def trace_record(number, **more):
    """A row of prime-rl 0.7: a trace by itself, its rewards plain numbers."""
    text, *_ = invented(random.Random(number), number, False)  # noqa: S311
    trace = json.loads(text)["traces"][0]
    return {**trace, "task": {"idx": number // 4, "prompt": "x"}, "rewards": {"r": number % 3 / 2}, **more}


def test_a_trace_may_be_a_line(tmp_path):
    folder = tmp_path / "rollouts"
    for step in (4, 5):
        records = [trace_record(n, group_id=f"{step}-{n // 4}", env_name="sums", kind="train") for n in range(8)]
        lines(folder / f"step_{step}" / "train" / "effective" / "traces.jsonl", records)
    log = collect(folder)
    assert log.table["step"].to_list() == [4] * 8 + [5] * 8
    assert log.table.group_by("group", maintain_order=True).len()["len"].to_list() == [4] * 4
    assert log.table["reward"].to_list() == [n % 3 / 2 for n in range(8)] * 2
    assert log.table["problem"].n_unique() == 2


def changed(tmp_path, change):
    """Four good traces and one that was changed; what it was rejected for."""
    records = [trace_record(n, group_id="g") for n in range(5)]
    change(records[4])
    log = collect(lines(tmp_path / "traces.jsonl", records))
    assert len(log.table) == 4
    rejected = log.rejected.select("line", "field", "reason").rows()
    return [one for one in rejected if not one[2].startswith("a side branch")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.update(ok=False), (5, "ok", "the trace failed")),
        (lambda t: (t.pop("ok"), t.update(errors=["late"])), (5, "ok", "the trace failed (late)")),
        (lambda t: t.update(nodes=t["nodes"][:1]), (5, "completion", "no message was sampled")),
        (lambda t: t["nodes"][1].update(token_ids=[1, 2.5]), (5, "tokens", "expected whole numbers only")),
        (lambda t: t["nodes"][1].update(token_ids=[-4], mask=[True]), (5, "tokens", "the id -4 is negative")),
        (lambda t: t["nodes"][1].update(mask=[None]), (5, "mask", "expected true and false only")),
        (lambda t: t["nodes"][1]["mask"].append(True), None),
        (lambda t: t["nodes"][1].update(parent=7), None),
        (lambda t: t.update(rewards={}), (5, "reward", "missing")),
        (lambda t: t.update(nodes=3), None),
    ],
)
def test_a_bad_trace_costs_itself_alone(tmp_path, change, reason):
    rejected = changed(tmp_path, change)
    assert len(rejected) == 1
    assert reason is None or rejected[0] == reason


def test_nan_is_null_and_costs_nothing_that_is_optional(tmp_path):
    records = [trace_record(n, group_id="g") for n in range(4)]
    node = next(node for node in records[1]["nodes"] if node["sampled"])
    node["logprobs"][0] = float("nan")
    records[2]["rewards"] = {"r": 0.25, "other": float("nan")}  # of another task: adds nothing
    table = collect(lines(tmp_path / "traces.jsonl", records)).table
    assert len(table) == 4
    assert table["logprobs"][1][table["mask"][1].to_list().index(True)] == SENTINEL
    assert table["reward"][2] == 0.25


def test_a_table_fills_what_is_missing_with_nulls(tmp_path):
    records = [{name: record[name] for name in ("group", "run", "ok", "traces")} for record in made(0, 2)]
    for record in records:
        record["task"] = {"key": "sum-0"}
        record["traces"] = [{name: record["traces"][0][name] for name in ("id", "nodes", "rewards", "ok")}]
    for trace in (trace for record in records for trace in record["traces"]):
        trace |= {"agent": {"name": "agent", "trainable": None}, "calls": None, "errors": None}
        for node in trace["nodes"]:
            node |= {"semantic_parents": None, "sampled": node["sampled"] or None, "advantages": None}
    pl.DataFrame(records).write_parquet(tmp_path / "traces.parquet")
    wanted = collect(lines(tmp_path / "traces.jsonl", made(0, 2))).table
    given = collect(tmp_path / "traces.parquet").table
    for column in ("tokens", "mask", "logprobs", "reward", "group_key", "step", "completion", "prompt"):
        assert given[column].to_list() == wanted[column].to_list()


def test_an_array_of_episodes_is_read_as_lines_are(tmp_path):
    records = made(0, 2)
    (tmp_path / "traces.json").write_text(json.dumps(records))
    of_lines = collect(lines(tmp_path / "traces.jsonl", records)).table
    of_array = collect(tmp_path / "traces.json").table
    assert of_array.drop("run").equals(of_lines.drop("run"))


def compacted(links):
    """Two roots: a conversation of one turn, and behind a shorter history a second one that was tried last."""
    nodes = []
    for root, said in enumerate(("first", "second")):
        nodes.append({"message": {"role": "user", "content": said}, "token_ids": [1], "mask": [False]})
        nodes.append({"parent": 2 * root, "message": {"role": "assistant", "content": said}, "sampled": True})
        nodes[-1] |= {"token_ids": [2, 3 + root], "mask": [False, True], "logprobs": [-1.0]}
    nodes[3]["semantic_parents"] = [{"node": 1, "type": "compaction_attempt"}]
    nodes[0]["semantic_parents"] = links
    return nodes


@pytest.mark.parametrize(("links", "token"), [([], 3), ([{"node": 3, "type": "compaction"}], 4)])
def test_an_attempt_that_the_harness_did_not_go_on_from_is_no_branch(tmp_path, links, token):
    records = [trace_record(n, group_id="g", nodes=compacted(links)) for n in range(2)]
    log = collect(lines(tmp_path / "traces.jsonl", records))
    assert log.table["tokens"].to_list() == [[token]] * 2
    assert len(log.rejected) == (2 if links else 0)


def test_log_probabilities_of_all_tokens_keep_their_places(tmp_path):
    records = [trace_record(n, group_id="g", nodes=compacted([])) for n in range(2)]
    for record in records:
        record["nodes"] = record["nodes"][:2]
        record["nodes"][0]["logprobs"] = [-7.0]
        record["nodes"][1] |= {"logprobs": [-5.0, -1.5], "trainer_logprobs": [-2.0], "reference_logprobs": [-3.0]}
    row = collect(lines(tmp_path / "traces.jsonl", records)).table.row(0, named=True)
    assert (row["logprobs"], row["trainer_logprobs"], row["ref_logprobs"]) == ([-1.5], [-2.0], [-3.0])
