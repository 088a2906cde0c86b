"""Logs of prime-rl 0.6, its token export, and Prime's hosted runs: invented, with the groups known."""

import json
import random

import pytest

from grpo_prm.logs import collect


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def members(log, column):
    """Values of each group, sorted; the groups sorted."""
    return sorted(sorted(group) for group in log.table.group_by("group").agg(column)[column].to_list())


def rollout(env, example, group, sample, **more):
    row = {"prompt": [{"role": "user", "content": "the same"}], "reward": sample / 2, "advantage": sample / 2 - 0.75}
    row |= {"completion": [{"role": "assistant", "content": f"{group} {sample}"}], "env_name": env, "error": None}
    row |= {"example_id": example, "group_id": group, "rollout_id": f"{group}-{sample}", "is_filtered": False}
    return {**row, **more}


def test_groups_are_those_that_were_dispatched(tmp_path):
    """One example is drawn twice in a step, two environments count from 0, and the rows are shuffled."""
    for step in (3, 4):
        drawn = [("a", 0, f"{step}g"), ("a", 0, f"{step}h"), ("b", 0, f"{step}i")]
        rows = [rollout(*one, sample) for one in drawn for sample in range(4)]
        rows[1]["is_filtered"] = True
        random.Random(step).shuffle(rows)  # noqa: S311
        lines(tmp_path / "rollouts" / f"step_{step}" / "train_rollouts.jsonl", rows)
    log = collect(tmp_path / "rollouts")
    assert log.format == "prime-rl"
    assert members(log, "reward") == [[0.0, 0.5, 1.0, 1.5]] * 6
    assert set(log.table["group_key"]) == {f"{step}{g}" for step in (3, 4) for g in "ghi"}
    assert log.table["step"].unique().sort().to_list() == [3, 4]
    assert set(log.table["problem"]) == {"a/0", "b/0"}
    assert set(log.table["task"]) == {"a", "b"}
    assert any("is_filtered" in note for note in log.notes)


def test_an_errored_rollout_is_no_member(tmp_path):
    rows = [rollout("a", 0, "g", sample) for sample in range(4)]
    rows[2]["error"] = "TimeoutError"
    lines(tmp_path / "train_rollouts.jsonl", rows)
    log = collect(tmp_path / "train_rollouts.jsonl")
    assert members(log, "reward") == [[0.0, 0.5, 1.5]]
    assert log.rejected["reason"].to_list() == ["the rollout ended with an error (TimeoutError)"]


def exported(step, rank, prompt, said, advantage, **more):
    ids, mask = [*prompt, *said, 9], [False] * len(prompt) + [True] * len(said) + [False]
    given = [advantage * m for m in mask]
    row = {"schema_version": 1, "step": step, "rank": rank, "micro_step": 0, "micro_sequence_idx": 0, "env_name": "a"}
    row |= {"token_ids": ids, "position_ids": list(range(len(ids))), "loss_mask": mask, "advantages": given}
    values = [-token / 10 for token in ids]
    return {**row, "inference_logprobs": values, "trainer_logprobs": values, "entropy": given, **more}


def test_tokens_of_one_prompt_are_one_group_over_all_ranks(tmp_path):
    for step in (1, 2):
        for rank in range(2):
            rows = [exported(step, rank, [p, 7], [20 + rank, p], 0.5 - rank) for p in range(3)]
            lines(tmp_path / "token_exports" / f"step_{step}" / f"rank_{rank}.jsonl", rows)
    log = collect(tmp_path / "token_exports")
    assert log.format == "prime-rl-tokens"
    assert members(log, "tokens") == [[[20, p, 9], [21, p, 9]] for p in range(3) for _ in range(2)]
    assert members(log, "advantage") == [[-0.5, 0.5]] * 6
    assert log.table["mask"].to_list() == [[True, True, False]] * 12
    first = log.table.row(0, named=True)
    assert first["logprobs"] == pytest.approx([-token / 10 for token in first["tokens"]])
    assert first["trainer_logprobs"] == first["logprobs"]
    assert log.table["reward"].null_count() == 12


def test_a_sequence_without_loss_or_with_a_short_mask_is_rejected(tmp_path):
    rows = [exported(1, 0, [1], [2, n], n - 0.5) for n in range(2)]
    rows += [exported(1, 0, [1], [], 0.0), exported(1, 0, [1], [2], 0.0, loss_mask=[True])]
    lines(tmp_path / "rank_0.jsonl", rows)
    log = collect(tmp_path / "rank_0.jsonl")
    assert len(log.table) == 2
    assert log.rejected["reason"].to_list() == ["no token is in the loss", "1 values for 3 tokens"]


def test_a_hosted_problem_that_is_drawn_twice_is_two_groups(tmp_path):
    rows = []
    for draw, shift in ((0, 0.0), (1, 0.25)):
        for sample in range(4):
            row = {"run_id": "r", "step": 1, "problem_id": 5, "sample_id": 4 * draw + sample, "env_name": "a"}
            chat = [{"role": "assistant", "content": f"{draw} {sample}"}]
            row |= {"prompt": json.dumps([{"role": "user", "content": "q"}]), "completion": json.dumps(chat)}
            row |= {"reward": sample / 2 + shift, "advantage": sample / 2 - 0.75, "metrics": json.dumps({"turns": 2.0})}
            rows.append(row)
    lines(tmp_path / "run.results.jsonl", rows)
    log = collect(tmp_path / "run.results.jsonl")
    assert log.format == "prime-hosted"
    assert members(log, "reward") == [[0.0, 0.5, 1.0, 1.5], [0.25, 0.75, 1.25, 1.75]]
    assert log.table["reward/turns"].to_list() == [2.0] * 8
    assert log.table["task"].to_list() == ["a"] * 8
