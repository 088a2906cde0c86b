"""rLLM's episodes, invented: turns are put together, whatever a template cuts out of earlier ones."""

import json

import pytest

from grpo_prm.logs import collect


def step(chat, said, **more):
    return {"chat_completions": [*chat, {"role": "assistant", "content": said}], "model_response": said, **more}


def turns(sample, thoughts=""):
    """Two turns; in the second chat the thoughts of the first are gone."""
    asked = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "2 + 3 ?"}]
    first = step(asked, f"{thoughts}I ask {sample}")
    later = [*asked, {"role": "assistant", "content": f"I ask {sample}"}, {"role": "tool", "content": "5"}]
    return [first, step(later, f"so {sample}")]


def episode(task, sample, steps=None, **more):
    trajectory = {"name": "solver", "uid": "u", "reward": sample / 4, "steps": steps or turns(sample)}
    return {
        "episode_id": f"{task}:{sample}",
        "task": {"q": 1},
        "is_correct": True,
        "trajectories": [trajectory],
        **more,
    }


def dump(folder, episodes):
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(episodes):
        (folder / f"episode_hash00aa_id{number}.json").write_text(json.dumps(one, indent=2))
    return folder


def test_steps_of_training_are_groups_of_their_own(tmp_path):
    for n in (1, 2):
        made = [episode(f"{n}t{t}", s, training_step=n, task_hash=f"h{t}") for t in range(2) for s in range(4)]
        folder = dump(tmp_path / "episodes" / f"train_step_{n}_epoch_0", made)
        (folder / "batch_summary.json").write_text(json.dumps({"training_step": n, "num_episodes": 8}))
    log = collect(tmp_path / "episodes")
    assert log.format == "rllm"
    assert log.table.group_by("group").len()["len"].to_list() == [4] * 4
    assert log.table["step"].unique().sort().to_list() == [1, 2]
    assert set(log.table["problem"]) == {"h0", "h1"}
    assert sorted(log.table["reward"].to_list()) == sorted([s / 4 for s in range(4)] * 4)
    assert log.table["completion"][0].endswith("<tool>\n5\n<assistant>\nso 0")


def test_an_evaluation_groups_by_the_task_in_its_id(tmp_path):
    made = []
    for task in ("a:1", "b"):
        for s in range(3):
            one = episode(task, s, eval_idx=0)
            made.append({"id": one.pop("episode_id"), **one})
    log = collect(dump(tmp_path / "run" / "episodes", made))
    assert set(log.table["group_key"]) == {"a:1", "b"}
    assert log.table.group_by("group").len()["len"].to_list() == [3, 3]


def test_thoughts_that_a_later_chat_leaves_out_stay(tmp_path):
    made = [episode("t", s, turns(s, "<think>hm</think>")) for s in range(2)]
    log = collect(dump(tmp_path / "episodes", made))
    assert log.table["completion"][0].startswith("<assistant>\n<think>hm</think>I ask 0")
    assert log.table["completion"][0].count("I ask") == 1


def test_an_answer_may_stand_beside_its_chat(tmp_path):
    wanted = collect(dump(tmp_path / "a", [episode("t", s) for s in range(2)])).table["completion"].to_list()
    made = [episode("t", s) for s in range(2)]
    for one in made:
        for step_ in one["trajectories"][0]["steps"]:
            step_["chat_completions"] = step_["chat_completions"][:-1]
    assert collect(dump(tmp_path / "b", made)).table["completion"].to_list() == wanted


def test_ids_are_put_together_where_each_prompt_holds_the_turn_before(tmp_path):
    made = []
    for s in range(2):
        steps = turns(s)
        steps[0] |= {"prompt_ids": [1, 2], "response_ids": [3, s], "logprobs": [-0.5, -1.0], "advantage": s - 0.5}
        steps[1] |= {"prompt_ids": [1, 2, 3, s, 8], "response_ids": [7], "logprobs": [-2.0], "advantage": [s - 0.5]}
        made.append(episode("t", s, steps))
    table = collect(dump(tmp_path / "episodes", made)).table
    assert table["tokens"].to_list() == [[3, 0, 8, 7], [3, 1, 8, 7]]
    assert table["mask"].to_list() == [[True, True, False, True]] * 2
    assert table["logprobs"].to_list()[0][-1] == -2.0
    assert table["advantage"].to_list() == [-0.5, 0.5]


def test_ids_that_were_made_anew_leave_the_text(tmp_path):
    made = []
    for s in range(2):
        steps = turns(s)
        steps[0] |= {"prompt_ids": [1, 2], "response_ids": [3, s]}
        steps[1] |= {"prompt_ids": [1, 2, 4, s, 8], "response_ids": [7]}  # not the id that was sampled
        made.append(episode("t", s, steps))
    log = collect(dump(tmp_path / "episodes", made))
    assert log.table["completion"][1].endswith("so 1")
    assert set(log.table["tokens_from"]) != {"log"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda e: e.update(termination_reason="error"), "termination_reason"),
        (lambda e: e.update(trajectories=[]), "trajectories"),
        (lambda e: e["trajectories"][0].update(steps=[]), "steps"),
        (lambda e: e["trajectories"][0]["steps"][1]["chat_completions"][1].update(content="other"), "steps"),
        (lambda e: e["trajectories"][0]["steps"][1].update(chat_completions=[]), "steps"),
        (lambda e: e["trajectories"][0].update(reward=None), "reward"),
        (lambda e: e.pop("trajectories"), ""),
    ],
)
def test_a_bad_episode_costs_itself_alone(tmp_path, change, field):
    made = [episode("t", s) for s in range(4)]
    made = json.loads(json.dumps(made))  # no message is shared
    change(made[2])
    log = collect(dump(tmp_path / "episodes", made))
    assert len(log.table) == 3
    assert log.rejected["field"].to_list() == [field]


def test_agents_of_an_episode_are_groups_of_their_own(tmp_path):
    made = [episode("t", s) for s in range(3)]
    for s, one in enumerate(made):
        one["trajectories"].append({"name": "judge", "uid": "v", "reward": 1.0 - s / 4, "steps": turns(s)})
    log = collect(dump(tmp_path / "episodes", made))
    assert set(log.table["group_key"]) == {"t:solver", "t:judge"}
    assert log.table.group_by("group").len()["len"].to_list() == [3, 3]


def test_a_column_that_the_first_episode_lacks_is_read(tmp_path):
    made = [episode("a", s, turns(s) if s else [turns(s)[0]], training_step=1) for s in range(4)]
    for s, one in enumerate(made[1:], 1):
        for turn in one["trajectories"][0]["steps"]:
            turn["advantage"] = s / 8
    made[0] |= {"trajectories": [], "termination_reason": "env_timeout"}
    log = collect(dump(tmp_path, made))
    assert log.format == "rllm" and sorted(log.table["advantage"]) == [1 / 8, 2 / 8, 3 / 8]
