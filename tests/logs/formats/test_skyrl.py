"""SkyRL 0.3: dumped evaluations, with a file of metrics beside them."""

import pytest
from logs.formats.trained import read, rewards, rollouts, true_rewards, write_lines


def row(r, score, **more):
    return {
        "input_prompt": f"<|im_start|>user\n{r.question}<|im_end|>\n<|im_start|>assistant\n",
        "output_response": r.text + "<|im_end|>",
        "score": score(r),
        "stop_reason": "length" if r.sample == 3 else "stop",
        "env_class": "sums",
        "env_extras": {"answer": "7"},
        "data_source": "gsm",
        **more,
    }


@pytest.mark.parametrize("score", [lambda r: r.reward, lambda r: [0.0, 0.0, 0.25, r.reward - 0.25]])
def test_scores_are_numbers_or_one_a_token(tmp_path, score):
    made = rollouts((5, 10))
    for step in (5, 10):
        folder = tmp_path / "dumped_evals" / f"global_step_{step}_evals"
        write_lines(folder / "gsm.jsonl", [row(r, score) for r in made if r.step == step])
        write_lines(folder / "aggregated_results.jsonl", [{"eval/gsm/avg_score": 0.5}])
    done = read(tmp_path / "dumped_evals")
    assert done.format == "skyrl" and not len(done.rejected)
    assert rewards(done) == true_rewards(made)
    assert done.table["truncated"].sum() == 6 and set(done.table["task"]) == {"gsm"}


def test_a_score_that_is_no_list_of_numbers_costs_the_row(tmp_path):
    rows = [row(r, lambda r: [r.reward]) for r in rollouts((1,))]
    rows[2]["score"] = [0.0, "x"]
    done = read(write_lines(tmp_path / "gsm.jsonl", rows))
    assert done.rejected["reason"].to_list() == ["expected one number a token, got the text 'x'"]


def test_one_prompt_of_several_problems_is_told_apart_by_the_extras(tmp_path):
    made = rollouts((1,))
    rows = [row(r, lambda r: r.reward, input_prompt="guess", env_extras={"seed": r.problem}) for r in made]
    done = read(write_lines(tmp_path / "game.jsonl", rows[::2] + rows[1::2]))
    assert rewards(done, steps=False) == true_rewards(made, steps=False)
    assert "env_extras" in " ".join(done.notes) and done.table["problem"].n_unique() == 3


def test_extras_that_are_others_in_every_rollout_tell_nothing(tmp_path):
    made = rollouts((1,))
    rows = [row(r, lambda r: r.reward, env_extras={"id": n}) for n, r in enumerate(made)]
    done = read(write_lines(tmp_path / "gsm.jsonl", rows))
    assert rewards(done, steps=False) == true_rewards(made, steps=False) and done.notes == ()
