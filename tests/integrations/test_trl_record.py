"""What a training records is what it trained on, and `analyze` says of it what the training logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from integrations.trl_toy import length_reward, part_reward, prompts, rollouts, saved_model, settings

trl = pytest.importorskip("trl")
from grpo_prm import analyze  # noqa: E402
from grpo_prm.analysis.group_sums import metric_names  # noqa: E402
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer  # noqa: E402

pytestmark = pytest.mark.slow

# How generations lie to optimizer steps: one each, one for two, two for one, kept for two iterations.
CASES = {
    "one each": {},
    "one for two steps": {"gradient_accumulation_steps": 2, "steps_per_generation": 4},
    "two for one step": {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
    "two iterations, KL": {"gradient_accumulation_steps": 2, "num_iterations": 2, "beta": 0.04},
    "truncated out of the loss": {"mask_truncated_completions": True, "pad_to_multiple_of": 8},
}  # fmt: skip

if "pad_to_multiple_of" not in LambdaGRPOConfig.__dataclass_fields__:  # older versions of TRL
    del CASES["truncated out of the loss"]["pad_to_multiple_of"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"))


class Spy(LambdaGRPOTrainer):
    """Keeps what TRL itself had."""

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        found = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        step = self.state.global_step + 1
        self.generations.append({"step": step, "ids": completion_ids_list, "prompts": prompts, "rewards": found})
        return found

    def _generate_and_score_completions(self, inputs):
        made = super()._generate_and_score_completions(inputs)
        self.generations[-1] |= {"made": made, "first": {}}
        return made

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._in_loss is not None:
            for row, values in zip(self._in_loss["rollout_row"].tolist(), found[0].detach(), strict=True):
                self.generations[-1]["first"].setdefault(row, values.numpy().copy())
        return found


def trainer_of(kind, model, out, *, rolling=None, rewards=(length_reward, part_reward), callbacks=None, **more):
    args = LambdaGRPOConfig(**settings(out, **more))
    made = kind(model, list(rewards), args, train_dataset=prompts(), callbacks=callbacks,
                rollout_func=rolling or rollouts(masked=True))  # fmt: skip
    made.generations = []
    return made


def table_of(out):
    return pl.concat(pl.read_parquet(path) for path in sorted(Path(out, "rollouts").glob("*.parquet")))


@pytest.mark.parametrize("name", CASES)
def test_the_rows_are_those_of_trl(model, tmp_path, name):
    trainer = trainer_of(Spy, model, tmp_path, max_steps=4, **CASES[name])
    trainer.train()
    table, generations = table_of(tmp_path), trainer.generations
    rows = [(generation, row) for generation in generations for row in range(len(generation["ids"]))]
    assert table["tokens"].to_list() == [generation["ids"][row] for generation, row in rows]
    assert table["step"].to_list() == [generation["step"] for generation, _ in rows]
    assert table["prompt"].to_list() == [generation["prompts"][row] for generation, row in rows]
    total = [float((generation["rewards"][row] * trainer.reward_weights).nansum()) for generation, row in rows]
    assert table["reward"].to_list() == total
    parts = [generation["rewards"][row, 1].item() for generation, row in rows]
    assert table["reward/part_reward"].to_list() == [None if np.isnan(part) else part for part in parts]
    assert 0 < table["reward/part_reward"].null_count() < len(table)
    assert table["advantage"].to_list() == [generation["made"]["advantages"][row].item() for generation, row in rows]
    inside = [
        (generation["made"]["completion_mask"] * generation["made"]["tool_mask"])[row, : len(ids)].bool().tolist()
        for generation, row in rows
        if (ids := generation["ids"][row])
    ]
    assert table["mask"].to_list() == [None if all(row) else row for row in inside]
    for (generation, row), found in zip(rows, table["logprobs"].to_list(), strict=True):
        old = generation["made"].get("old_per_token_logps")
        expected = generation["first"][row] if old is None else old[row].numpy()
        assert found == expected[: len(found)].tolist()
    if "beta" in CASES[name]:
        reference = [generation["made"]["ref_per_token_logps"][row].tolist() for generation, row in rows]
        found = table["ref_logprobs"].to_list()
        assert found == [row[: len(own)] for row, own in zip(reference, found, strict=True)]
    ends = [ids[-1] != 1 for generation, row in rows if (ids := generation["ids"][row])]
    assert table["truncated"].to_list() == ends
    assert table["trainer_logprobs"].null_count() == len(table)  # the sampler is the trainer
    assert table["run"].unique().to_list() == [tmp_path.name]


@pytest.mark.parametrize("scaled", ["group", "none", "batch"])
@pytest.mark.parametrize("name", CASES)
def test_analyze_says_what_was_logged(model, tmp_path, name, scaled):
    if scaled == "batch" and name == "two for one step":
        pytest.skip("TRL takes the deviation of a generation, analyze that of a step")
    trainer = trainer_of(LambdaGRPOTrainer, model, tmp_path, max_steps=4, scale_rewards=scaled, **CASES[name])
    trainer.train()
    logged = {line["step"]: line for line in trainer.state.log_history if "overlap/path_depth" in line}
    found = analyze(tmp_path / "rollouts").training
    for (step,), of_step in found.group_by("step"):
        means = dict(of_step.select("statistic", "mean").iter_rows())
        means.pop("tokens_per_unique_with_prompt")  # of prompts the record holds the text alone
        shared = [name for name in metric_names() if name in means]
        assert len(shared) > 10
        for name in shared:
            value = logged[first_line_from(trainer, step)].get(metric_names()[name])
            assert value == (None if means[name] is None else pytest.approx(means[name], rel=1e-12, abs=1e-12)), name
    assert len(logged) == found["step"].n_unique() >= 2


def first_line_from(trainer, step):
    """A generation for two steps is logged with the first."""
    return min(line["step"] for line in trainer.state.log_history if line["step"] >= step)


def test_evaluations_are_neither_recorded_nor_measured(model, tmp_path):
    more = {"eval_strategy": "steps", "eval_steps": 1, "logging_steps": 2, "per_device_eval_batch_size": 4}
    args = LambdaGRPOConfig(**settings(tmp_path, max_steps=4, **more))
    data = prompts()
    trainer = LambdaGRPOTrainer(model, length_reward, args, train_dataset=data, eval_dataset=data.select(range(4)))
    trainer.train()
    assert len(table_of(tmp_path)) == 4 * 8
    of_step = analyze(tmp_path / "rollouts").groups.group_by("step").agg(pl.col("path_depth").sum(), pl.len())
    # Two steps go into one line, whatever was evaluated between them.
    lines = [line for line in trainer.state.log_history if "overlap/path_depth" in line]
    assert [line["step"] for line in lines] == [2, 4]
    assert not any("eval_loss" in line for line in lines)
    for line in lines:
        two = of_step.filter(pl.col("step").is_in([line["step"] - 1, line["step"]])).sum()
        assert line["overlap/path_depth"] == pytest.approx((two["path_depth"] / two["len"]).item(), rel=1e-12)
