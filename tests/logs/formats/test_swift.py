"""ms-swift: columnar lines of the HF and Megatron trainers (3.2 to 4.6), lines of the Ray trainer, and GKD."""

import pytest
from logs.formats.trained import K, advantage, read, rewards, rollouts, true_rewards, write_lines

from grpo_prm.errors import InputError


def line(made, step, **more):
    """A step: lists of one value a completion, reward functions in front of the advantages."""
    return {
        **step,
        "prompt": [f"<|im_start|>user\n{r.question}<|im_end|>\n<|im_start|>assistant\n" for r in made],
        "completion": [r.text for r in made],
        **{name: [value(r) for r in made] for name, value in more.items()},
    }


def steps_of(made):
    return [(step, [r for r in made if r.step == step]) for step in sorted({r.step for r in made})]


HALVES = {"right": lambda r: float(int(r.reward)), "short": lambda r: r.reward - int(r.reward), "advantages": advantage}


def test_a_line_is_a_step(tmp_path):
    made = rollouts()
    lines = [
        line(here, {"step": [str(step)] * len(here)}, **HALVES, num_turns=lambda _: 1, entropy=lambda r: r.sample / 7)
        for step, here in steps_of(made)
    ]
    done = read(write_lines(tmp_path / "completions.jsonl", lines))
    assert done.format == "swift" and not len(done.rejected)
    assert rewards(done) == true_rewards(made)
    assert sorted(done.table["advantage"]) == pytest.approx(sorted(map(advantage, made)))
    parts = [name for name in done.table.columns if name.startswith("reward/")]
    assert parts == ["reward/right", "reward/short"]


def test_parts_of_another_task_are_nan_and_add_nothing(tmp_path):
    made = rollouts((1,))
    nan = float("nan")
    parts = {
        "MathORM": lambda r: r.reward if r.problem else nan,
        "CodeORM": lambda r: nan if r.problem else r.reward,
    }
    lines = [line(made, {"gen_step": [1] * len(made)}, **parts, advantages=advantage)]
    done = read(write_lines(tmp_path / "completions.jsonl", lines), reward="MathORM+CodeORM")
    assert rewards(done) == true_rewards(made)


def test_the_total_of_old_versions_and_of_ray(tmp_path):
    made = rollouts()
    old = [
        {
            "step": [str(step)] * len(here),
            "messages": [[{"role": "user", "content": r.question}] for r in here],
            "completion": [r.text for r in here],
            "reward": [r.reward for r in here],
        }
        for step, here in steps_of(made)
    ]
    assert rewards(read(write_lines(tmp_path / "old.jsonl", old))) == true_rewards(made)
    ray = [{"gen_step": r.step, "prompt": r.question, "completion": r.text, "reward": r.reward} for r in made]
    done = read(write_lines(tmp_path / "ray.jsonl", ray))
    assert done.format == "swift" and rewards(done) == true_rewards(made)


def test_lists_that_were_cut(tmp_path):
    """All cut to one length: the last group is not whole. One alone: that column is left out of the line."""
    made = rollouts()[: 2 * K + 2]
    cut = [line(made, {"gen_step": [1] * len(made)}, reward=lambda r: r.reward)]
    done = read(write_lines(tmp_path / "cut.jsonl", cut))
    assert sorted(done.table.group_by("group").len()["len"]) == [2, 4, 4] and done.counts["groups_uneven"] == 1
    cut[0]["advantages"] = [advantage(r) for r in made[:-3]]
    cut[0]["gen_step"] = [1]
    done = read(write_lines(tmp_path / "odd.jsonl", cut))
    assert done.table["advantage"].null_count() == len(made) and set(done.table["step"]) == {1}
    cut[0]["prompt"] = cut[0]["prompt"][:-1]
    with pytest.raises(InputError, match=r"9 prompts for 10 completions"):
        read(write_lines(tmp_path / "prompts.jsonl", cut))


def test_distillation_without_rewards_is_refused(tmp_path):
    made = rollouts((1,))
    with pytest.raises(InputError, match=r"GKD .* GRPO run"):
        read(write_lines(tmp_path / "completions.jsonl", [line(made, {"step": ["1"] * len(made)})]))
