"""Logs with keys of a framework that did not write them: no format may claim them and lose their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grpo_prm.logs import collect

# Two steps of two prompts, two completions each: (step, prompt, reward).
ROLLOUTS = [(step, prompt, (step + prompt + sample) / 8) for step in (1, 2) for prompt in (0, 1) for sample in (0, 1)]
PLAIN: dict[str, dict[str, Any]] = {
    "a verdict beside": {"task_id": "t", "passed": True},
    "trajectories that are empty": {"trajectories": []},
    "an object of verdicts": {"eval": {"a": [{"base_status": "pass"}]}},
    "simulations": {"simulations": [{"messages": []}]},
    "parameters": {"responses_create_params": {"temperature": 1}},
    "numbers of tokens": {"prompt_idx": 0, "prompt_tokens": 9, "response_tokens": 12},
    "a traced node": {"nodes": [{"message": "m"}]},
    "steps of an agent": {"group_idx": 0, "traj_idx": 0, "total_reward": 0.0, "steps": [1]},
    "generations by id": {"raw_generations": {"a": ["x"]}, "raw_scored_generations": {"a": [1]}},
}


def _found(tmp_path: Path, rows: list[dict[str, Any]]) -> list[tuple[int | None, float]]:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = collect([log]).table
    assert table["group"].n_unique() == 4
    return sorted(zip(table["step"], table["reward"], strict=True))


@pytest.mark.parametrize("beside", PLAIN.values(), ids=list(PLAIN))
def test_a_row_with_its_own_completion_and_reward_is_a_row(tmp_path: Path, beside: dict[str, Any]) -> None:
    made = [
        {"step": step, "prompt": f"p{prompt}", "response": f"text {reward}", "reward": reward, **beside}
        for step, prompt, reward in ROLLOUTS
    ]
    # A key that is the same throughout must not put the prompts together.
    made = [
        {name: value for name, value in row.items() if name not in ("task_id", "prompt_idx", "group_idx")}
        | {name: row["prompt"] for name in ("task_id", "prompt_idx", "group_idx") if name in row}
        for row in made
    ]
    assert _found(tmp_path, made) == sorted((step, reward) for step, _, reward in ROLLOUTS)


@pytest.mark.parametrize("score", ["score", "reward"])
def test_a_step_in_the_rows_is_heard(tmp_path: Path, score: str) -> None:
    """SkyRL and slime log none there."""
    tokens = {"tokens": [5, 6, 7, 8], "response_length": 2, "group_id": ""}
    made = [
        {"step": step, "input_prompt": f"p{prompt}", "output_response": f"text {reward}", score: reward, **tokens}
        | {"group_id": f"{step}/{prompt}"}
        for step, prompt, reward in ROLLOUTS
    ]
    assert _found(tmp_path, made) == sorted((step, reward) for step, _, reward in ROLLOUTS)
