"""Logs that are not understood: each hint is true or absent; and what columns are called."""

import re

import pytest
from logs.log_files import groups, read_log

from grpo_prm.errors import GrpoPrmError, UsageError

PROBLEMS = ["How many legs has a spider?", "What is seven times six?", "Which city is the capital of Peru?", "Why?"]
GOLD = ["8", "42", "Lima", "because"]
K = 4


def samples(**columns):
    """Four samples of four problems; a column is a function of problem, sample and row."""
    return [
        {name: value(p, k, p * K + k) if callable(value) else value for name, value in columns.items()}
        for p in range(len(PROBLEMS))
        for k in range(K)
    ]


def said(p, k, _):
    return f"Let me think about it, number {k}: I would say {GOLD[p] if k % 2 else 'nothing'}"


def right(_, k, __):
    return k % 2


def question(p, *_):
    return PROBLEMS[p]


def gold(p, *_):
    return GOLD[p]


def hint(tmp_path, rows, **options):
    """What the message that refuses a log suggests: canonical column to column of the log."""
    with pytest.raises(GrpoPrmError) as caught:
        read_log(tmp_path, rows, **options)
    text = str(caught.value)
    if "Perhaps it is" not in text:
        return {}
    pairs = (part.split("=") for part in re.search(r"--columns (\S+?)[;.,]?( |$)", text)[1].rstrip(";.,").split(","))
    return {ours: path for ours, path in pairs if path != "NAME"}


# Columns of a log -> what a hint may say of it. What is not here must not be said.
TRUE = {
    "all three": (
        {"frage": question, "beitrag": said, "is_right": right},
        {"completion": "beitrag", "reward": "is_right", "group": "frage"},
    ),
    "a key by its name": (
        {"item": lambda p, *_: p, "said": said, "won": right},
        {"completion": "said", "reward": "won", "group": "item"},
    ),
    "a gold answer stands beside": (
        {"prompt": question, "answer": gold, "said": said, "is_right": right},
        {"completion": "said", "reward": "is_right"},
    ),
    "answer is the completion where it differs": (
        {"prompt": question, "gold": gold, "answer": said, "isRight": right},
        {"completion": "answer", "reward": "isRight"},
    ),
    "the answer taken out of the text": (
        {"prompt": question, "answer": said, "final": lambda p, k, i: said(p, k, i).split()[-1], "reward": right},
        {"completion": "answer"},
    ),
    "a text behind its prompt": (
        {"prompt": question, "story": lambda p, k, i: f"{PROBLEMS[p]}\n{said(p, k, i)}", "said": said, "reward": right},
        {"completion": "said"},
    ),
    "a chat with the answer": (
        {
            "prompt": question,
            "talk": lambda p, k, i: [
                {"role": "user", "content": PROBLEMS[p]},
                {"role": "assistant", "content": said(p, k, i)},
            ],
            "reward": right,
        },
        {"completion": "talk"},
    ),
    "verdicts in words": (
        {"prompt": question, "completion": said, "is_solved": lambda _, k, __: "pass" if k % 2 else "fail"},
        {"reward": "is_solved"},
    ),
    "the whole reward among parts": (
        {
            "prompt": question,
            "completion": said,
            "sum_of_scores_total": right,
            "format_score": right,
            "style_score": right,
        },
        {"reward": "sum_of_scores_total"},
    ),
}


@pytest.mark.parametrize("case", TRUE)
def test_a_hint_that_is_made_is_right(tmp_path, case):
    columns, expected = TRUE[case]
    rows = samples(**columns)
    assert hint(tmp_path, rows) == expected
    if "verdicts" not in case:
        mapping = {**expected, **({"completion": "completion"} if "completion" in columns else {})}
        assert len(groups(read_log(tmp_path, rows, columns=mapping))) == len(PROBLEMS)


def constant(*_):
    return "The same words stand in each row"


# Logs in which a column is missing and none can be meant: whatever a hint says of that column is wrong.
UNKNOWN = {
    # no completions: prompts, gold answers, versions, constants, ids, paths, judges
    "only prompts": {"prompt": question, "reward": right},
    "another name for the prompt": {"frage": question, "group": lambda p, *_: p, "reward": right},
    "gold answers": {"prompt": question, "answer": gold, "reward": right},
    "long gold answers": {
        "prompt": question,
        "loesung": lambda p, *_: f"It is well known that {GOLD[p]}",
        "reward": right,
    },
    "a constant": {"prompt": question, "einstellung": constant, "reward": right},
    "a version": {"prompt": question, "bau": lambda *_: "0.14.2", "reward": right},
    "versions that differ": {"prompt": question, "bau": lambda _, __, i: f"0.{i}.2", "reward": right},
    "a system prompt": {"prompt": question, "system": constant, "reward": right},
    "uuids": {"prompt": question, "zeichen": lambda _, __, i: f"{i:08x}-ab12-cd34-ef56-{i:012x}", "reward": right},
    "hashes": {"prompt": question, "zeichen": lambda _, __, i: f"{i * 7919:040x}", "reward": right},
    "paths": {"prompt": question, "ort": lambda _, __, i: f"/data/out/{i}.txt", "reward": right},
    "urls": {"prompt": question, "ort": lambda _, __, i: f"https://x.org/{i}", "reward": right},
    "times": {"prompt": question, "wann": lambda _, __, i: f"2026-01-{i + 10} 10:00:{i + 10}", "reward": right},
    "file names": {"prompt": question, "ablage": lambda _, __, i: f"sample{i}.txt", "reward": right},
    "names of hosts": {"prompt": question, "hostname": lambda _, __, i: f"the machine called gpu {i}", "reward": right},
    "a judge": {"prompt": question, "judge_comment": said, "reward": right},
    "feedback": {"prompt": question, "feedback": said, "reward": right},
    "errors": {"prompt": question, "error": said, "reward": right},
    "what tools said": {"prompt": question, "tool_output": said, "reward": right},
    "extracted answers": {"prompt": question, "extracted_answer": lambda _, k, __: f"{k} of 4", "reward": right},
    "stop reasons": {"prompt": question, "why": lambda _, k, __: ["eos", "length"][k % 2], "reward": right},
    "words of the prompt": {"prompt": question, "stelle": lambda p, k, _: PROBLEMS[p][k:], "reward": right},
    "prompts beside a number of the sample": {
        "idx": lambda _, k, __: k,
        "content": lambda p, *_: f"{p} and {p}",
        "reward": right,
    },
    "paths under the name of an answer": {
        "prompt": question,
        "reply": lambda _, __, i: f"/data/{i}.txt",
        "reward": right,
    },
    "two texts that may be meant": {
        "prompt": question,
        "eins": said,
        "zwei": lambda p, k, i: said(p, k, i)[::-1],
        "reward": right,
    },
    "a chat of the user alone": {
        "prompt": question,
        "rede": lambda _, k, __: [{"role": "user", "content": f"well {k}"}],
        "reward": right,
    },
    "choices": {"prompt": question, "choices": lambda *_: ["Lima", "Cusco"], "reward": right},
    "choices by another name": {"prompt": question, "wahl": lambda *_: ["Lima", "Cusco"], "reward": right},
    "one row a prompt": {
        "frage": lambda _, __, i: f"{PROBLEMS[0]} {i}",
        "satz": lambda _, __, i: f"a b {i}",
        "reward": right,
    },
    # no reward: what counts, measures or is constant is none
    "step numbers": {"prompt": question, "completion": said, "schritt": lambda _, __, i: i},
    "lengths": {
        "prompt": question,
        "completion": said,
        "score_length": lambda _, k, __: k,
        "length": lambda _, k, __: k,
    },
    "seeds": {"prompt": question, "completion": said, "seed": lambda _, k, __: k},
    "versions as numbers": {"prompt": question, "completion": said, "version": lambda _, k, __: k * 0.1},
    "times as numbers": {"prompt": question, "completion": said, "success_time": lambda _, k, __: k * 0.1},
    "counts": {"prompt": question, "completion": said, "num_correct": lambda _, k, __: k},
    "a rate of the group": {"prompt": question, "completion": said, "accuracy": lambda p, *_: p / 4},
    "a pass rate": {"prompt": question, "completion": said, "pass_rate": lambda _, k, __: k / 4},
    "a difficulty": {"prompt": question, "completion": said, "difficulty_score": lambda p, *_: p / 4},
    "a constant reward": {"prompt": question, "completion": said, "won": lambda *_: 1},
    "two verdicts": {"prompt": question, "completion": said, "won": right, "solved": lambda _, k, __: k // 2},
    "a format reward": {"prompt": question, "completion": said, "format_reward": right},
    "exit codes": {"prompt": question, "completion": said, "return_code": right},
    "a gold letter": {"prompt": question, "completion": said, "right": lambda p, *_: "ABCD"[p]},
    # no groups
    "seeds for groups": {"text": said, "reward": right, "seed": lambda p, *_: p},
    "samples for groups": {"text": said, "reward": right, "trial": lambda _, k, __: k},
    "levels for groups": {"text": said, "reward": right, "level": lambda p, *_: p},
    "hosts for groups": {"text": said, "reward": right, "node": lambda p, *_: f"n{p}"},
    "models for groups": {"text": said, "reward": right, "model": lambda p, *_: f"m{p}"},
    "a key that is crossed": {"text": said, "reward": right, "q": lambda p, *_: p, "nr": lambda _, k, __: k},
    "uneven labels": {"text": said, "reward": right, "case": lambda _, __, i: i // 5 * (i // 5 % 2)},
    "a row each": {"text": said, "reward": right, "item": lambda _, __, i: i},
    "one for all": {"text": said, "reward": right, "item": lambda *_: 1},
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_no_hint_is_made_that_is_wrong(tmp_path, case):
    assert hint(tmp_path, samples(**UNKNOWN[case])) == {}


def test_swapped_columns_are_told_apart_whatever_they_are_called(tmp_path):
    rows = samples(eins=question, zwei=said, drei=gold, reward=right)
    assert hint(tmp_path, rows) == {"completion": "zwei", "group": "eins"}
    rows = samples(zwei=question, eins=said, drei=gold, reward=right)
    assert hint(tmp_path, rows) == {"completion": "eins", "group": "zwei"}


def test_gold_answers_that_several_problems_share_are_no_completions(tmp_path):
    golds = "abbcccdddd"
    rows = [
        {"prompt": f"what is {p}?", "idx": k, "content": f"it is {gold_}", "reward": k % 2}
        for p, gold_ in enumerate(golds)
        for k in range(K)
    ]
    assert hint(tmp_path, rows) == {}


def test_lists_of_a_group_need_a_number_for_each_text(tmp_path):
    one = {"prompt": "p", "ys": ["it is 2", "3"], "ok": 1}
    assert hint(tmp_path, [one]) == {}
    assert hint(tmp_path, [{**one, "infos": [{"r": 1}, {"r": 0}]}]) == {"completion": "ys", "reward": "infos.r"}
    assert hint(tmp_path, [{**one, "ys": ["a", "a"], "infos": [{"r": 1}, {"r": 0}]}]).get("completion") is None


# Names that a log may have, beside columns that are something else and must not be taken.
AS_COMPLETION = [
    *("completion_text", "response_text", "generated_text", "model_output", "model_response", "llm_output"),
    *("rollout_text", "output_response", "generated_response", "output_text"),
]


@pytest.mark.parametrize("name", AS_COMPLETION)
def test_names_of_completions(tmp_path, name):
    beside = {"answer": gold, "solution": gold, "target": gold, "version": "1", "model": "m", "text": "always the same"}
    rows = samples(prompt=question, **beside, **{name: said}, reward=right)
    got = read_log(tmp_path, rows).table
    assert got["completion"].to_list() == [row[name] for row in rows]


@pytest.mark.parametrize("name", ["answer", "solution", "target", "ground_truth", "reference", "version", "feedback"])
def test_names_that_are_not_those_of_completions(tmp_path, name):
    assert hint(tmp_path, samples(prompt=question, reward=right, **{name: gold})) == {}


@pytest.mark.parametrize("name", ["model_output", "generated_text", "output", "text"])
@pytest.mark.parametrize("of_gold", ["completion", "response", "output_text"])
def test_a_gold_answer_that_is_called_like_a_completion_is_not_taken_for_one(tmp_path, name, of_gold):
    rows = samples(**{"prompt": question, of_gold: gold, name: said, "reward": right})
    assert read_log(tmp_path, rows).table["completion"].to_list() == [row[name] for row in rows]


def test_of_two_texts_that_differ_the_first_name_wins(tmp_path):
    rows = samples(prompt=question, text=lambda *of: said(*of)[::-1], completion=said, reward=right)
    assert read_log(tmp_path, rows).table["completion"].to_list() == [row["completion"] for row in rows]


AS_REWARD = [
    *("scalar_reward", "reward_total", "total_reward", "final_reward", "episode_reward", "episode_return"),
    *("reward_score", "is_correct", "correct", "exact_match", "passed", "acc"),
]


@pytest.mark.parametrize("name", AS_REWARD)
def test_names_of_rewards(tmp_path, name):
    beside = {"accuracy": 0.5, "step_count": 3, "reward_std": 0.1, "version": 2, "format_reward": 1}
    rows = samples(prompt=question, completion=said, **beside, **{name: right})
    assert read_log(tmp_path, rows).table["reward"].to_list() == [row[name] for row in rows]


@pytest.mark.parametrize("name", ["reward_total", "total_reward", "scalar_reward", "episode_return"])
def test_the_whole_reward_comes_before_what_may_be_a_part(tmp_path, name):
    rows = samples(prompt=question, completion=said, score=0.25, is_correct=right, **{name: lambda _, k, __: k})
    assert read_log(tmp_path, rows).table["reward"].to_list() == [row[name] for row in rows]


@pytest.mark.parametrize("name", ["prompt_text", "input_prompt", "question_text", "problem_text", "input_text"])
def test_names_of_prompts(tmp_path, name):
    got = read_log(tmp_path, samples(**{name: question}, system=constant, completion=said, reward=right))
    assert got.table["prompt"].to_list() == [q for q in PROBLEMS for _ in range(K)] and len(groups(got)) == 4


@pytest.mark.parametrize("name", ["question_id", "query_id", "instance_id", "doc_id", "prompt_index", "group_idx"])
def test_names_of_keys(tmp_path, name):
    rows = samples(**{name: lambda p, *_: p}, seed=lambda _, k, __: k, completion=said, reward=right)
    assert len(groups(read_log(tmp_path, rows))) == 4


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("infos.rr", "no column infos.rr; under infos there are infos.r, infos.more. Did you mean infos.r?"),
        (
            "infos.more.okk",
            "no column infos.more.okk; under infos.more there are infos.more.ok. Did you mean infos.more.ok?",
        ),
        ("infos.zzzzzzzz", "no column infos.zzzzzzzz; under infos there are infos.r, infos.more. Name one of them."),
        (
            "nowhere.at.all",
            "no column nowhere.at.all; there are prompt, completion, infos, infos.r, infos.more. Name one of",
        ),
        (
            "completion.x",
            "no column completion.x; there are prompt, completion, infos, infos.r, infos.more. Did you mean comp",
        ),
    ],
)
def test_a_path_that_leads_nowhere_names_what_is_there_at_its_level(tmp_path, path, words):
    rows = samples(prompt=question, completion=said, infos=lambda _, k, __: {"r": k, "more": {"ok": 1}})
    with pytest.raises(UsageError) as caught:
        read_log(tmp_path, rows, columns={"reward": path})
    assert f"--columns reward={path}: there is {words}" in str(caught.value)
