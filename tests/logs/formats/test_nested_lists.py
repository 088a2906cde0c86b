"""Lists within lists, dictionaries of lists, reasoning-gym: groups as they were nested, by brute force."""

import json
from itertools import product

import pytest

from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import ReadOptions, collect

K = 3


def read(path, value):
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text)
    return collect(path)


def rollout(*name, **more):
    return {"completion": "it is " + " ".join(map(str, name)), "reward": len(name[-1:]) / 2, **more}


def groups(done):
    """Completions of each group, in order."""
    return sorted(done.table.group_by("group", maintain_order=True).agg("completion")["completion"].to_list())


def said(*names):
    return [rollout(*name)["completion"] for name in names]


def test_an_array_of_groups(tmp_path):
    """Two groups of one prompt are two groups: they stand in lists of their own."""
    value = [[rollout(n, k, prompt="p" * (n // 2)) for k in range(K)] for n in range(4)]
    done = read(tmp_path / "a.json", value)
    assert done.format == "nested_lists" and groups(done) == [said(*((n, k) for k in range(K))) for n in range(4)]
    lines = read(tmp_path / "a.jsonl", "".join(json.dumps(group) + "\n" for group in value))
    assert groups(lines) == groups(done)


def test_columns_of_an_array_of_groups_can_be_named(tmp_path):
    value = [[{"answer_text": f"{n} {k}", "points": k, "a": None} for k in range(K)] for n in range(2)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    with pytest.raises(GrpoPrmError, match="answer_text"):
        collect(path)
    done = collect(path, ReadOptions(columns={"completion": "answer_text", "reward": "points"}))
    assert groups(done) == [[f"{n} {k}" for k in range(K)] for n in range(2)]


@pytest.mark.parametrize("own", [{}, {"prompt": "same"}])
def test_completions_within_their_problems(tmp_path, own):
    value = [{"question": f"q{n}", "samples": [rollout(n, k, **own) for k in range(K)]} for n in range(3)]
    wanted = [said(*((n, k) for k in range(K))) for n in range(3)]
    for name, text in (("a.json", value), ("a.jsonl", "".join(json.dumps(one) + "\n" for one in value))):
        done = read(tmp_path / name, text)
        assert groups(done) == wanted
        assert done.table["prompt"].to_list() == [own.get("prompt", f"q{n}") for n in range(3) for _ in range(K)]
    done = read(tmp_path / "b.json", {"model": "m", "results": value})
    assert groups(done) == wanted


def test_what_outer_objects_say_is_inherited(tmp_path):
    def problem(s, n):
        return {"prompt": f"p{n}", "rollouts": [rollout(s, n, k) for k in range(K)]}

    value = {"steps": [{"step": s, "problems": [problem(s, n) for n in range(2)]} for s in (4, 5)]}
    done = read(tmp_path / "a.json", value)
    assert groups(done) == [said(*((s, n, k) for k in range(K))) for s, n in product((4, 5), range(2))]
    assert done.table.select("step", "prompt").unique(maintain_order=True).rows() == [
        (s, f"p{n}") for s in (4, 5) for n in range(2)
    ]


def test_rows_of_one_list_that_name_their_group_are_apart(tmp_path):
    batch = [[rollout(s, n, k, task_id=n, prompt=f"p{n}") for k in range(K) for n in range(2)] for s in range(2)]
    done = read(tmp_path / "a.json", [{"step": s, "rollouts": rows} for s, rows in enumerate(batch)])
    assert groups(done) == sorted(said(*((s, n, k) for k in range(K))) for s, n in product(range(2), range(2)))


def test_lists_of_trials_hold_one_row_of_each_group(tmp_path):
    trials = [{"trial": k, "results": [rollout(n, k, task_id=n) for n in range(2)]} for k in range(K)]
    assert groups(read(tmp_path / "a.json", trials)) == [said(*((n, k) for k in range(K))) for n in range(2)]
    trials = [[rollout(n, k, prompt=f"p{n}") for n in range(2)] for k in range(K)]
    assert groups(read(tmp_path / "b.json", trials)) == [said(*((n, k) for k in range(K))) for n in range(2)]


def test_completions_in_two_places_are_refused_by_their_names(tmp_path):
    lists = [[rollout(n, k) for k in range(K)] for n in range(2)]
    value = [{"first": one, "second": one} for one in lists]
    with pytest.raises(GrpoPrmError, match=r"completions stand in 2 places \(first\[\], second\[\]\)"):
        read(tmp_path / "a.json", value)


def test_what_is_not_nested(tmp_path):
    """A flat log stays one, chats and steps of reasoning within a row are no lists of rollouts."""
    chat = [{"role": "user", "content": "q"}]
    rows = [rollout(n, k, prompt=chat, group=n, steps=[{"text": "s", "score": 1}]) for n in range(2) for k in range(K)]
    assert read(tmp_path / "a.json", rows).format == "generic"
    assert groups(read(tmp_path / "b.json", {"samples": rows})) == [said(*((n, k) for k in range(K))) for n in range(2)]


def test_one_list_without_keys_is_no_group(tmp_path):
    with pytest.raises(GrpoPrmError):
        read(tmp_path / "a.json", {"samples": [rollout(k) for k in range(K)]})


@pytest.mark.parametrize("plural", ["", "s"])
@pytest.mark.parametrize("pandas", [False, True])
def test_a_dictionary_of_lists(tmp_path, pandas, plural):
    names = list(product(range(2), range(K)))
    value = {
        f"prompt{plural}": [f"p{n}" for n, _ in names],
        f"completion{plural}": said(*names),
        f"reward{plural}": [k / 2 for _, k in names],
        "meta": {"m": 1} if not pandas else {},
    }
    if pandas:
        value = {name: dict(enumerate(v)) for name, v in value.items() if v}
    done = read(tmp_path / "a.json", value)
    assert done.format == "dict_of_lists" and groups(done) == [said(*((n, k) for k in range(K))) for n in range(2)]
    assert done.table["reward"].to_list() == [k / 2 for _, k in names]
    assert done.table["prompt"].to_list() == [f"p{n}" for n, _ in names]
    value[f"reward{plural}"] = list(range(5))
    with pytest.raises(GrpoPrmError, match=f"reward{plural}: 5 values for 6 completions"):
        read(tmp_path / "b.json", value)


def test_reasoning_gym_results(tmp_path):
    def results(task):
        return [
            {
                "question": f"{task}{n}",
                "best_score": 1.0,
                "completions": [
                    {"model_answer": "x", "full_model_response": f"{task} {n} {k}", "score": k / 2} for k in range(K)
                ],
            }
            for n in range(2)
        ]

    data_sets = [{"name": task, "category": "c", "results": results(task)} for task in "ab"]
    data_sets[1]["results"][1]["completions"][2] |= {"full_model_response": None, "error": "timeout"}
    done = read(tmp_path / "a.json", {"metadata": {"model": "m"}, "categories": [{"name": "c", "datasets": data_sets}]})
    assert done.format == "reasoning_gym"
    wanted = [[f"{task} {n} {k}" for k in range(K)] for task, n in product("ab", range(2))]
    wanted[-1].pop()
    assert groups(done) == wanted and done.table["prompt"][0] == "a0" and set(done.table["task"]) == {"a", "b"}
    assert done.rejected["reason"].to_list() == ["no response (timeout)"]
    assert len(read(tmp_path / "b.json", data_sets[0]).table) == 6


def test_an_object_of_lists(tmp_path):
    """Its keys are groups, each of its own prompt, or steps; of anything else it is refused."""
    by_group = {f"q{n}": [rollout(n, k, prompt=f"p{n}") for k in range(K)] for n in range(2)}
    assert groups(read(tmp_path / "a.json", by_group)) == [said(*((n, k) for k in range(K))) for n in range(2)]
    by_step = {f"step_{s}": [rollout(s, n, k, prompt=f"p{n}") for n in range(2) for k in range(K)] for s in (3, 4)}
    done = read(tmp_path / "b.json", by_step)
    assert groups(done) == sorted(said(*((s, n, k) for k in range(K))) for s in (3, 4) for n in range(2))
    assert done.table["step"].to_list() == [3] * 2 * K + [4] * 2 * K
    for names in (("train", "test"), ("chosen", "rejected")):
        lists = [[rollout(name, n, k, prompt=f"p{n}") for n in range(2) for k in range(K)] for name in names]
        lists = [one[:K] for one in lists] if names[0] == "chosen" else lists
        with pytest.raises(GrpoPrmError):
            read(tmp_path / "c.json", dict(zip(names, lists, strict=True)))


def test_a_step_beside_the_rows_is_theirs(tmp_path):
    rows = [rollout(n, k, prompt=f"p{n}") for n in range(2) for k in range(K)]
    beside = {"global_step": 7, "config": [{"lr": 1}], "rollouts": rows}
    lists = {"global_step": 7} | {name + "s": [row[name] for row in rows] for name in rows[0]}
    for value, known in ((beside, "inner_array"), (lists, "dict_of_lists")):
        done = read(tmp_path / "a.json", value)
        assert done.format == known and set(done.table["step"]) == {7}
