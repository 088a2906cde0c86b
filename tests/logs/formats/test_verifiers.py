"""verifiers 0.1 to 0.3: the example of a row is its own, whatever `id` says."""

import json

import pytest

from grpo_prm.logs import collect
from grpo_prm.logs.grouping.groups import hashed


def row(example, sample, prompt=None, **more):
    call = json.dumps({"id": "c", "function": {"name": "add", "arguments": json.dumps({"a": example})}})
    said = [
        {"role": "assistant", "content": f"I try {example} {sample}", "tool_calls": [call]},
        {"role": "tool", "content": "seen", "tool_call_id": "c"},
        {"role": "assistant", "content": f"so {sample}"},
    ]
    asked = [{"role": "user", "content": prompt or f"question {example}"}]
    return {"prompt": asked, "completion": said, "task": "default", "reward": sample / 4 + example / 64, **more}


def wrong_ids(examples, k, prompt=None, **more):
    """As 0.1.3 to 0.1.5 write them: examples take turns, and `id` is the number of the row through k."""
    rows = [row(e, s, prompt, answer=f"a{e}", **more) for s in range(k) for e in range(examples)]
    return [{"id": number // k, **one} for number, one in enumerate(rows)]


def dump(folder, rows, **metadata):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    if metadata:
        (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


def rewards(log):
    return sorted(sorted(group) for group in log.table.group_by("group").agg("reward")["reward"].to_list())


def truth(examples, k):
    return sorted(sorted(s / 4 + e / 64 for s in range(k)) for e in range(examples))


@pytest.mark.parametrize("metadata", [{}, {"num_examples": 5, "rollouts_per_example": 3}])
@pytest.mark.parametrize("prompt", [None, "one and the same"])
def test_a_wrong_id_is_never_used(tmp_path, metadata, prompt):
    log = collect(dump(tmp_path / "run", wrong_ids(5, 3, prompt), **metadata))
    assert log.format == "verifiers"
    assert rewards(log) == truth(5, 3)
    assert any("0.1.3 to 0.1.5" in note for note in log.notes)
    assert log.table["completion"][0].count("<tool>") == 1
    assert "add {" in log.table["completion"][0]


def test_metadata_tell_examples_apart_that_say_the_same(tmp_path):
    rows = wrong_ids(4, 4, "one and the same")
    for one in rows:
        one["answer"] = "x"
    assert rewards(collect(dump(tmp_path / "a", rows, num_examples=4, rollouts_per_example=4))) == truth(4, 4)


def test_metadata_that_do_not_fit_are_not_used(tmp_path):
    rows = wrong_ids(4, 3)
    for metadata in ({"num_examples": 3, "rollouts_per_example": 4}, {"num_examples": 4, "rollouts_per_example": 2}):
        log = collect(dump(tmp_path / "run", rows, **metadata))
        assert any("one prompt, answer and info" in note for note in log.notes)
        assert rewards(collect(dump(tmp_path / "run", rows, **metadata))) == truth(4, 3)
    (tmp_path / "run" / "metadata.json").write_text("[1")
    assert rewards(collect(tmp_path / "run" / "results.jsonl")) == truth(4, 3)


def test_the_example_id_of_later_versions_counts(tmp_path):
    more = {"is_completed": True, "stop_condition": "done", "metrics": {"turns": 2.0}, "error": None}
    rows = [row(e, s, "same", example_id=e, is_truncated=s == 1, **more) for e in range(3) for s in range(4)]
    rows[5]["error"] = {"error": "ToolError", "error_chain_repr": "late"}
    log = collect(dump(tmp_path / "run", rows))
    assert log.table.group_by("group", maintain_order=True).len()["len"].to_list() == [4, 3, 4]
    assert log.table["problem"].to_list() == ["0"] * 4 + ["1"] * 3 + ["2"] * 4
    assert log.table["truncated"].sum() == 2
    assert log.table["reward/turns"].to_list() == [2.0] * 11
    assert log.rejected["reason"].to_list() == ["the rollout ended with an error (ToolError)"]


def test_an_index_of_samples_is_no_id_of_verifiers(tmp_path):
    rows = [{"id": s, **row(e, s)} for e in range(3) for s in range(4)]
    log = collect(dump(tmp_path / "run", rows))
    assert log.format == "generic"
    assert rewards(log) == truth(3, 4)


def test_prompts_of_a_model_without_chats_are_text(tmp_path):
    rows = [{**one, "prompt": "Once", "completion": f"upon {n}"} for n, one in enumerate(wrong_ids(5, 3))]
    assert rewards(collect(dump(tmp_path / "run", rows))) == truth(5, 3)


def test_a_log_with_an_id_of_its_own_is_not_taken_for_verifiers(tmp_path):
    rows = [{"id": n // 2, "prompt": f"p{n // 2}", "completion": f"c{n}", "reward": n % 2} for n in range(8)]
    log = collect(dump(tmp_path / "run", rows))
    assert log.format == "generic"
    assert hashed("p0") not in log.table["group_key"]


def test_environments_that_count_from_0_are_apart(tmp_path):
    made = [
        {**row(e, s, f"{task} {e}"), "example_id": e, "task": task, "is_completed": True}
        for task in ("a", "b")
        for e in range(2)
        for s in range(3)
    ]
    assert collect(dump(tmp_path, made)).table.group_by("group").len()["len"].to_list() == [3] * 4
