"""tau2-bench and tau-bench: whose turns are in the loss, and trials without a reward."""

import json

from grpo_prm.logs import collect

GREETING = {"role": "assistant", "content": "Hi!"}


def simulation(task, trial, *turns, reward=1.0, **more):
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"task_id": task, "trial": trial, "reward_info": {"reward": reward}, "messages": messages, **more}


def read(path, value):
    path.write_text(json.dumps(value))
    return collect(path)


def test_the_trials_of_a_task_are_a_group(tmp_path):
    simulations = [
        simulation(f"t{n}", k, ("assistant", "Hi!"), ("user", f"want {n}"), ("assistant", f"a{n}{k}"), reward=n * k)
        for k in (0, 1)  # trial by trial, as the benchmark runs them
        for n in (0, 1)
    ]
    done = read(tmp_path / "results.json", {"info": {}, "tasks": [{"id": "t0"}], "simulations": simulations})
    assert done.format == "tau2" and done.table["group_key"].to_list() == ["t0", "t0", "t1", "t1"]
    assert done.table["reward"].to_list() == [0, 0, 0, 1]
    assert done.table["completion"][3] == "<assistant>\nHi!\n<user>\nwant 1\n<assistant>\na11"
    assert done.table["prompt"].to_list() == [""] * 4


def test_only_the_agent_is_in_the_loss(tmp_path):
    nested = {"role": "tool", "tool_messages": [{"role": "tool", "content": "T1"}, {"role": "tool", "content": "T2"}]}
    turns = simulation("a", 0, ("assistant", "one two"), ("user", "three"), ("assistant", "four"))
    turns["messages"].insert(2, nested)
    done = read(tmp_path / "results.json", {"simulations": [turns, {**turns, "trial": 1}]})
    said = "<assistant>\none two\n<user>\nthree\n<tool>\nT1\n<tool>\nT2\n<assistant>\nfour"
    assert done.table["completion"][0] == said
    assert [sum(mask) for mask in done.table["mask"]] == [3, 3]  # one, two, four


def test_trials_without_a_reward_or_an_agent_cost_themselves(tmp_path):
    good = [simulation("a", k, ("assistant", f"x{k}")) for k in (0, 1)]
    lost = simulation("a", 2, ("assistant", "x"), termination_reason="infrastructure_error") | {"reward_info": None}
    mute = simulation("a", 3, ("user", "hello?"))
    cut = simulation("a", 4, ("assistant", "x"), termination_reason="max_steps")
    done = read(tmp_path / "results.json", {"simulations": [*good, lost, mute, cut, {"task_id": 1}]})
    assert done.table["truncated"].to_list() == [False, False, True] and done.counts["rows_read"] == 6
    assert done.rejected["reason"].to_list()[:2] == [
        "null (the simulation ended by infrastructure_error)",
        "no message of the agent",
    ]


def test_trajectories_of_tau_bench(tmp_path):
    """The system message is the prompt; the first message of the user is another one in each trial."""
    rows = [
        {
            "task_id": task,
            "trial": trial,
            "reward": float(trial),
            "info": {"task": {"user_id": "u"}},
            "traj": [
                {"role": "system", "content": "policy"},
                {"role": "user", "content": f"hello {trial}"},
                {"role": "assistant", "content": "yes"},
            ],
        }
        for trial in (0, 1)
        for task in (0, 1)
    ]
    done = read(tmp_path / "log.json", rows)
    assert done.format == "tau2" and done.table["group_key"].to_list() == ["0", "0", "1", "1"]
    assert set(done.table["prompt"]) == {"<system>\npolicy"}
    assert done.table["completion"][1] == "<user>\nhello 1\n<assistant>\nyes"
    assert not done.counts["groups_prompts_differ"]
