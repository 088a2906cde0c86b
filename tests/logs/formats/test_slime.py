"""slime 0.3 (624b824): sample dicts, one a line, or all of a step under `samples` as `{rollout_id}.pt` has them."""

import json

import numpy as np
import pytest
from logs.formats.trained import groups, read, rewards, rollouts, true_rewards, truth, write_lines

from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs.formats.slime import flatten


def sample(r, number, **more):
    return {
        "group_index": 3 * r.step + r.problem,
        "index": number,
        "rollout_id": None,
        "prompt": [{"role": "user", "content": r.question}],
        "tokens": r.prompt + r.ids,
        "response": r.text,
        "response_length": len(r.ids),
        "label": "7",
        "reward": r.reward,
        "loss_mask": [int(m) for m in r.mask],
        "rollout_log_probs": r.logprobs,
        "remove_sample": False,
        "status": "truncated" if r.sample == 3 else "completed",
        "metadata": {},
        **more,
    }


def write(folder, made, **more):
    for step in sorted({r.step for r in made}):
        rows = [sample(r, n, **more) for n, r in enumerate(made) if r.step == step]
        write_lines(folder / f"step_{step}.jsonl", rows)
    return folder


def test_the_last_ids_are_the_response(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made))
    assert done.format == "slime" and not len(done.rejected)
    assert groups(done) == truth(made)
    table = done.table
    assert table["tokens"].to_list() == [r.ids for r in made] and table["mask"].to_list() == [r.mask for r in made]
    assert table["logprobs"].to_list() == [r.logprobs for r in made]
    assert table["truncated"].sum() == 6 and table["prompt"][0] == "<user>\nWhat is 0 + 1 ?"


def test_without_a_mask_all_of_the_response_is_in_the_loss(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, loss_mask=None, rollout_log_probs=None))
    assert groups(done) == truth(made, masked=False)
    assert done.table["logprobs"].null_count() == len(made)


def test_a_file_of_a_step_names_the_step(tmp_path):
    made = rollouts()
    files = [{"rollout_id": s, "samples": [sample(r, n) for n, r in enumerate(made) if r.step == s]} for s in (1, 2)]
    done = read(write_lines(tmp_path / "run.jsonl", files))
    assert groups(done) == truth(made)
    # Tensors of the torch file come as arrays.
    tensors = {
        name: np.array(value) for name, value in files[0]["samples"][0].items() if name in ("tokens", "loss_mask")
    }
    (row,) = flatten({"rollout_id": 1, "samples": [files[0]["samples"][0] | tensors]}, None)
    assert row["tokens"] == made[0].ids and row["mask"] == [int(m) for m in made[0].mask] and row["step"] == 1
    json.dumps(row)  # lists, and nothing of numpy


def test_files_of_torch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    made = rollouts()
    (tmp_path / "debug").mkdir()
    for step in (1, 2):
        samples = [sample(r, n) for n, r in enumerate(made) if r.step == step]
        for one in samples[::2]:  # a writer may keep some of the lists as tensors
            one["tokens"] = torch.tensor(one["tokens"])
        torch.save({"rollout_id": step, "samples": samples}, tmp_path / "debug" / f"{step}.pt")
    done = read(tmp_path / "debug")
    assert groups(done) == truth(made) and not len(done.rejected)


def test_a_removed_sample_stays_a_member_out_of_the_loss(tmp_path):
    made = rollouts((1,))
    rows = [sample(r, n, remove_sample=r.sample == 2) for n, r in enumerate(made)]
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert rewards(done, steps=False) == true_rewards(made, steps=False) and "remove_sample" in " ".join(done.notes)
    assert (~done.table["mask"].list.any()).sum() == 3


def test_the_score_of_a_dict_is_the_reward_and_the_rest_its_parts(tmp_path):
    made = rollouts((1,))
    rows = [sample(r, n, reward={"score": r.reward, "acc": r.sample % 2 == 0, "pred": "7"}) for n, r in enumerate(made)]
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert groups(done, steps=False) == truth(made, steps=False)
    assert "the reward is their score" in " ".join(done.notes)
    rows = [sample(r, n, reward={"right": r.reward, "short": 1.0}) for n, r in enumerate(made)]
    with pytest.raises(GrpoPrmError, match=r"reward.*right"):
        read(write_lines(tmp_path / "b.jsonl", rows))


def test_samples_of_one_rollout_are_one_member(tmp_path):
    """A context that was compacted gives several samples of one rollout; each has its reward."""
    made = rollouts((1,))
    rows = [sample(r, 2 * n, rollout_id=n) for n, r in enumerate(made)]
    rows += [sample(r, 2 * n + 1, rollout_id=n, tokens=[8, 9], response_length=1, loss_mask=None,
                    rollout_log_probs=None, response="x") for n, r in enumerate(made)]  # fmt: skip
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert rewards(done, steps=False) == true_rewards(made, steps=False)
    assert done.counts["rows_read"] == len(rows) == len(done.table) + done.counts["rows_joined"]
    assert done.table["tokens"].to_list() == [[*r.ids, 9] for r in made]


def test_a_sample_that_is_none_costs_itself_alone(tmp_path):
    made = rollouts((1,))
    samples = [sample(r, n) for n, r in enumerate(made)]
    samples[3]["response_length"], samples[5] = 99, "x"
    done = read(write_lines(tmp_path / "a.jsonl", [{"rollout_id": 1, "samples": samples}]))
    wanted = [("tokens", "response_length is 99 beside 7 tokens"), ("", "expected a sample, got the text 'x'")]
    assert done.rejected.select("field", "reason").rows() == wanted
    assert sorted(done.table["reward"]) == sorted(r.reward for n, r in enumerate(made) if n not in (3, 5))


def test_a_log_of_others_may_pad_behind_the_response(tmp_path):
    made = rollouts()
    rows = [
        {
            "step": r.step,
            "prompt": r.question,
            "tokens": r.ids + [0] * (40 - len(r.ids)),
            "response_length": len(r.ids),
            "reward": r.reward,
        }
        for r in made
    ]
    done = read(write_lines(tmp_path / "log.jsonl", rows))
    assert done.format == "generic" and done.table["tokens"].to_list() == [r.ids for r in made]
