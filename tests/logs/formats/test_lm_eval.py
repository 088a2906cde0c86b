"""lm-evaluation-harness: repeats, filters, metrics that give no reward for each text."""

import json

import pytest

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import ReadOptions, collect

NAME = "samples_gsm8k_2026-01-01T00-00-00.123.jsonl"


def document(number, texts, filter_="take_all", **metrics):
    return {
        "doc_id": number,
        "doc": {"question": f"q{number}"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": f"Q: q{number}", "arg_1": {"until": ["\n"]}}},
        "resps": [texts],
        "filtered_resps": [texts],
        "filter": filter_,
        "metrics": list(metrics),
        **metrics,
    }


def written(folder, rows, name=NAME):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_repeats_of_a_document_are_a_group(tmp_path):
    rows = [document(n, [f"t{n}{k}" for k in range(3)], exact_match=[n, 0.5, 0]) for n in (0, 1)]
    folder = written(tmp_path / "model", rows)
    (folder / "results_2026-01-01T00-00-00.123.json").write_text('{"results": {"gsm8k": {"exact_match": 0.5}}}')
    done = collect(folder)
    assert done.format == "lm_eval" and done.table["group_key"].unique().sort().to_list() == ["gsm8k/0", "gsm8k/1"]
    assert done.table["completion"].to_list() == [f"t{n}{k}" for n in (0, 1) for k in range(3)]
    assert done.table["reward"].to_list() == [0, 0.5, 0, 1, 0.5, 0]
    assert set(done.table["task"]) == {"gsm8k"} and done.table["prompt"][0] == "Q: q0"


def test_one_filter_is_read_and_documents_of_two_tasks_are_apart(tmp_path):
    texts = ["a", "b"]
    gsm8k = [document(n, texts, f, exact_match=[n, f == "flexible"]) for f in ("strict", "flexible") for n in (0, 1)]
    mmlu = [document(0, texts, "none", acc=[1, 1])]
    done = collect(written(written(tmp_path / "m", gsm8k), mmlu, NAME.replace("gsm8k", "mmlu")))
    rewards = done.table.group_by("group_key").agg("reward").sort("group_key")
    assert rewards.rows() == [("gsm8k/0", [0, 0]), ("gsm8k/1", [1, 0]), ("mmlu/0", [1, 1])]
    assert any("the first filter of each file" in note for note in done.notes)


def test_one_number_for_all_texts_is_no_reward_for_each(tmp_path):
    folder = written(tmp_path / "m", [document(n, ["a", "b"], exact_match=1.0) for n in (0, 1)])
    with pytest.raises(InputError, match="exact_match is one number for 2 texts, so none has a reward of its own"):
        collect(folder)
    rows = [document(0, ["a"], exact_match=1.0), document(1, ["a", "b"], exact_match=[1, 0])]
    assert collect(written(tmp_path / "one", rows)).table["reward"].to_list() == [1, 1, 0]


def test_rows_of_old_versions_do_not_name_their_metrics(tmp_path):
    rows = [document(n, ["a", "b"], exact_match=[1, 0]) for n in (0, 1)]
    for row in rows:
        del row["metrics"], row["filter"]
        row["arguments"] = [["Q", {"until": []}]]
    done = collect(written(tmp_path / "m", rows))
    assert done.table["reward"].to_list() == [1, 0, 1, 0] and set(done.table["prompt"]) == {"Q"}


def test_log_likelihoods_are_no_completions(tmp_path):
    row = document(0, [], acc=1.0) | {"resps": [[["-1.5", "False"]], [["-2.5", "False"]]]}
    with pytest.raises(InputError, match="log-likelihoods of given answers"):
        collect(written(tmp_path / "m", [row]))


def test_the_reward_of_several_metrics_is_asked_for(tmp_path):
    folder = written(tmp_path / "m", [document(n, ["a", "b"], bleu=[1, 2], rouge=[n, 4]) for n in (0, 1)])
    with pytest.raises(UsageError, match=r"reward parts bleu, rouge and no total"):
        collect(folder)
    done = collect(folder, ReadOptions(columns={"reward": "reward/rouge"}))
    assert done.table["reward"].to_list() == [0, 4, 1, 4] and done.table["reward/bleu"].to_list() == [1, 2, 1, 2]
