"""inspect_ai's logs: what stands in the loss, letters as rewards, failed samples; the shape of version 0.3.285."""

import json
from pathlib import Path

import pytest

from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions, collect


def message(role, content, source=None, **more):
    return {"role": role, "content": content, **({"source": source} if source else {}), **more}


def sample(key, epoch, said, value="C", **more):
    choice = {"message": message("assistant", said, "generate"), "stop_reason": "stop"}
    return {
        "id": key,
        "epoch": epoch,
        "input": f"q{key}",
        "target": "4",
        "messages": [message("system", "be brief"), message("user", f"q{key}", "input"), choice["message"]],
        "output": {"model": "m", "choices": [choice]},
        "scores": {"match": {"value": value, "answer": "4"}},
        **more,
    }


def log(path, samples, **more):
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": samples, **more}))
    return path


def test_a_sample_with_its_epochs_is_a_group(tmp_path):
    samples = [sample(n, e, f"s{n}{e}", "CIPN"[(n + e) % 4]) for e in (1, 2, 3) for n in (7, 8)]
    done = collect(log(tmp_path / "log.json", samples, results={"scores": [{"name": "match"}]}))
    assert done.format == "inspect_ai" and len(done.table) == 6 and done.rejected.is_empty()
    groups = done.table.sort("sample").group_by("group_key").agg("completion", "reward", "prompt", "task")
    value = [1.0, 0.0, 0.5, 0.0]
    wanted = [
        (
            str(n),
            [f"<assistant>\ns{n}{e}" for e in (1, 2, 3)],
            [value[(n + e) % 4] for e in (1, 2, 3)],
            [f"<system>\nbe brief\n<user>\nq{n}"] * 3,
            ["t"] * 3,
        )
        for n in (7, 8)
    ]
    assert sorted(groups.rows()) == wanted
    assert any("C = 1, P = 0.5, I = 0 and N = 0" in note for note in done.notes)


def test_turns_of_tools_and_examples_of_the_input_are_out_of_the_loss(tmp_path):
    few = [message("user", "ex"), message("assistant", "EXAMPLE"), message("user", "q")]
    call = message("assistant", "", "generate", tool_calls=[{"function": "add", "arguments": {"y": 2, "x": 1}}])
    turns = [call, message("tool", "TOOL"), message("assistant", "three", "generate")]
    marked = [message(m["role"], m["content"], "input") for m in few]
    samples = [
        sample("a", 1, "three", input=few, messages=[*marked, *turns]),
        sample("a", 2, "three", input=few, messages=[*few, *turns]),  # as old versions write it
    ]
    done = collect(log(tmp_path / "log.json", samples))
    for prompt, completion in done.table.select("prompt", "completion").iter_rows():
        assert prompt == "<user>\nex\n<assistant>\nEXAMPLE\n<user>\nq"
        assert completion == '<assistant>\nadd {"x": 1, "y": 2}\n<tool>\nTOOL\n<assistant>\nthree'
    in_loss = [sum(mask) for mask in done.table["mask"]]
    plain = collect(log(tmp_path / "b.json", [sample("a", e, 'add {"x": 1, "y": 2}three') for e in (1, 2)]))
    assert in_loss == [sum(mask) for mask in plain.table["mask"]]


def test_reasoning_and_attachments(tmp_path):
    parts = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "attachment://f00"}]
    turns = [message("user", "attachment://0"), message("assistant", parts)]
    attached = {"0": "long q", "f00": "long a"}
    samples = [sample("a", e, "", messages=turns, attachments=attached) for e in (1, 2)]
    done = collect(log(tmp_path / "log.json", samples))
    assert set(done.table["completion"]) == {"<assistant>\nhm\nlong a"}
    assert set(done.table["prompt"]) == {"<user>\nlong q"}


def test_a_sample_that_failed_costs_itself(tmp_path):
    failed = sample("a", 3, "") | {"error": {"message": "timeout"}, "output": {"choices": []}}
    unscored, odd = sample("a", 4, "x") | {"scores": {}}, sample("a", 5, "x", "maybe")
    silent = sample("a", 6, "x") | {"messages": [], "output": {"choices": []}}
    good = [sample("a", 1, "x"), sample("a", 2, "y", "I")]
    done = collect(log(tmp_path / "log.json", [*good, failed, unscored, odd, silent, {"id": 1}]))
    assert len(done.table) == 2 and done.counts["rows_read"] == 7
    reasons = done.rejected["reason"].to_list()
    assert reasons[:4] == [
        "the sample ended in an error (timeout)",
        "the sample has no score",
        "expected C, P, I, N or a number, got the text 'maybe'",
        "the sample has no output",
    ]
    assert "not a sample of inspect_ai" in reasons[4]


def test_a_cut_by_length_or_by_a_limit(tmp_path):
    long = sample("a", 1, "x")
    long["output"]["choices"][0]["stop_reason"] = "max_tokens"
    limited = sample("a", 2, "y", limit={"type": "token"})
    done = collect(log(tmp_path / "log.json", [long, limited, sample("a", 3, "z")]))
    assert done.table.sort("sample")["truncated"].to_list() == [True, True, False]


def test_the_reward_of_several_scorers_is_asked_for(tmp_path):
    samples = [
        sample("a", e, f"x{e}") | {"scores": {"f": {"value": e}, "g": {"value": {"u": 2, "v": 0}}}} for e in (1, 2)
    ]
    path = log(tmp_path / "log.json", samples)
    with pytest.raises(UsageError, match=r"reward parts f, g\.u, g\.v and no total"):
        collect(path)
    done = collect(path, ReadOptions(columns={"reward": "reward/f"}))
    assert done.table["reward"].to_list() == [1, 2] and done.table["reward/g.u"].to_list() == [2, 2]


def test_logs_of_a_folder_are_runs_of_their_own(tmp_path):
    (tmp_path / "logs").mkdir()
    for name in ("2026-11-01_t_Ab1", "2026-11-02_t_Cd2"):
        log(tmp_path / "logs" / f"{name}.json", [sample("a", e, f"{name} {e}") for e in (1, 2)])
    done = collect(tmp_path / "logs")
    assert done.table.select("run", "group_key", "completion").rows() == [
        (f"logs/{name}", "a", f"<assistant>\n{name} {e}")
        for name in ("2026-11-01_t_Ab1", "2026-11-02_t_Cd2")
        for e in (1, 2)
    ]


def test_what_inspect_ai_itself_wrote():
    """`inspect_ai.eval`, by `write_inspect_ai_log.py`: its members are packed with zstd."""
    done = collect(Path(__file__).with_name("inspect_ai.eval"))
    table = done.table.sort("group_key", "sample")
    assert table["reward"].to_list() == [1, 0, 0, 0, 1, 1] and table["group_key"].to_list() == [*"aaabbb"]
    assert table["truncated"].to_list() == [False, False, False, True, False, False]
    assert table["prompt"][5] == "<system>\nbe brief\n<user>\nex\n<assistant>\nEXAMPLE\n<user>\nq2"
    assert table["completion"][0] == "<assistant>\nit is 1"
    assert table["completion"][3].endswith('add {"x": 1, "y": 2}\n<tool>\n3\n<assistant>\nit is 2')
