"""Results of code that was tested: EvalPlus, HumanEval, CRUXEval."""

import json

import pytest

from grpo_prm.logs import collect


def written(path, value):
    path.write_text(json.dumps(value))
    return path


def solution(task, text, base="pass", plus=None):
    return {"task_id": task, "solution": text, "base_status": base, "plus_status": plus, "base_fail_tests": []}


def test_evalplus_solutions_stand_under_their_tasks(tmp_path):
    found = {
        task: [solution(task, f"{task} {base}", base, "fail") for base in ("pass", "fail", "timeout")]
        for task in ("HumanEval/0", "HumanEval/1")
    }
    done = collect(written(tmp_path / "s_eval_results.json", {"date": "d", "eval": found, "pass_at_k": {}}))
    assert done.format == "evalplus" and done.table["group_key"].to_list() == [t for t in found for _ in range(3)]
    assert done.table["completion"].to_list() == [s["solution"] for of_task in found.values() for s in of_task]
    assert done.table["reward"].to_list() == [1, 0, 0] * 2 and done.table["reward/plus"].to_list() == [0] * 6
    assert done.table["prompt"].null_count() == 6
    assert any("The reward is base_status" in note for note in done.notes)


def test_evalplus_without_the_second_tests_and_with_odd_rows(tmp_path):
    found = {"a": [solution("a", "x"), solution("a", "y", "fail"), solution("a", "z", None), {"base_status": "pass"}]}
    done = collect(written(tmp_path / "s_eval_results.json", {"eval": found}))
    assert done.table["reward"].to_list() == [1, 0] and "reward/plus" not in done.table.columns
    reasons = ["expected pass or fail, got null", "a: no solution with its base_status"]
    assert done.rejected["reason"].to_list() == reasons
    assert all(raw.startswith('{"eval": {"a": [{"task_id"') and len(raw) == 200 for raw in done.rejected["raw"])


@pytest.mark.parametrize("text", ["completion", "solution"])
def test_human_eval_rows(tmp_path, text):
    rows = [
        {
            "task_id": f"HumanEval/{n}",
            "completion": f"c{n}{k}",
            "result": "passed" if k else "failed: x",
            "passed": bool(k),
        }
        for k in (0, 1)
        for n in (0, 1)
    ]
    path = tmp_path / "samples.jsonl_results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = collect(path)
    assert done.format == "human_eval" and done.table["completion"].to_list() == ["c00", "c01", "c10", "c11"]
    assert done.table["reward"].to_list() == [0, 1, 0, 1]


def test_cruxeval_dictionaries(tmp_path):
    texts = {f"sample_{n}": [f"g{n}{k}" for k in range(3)] for n in range(2)}
    scores = {"sample_0": [True, False, True], "sample_1": [False, True]}
    value = {"raw_generations": texts, "raw_scored_generations": scores, "pass_at_1": 1}
    done = collect(written(tmp_path / "a.json", value))
    assert done.format == "cruxeval" and done.table["completion"].to_list() == texts["sample_0"]
    assert done.table["reward"].to_list() == [1, 0, 1]
    assert done.rejected["reason"].to_list() == ["sample_1: not one score for each generation"]


@pytest.mark.parametrize("other", [{"eval": {"a": [{"base": 1}]}}, {"eval": {}}, {"raw_generations": {}}])
def test_what_is_none_of_them(tmp_path, other):
    with pytest.raises(Exception, match=r"other\.json"):
        collect(written(tmp_path / "other.json", other))
