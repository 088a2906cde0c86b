"""tinker-cookbook 0.6: rollout summaries, which hold neither text nor ids."""

import pytest
from logs.formats.trained import read, rollouts, write_lines

from grpo_prm.errors import InputError


def test_summaries_are_refused_with_what_to_log_instead(tmp_path):
    for step in (1, 2):
        rows = [
            {
                "schema_version": 1,
                "split": "train",
                "iteration": r.step,
                "group_idx": r.problem,
                "traj_idx": r.sample,
                "total_reward": r.reward,
                "final_reward": 0.0,
                "steps": [{"step_idx": 0, "ob_len": 9, "ac_len": 5, "reward": r.reward}],
            }
            for r in rollouts((step,))
        ]
        write_lines(tmp_path / f"iteration_{step:06d}" / "train_rollout_summaries.jsonl", rows)
    with pytest.raises(InputError, match=r"lengths and rewards .* neither text nor token ids.* Log the ids"):
        read(tmp_path)
