"""Watching changes nothing, weights that are 1 neither; what cannot be weighted or watched is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from integrations.trl_toy import K, flat, length_reward, part_reward, prompts, rollouts, saved_model, settings

trl = pytest.importorskip("trl")
from grpo_prm.errors import UsageError  # noqa: E402
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer, watch  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"))


def trainer_of(kind, model, args, *, sampled=False, **more):
    more = more if sampled else {"rollout_func": rollouts()} | more
    return kind(model, [length_reward, part_reward], args, train_dataset=prompts(), **more)


SETTINGS = {"beta": 0.04, "num_iterations": 2, "gradient_accumulation_steps": 2, "max_steps": 4}


def test_a_watched_training_and_one_with_p_0_are_plain_grpo_to_the_bit(model, tmp_path):
    """TRL samples here: no random number may be drawn beside its own."""

    def trained(kind, config, name, seen=lambda trainer: trainer, **more):
        args = config(**settings(tmp_path / name, **SETTINGS, **more))
        trainer = seen(trainer_of(kind, model, args, sampled=True))
        trainer.train()
        return trainer

    plain = trained(trl.GRPOTrainer, trl.GRPOConfig, "a")
    watched = trained(trl.GRPOTrainer, trl.GRPOConfig, "b", seen=watch)
    zero = trained(LambdaGRPOTrainer, LambdaGRPOConfig, "c", lambda_power=0.0)
    one = trained(LambdaGRPOTrainer, LambdaGRPOConfig, "d")
    assert torch.equal(flat(plain.model), flat(watched.model))
    assert torch.equal(flat(plain.model), flat(zero.model))
    assert not torch.equal(flat(plain.model), flat(one.model))
    clock = ("time", "runtime", "per_second")
    for expected, found in zip(plain.state.log_history, watched.state.log_history, strict=True):
        same = {name: value for name, value in expected.items() if not any(part in name for part in clock)}
        assert same == {name: found[name] for name in same}
    assert "overlap/path_depth" in watched.state.log_history[0]
    methods = [(tmp_path / name / "method.txt").read_text() for name in "bcd"]
    assert methods == ["GRPO\n", "GRPO\n", "λ-GRPO, p = 1\n"]


class Own(trl.GRPOTrainer):
    """A trainer of the user's, with a loss of its own that asks for the log-probabilities itself."""

    steps = 0

    def _compute_loss(self, model, inputs):
        Own.steps += 1
        return super()._compute_loss(model, inputs)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_subclass_and_gspo_are_watched(model, tmp_path, level):
    args = trl.GRPOConfig(**settings(tmp_path, importance_sampling_level=level, loss_type="grpo"))
    trainer = watch(trainer_of(Own, model, args), rollouts="seen")
    trainer.train()
    assert isinstance(trainer, Own)
    assert type(trainer).__name__ == "Own"
    assert Own.steps
    table = pl.read_parquet(tmp_path / "seen" / "*.parquet")
    assert len(table) == 3 * 8
    assert table["logprobs"].null_count() == 0
    assert not (tmp_path / "method.txt").exists()  # what it trains with is not known


def test_rloo_is_watched(model, tmp_path):
    args = trl.RLOOConfig(**settings(tmp_path, beta=0.1, num_iterations=2))
    plain = trl.RLOOTrainer(model, length_reward, args, train_dataset=prompts())
    plain.train()
    watched = watch(trl.RLOOTrainer(model, length_reward, args, train_dataset=prompts()))
    held = []
    generate = type(watched)._generate_and_score_completions
    type(watched)._generate_and_score_completions = lambda self, inputs: held.append(generate(self, inputs)) or held[-1]
    watched.train()
    assert torch.equal(flat(plain.model), flat(watched.model))
    table = pl.read_parquet(tmp_path / "rollouts" / "*.parquet")
    found = [sum(row) for row in table["logprobs"].to_list()]
    expected = torch.cat([made["old_logps"] for made in held]).tolist()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-4)
    assert table["advantage"].to_list() == torch.cat([made["advantages"] for made in held]).tolist()
    assert "overlap/path_depth" in watched.state.log_history[0]


def test_what_is_no_such_trainer_is_refused(model, tmp_path):
    from trl import SFTConfig, SFTTrainer

    data = prompts().rename_columns({"prompt": "text"})
    args = SFTConfig(str(tmp_path), use_cpu=True, bf16=False, report_to=[], gradient_checkpointing=False)
    with pytest.raises(UsageError, match="SFTTrainer has no _calculate_rewards"):
        watch(SFTTrainer(model, args, train_dataset=data))
    with pytest.raises(UsageError, match="NoneType"):
        watch(None)
    args = trl.GRPOConfig(**settings(tmp_path))
    trainer = watch(trainer_of(trl.GRPOTrainer, model, args))
    with pytest.raises(UsageError, match="watched already"):
        watch(trainer)
    with pytest.raises(UsageError, match="GRPOConfig, but LambdaGRPOTrainer needs"):
        trainer_of(LambdaGRPOTrainer, model, args)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"importance_sampling_level": "sequence", "loss_type": "grpo"}, "no token to weigh"),
        ({"lambda_kind": "norm-matched"}, "one of process-set, parent, position, scale-matched"),
        ({"lambda_power": -1.0}, "lambda_power=-1.0"),
        ({"lambda_power": float("nan")}, "lambda_power=nan"),
    ],
)
def test_settings_without_a_meaning_are_refused(model, tmp_path, setting, said):
    with pytest.raises(UsageError, match=said):
        trainer_of(LambdaGRPOTrainer, model, LambdaGRPOConfig(**settings(tmp_path, **setting)))


def test_sequences_may_be_weighed_by_nothing(model, tmp_path):
    args = settings(tmp_path, importance_sampling_level="sequence", loss_type="grpo", lambda_power=0.0, max_steps=1)
    trainer_of(LambdaGRPOTrainer, model, LambdaGRPOConfig(**args)).train()


class Fused(LambdaGRPOTrainer):
    """A stand-in for unsloth, Liger or a chunked loss: it never asks for log-probabilities."""

    def _compute_loss(self, model, inputs):
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        return model(input_ids=ids).logits.float().log_softmax(-1)[..., 0].mean()


class Detached(LambdaGRPOTrainer):
    """Asks for them and uses others."""

    def _compute_loss(self, model, inputs):
        super()._compute_loss(model, inputs)
        return Fused._compute_loss(self, model, inputs)


@pytest.mark.parametrize("kind", [Fused, Detached])
def test_a_loss_beside_the_log_probabilities_is_found_in_the_first_step(model, tmp_path, kind):
    trainer = trainer_of(kind, model, LambdaGRPOConfig(**settings(tmp_path)))
    with pytest.raises(UsageError, match=r"No gradient went through .*use_liger_kernel=False"):
        trainer.train()
    assert trainer.state.global_step == 0
    trainer_of(kind, model, LambdaGRPOConfig(**settings(tmp_path / "zero", lambda_power=0.0))).train()


def test_a_watched_fused_loss_is_recorded_without_log_probabilities(model, tmp_path):
    trainer_of(Fused, model, LambdaGRPOConfig(**settings(tmp_path, lambda_power=0.0))).train()
    table = pl.read_parquet(tmp_path / "rollouts" / "*.parquet")
    assert len(table) == 3 * 8
    assert table["logprobs"].null_count() == len(table)


def test_the_three_fields_come_from_the_command_line_and_from_yaml(tmp_path):
    parser = trl.TrlParser((LambdaGRPOConfig,))
    line = ["--output_dir", str(tmp_path), "--use_cpu", "--bf16", "false", "--lambda_power", "0.5"]
    (args,) = parser.parse_args_and_config([*line, "--lambda_kind", "parent", "--record_rollouts", "false"])
    assert (args.lambda_power, args.lambda_kind, args.record_rollouts) == (0.5, "parent", False)
    file = tmp_path / "args.yaml"
    file.write_text(f"output_dir: {tmp_path}\nuse_cpu: true\nbf16: false\nlambda_power: 2\nlambda_kind: position\n")
    (args,) = parser.parse_args_and_config(["--config", str(file)])
    assert (args.lambda_power, args.lambda_kind, args.record_rollouts) == (2.0, "position", True)
    with pytest.raises(SystemExit):
        parser.parse_args_and_config([*line, "--lambda_kind", "parents"])


def weights_of(model, out, loss, kind, **more):
    """The weights of one generation as the loss gets them, and what they are to be made of."""
    held = {}

    class Keeps(LambdaGRPOTrainer):
        def _generate_and_score_completions(self, inputs):
            made = super()._generate_and_score_completions(inputs)
            held.update(made=made, ids=self._watching.rewarded.ids)
            return made

    args = LambdaGRPOConfig(**settings(out, max_steps=1, loss_type=loss, lambda_kind=kind, **more))
    trainer_of(Keeps, model, args, rollout_func=rollouts(masked=True)).train()
    made = held["made"]
    inside = (made["completion_mask"] * made["tool_mask"]).numpy()
    rows = []
    for row, ids in enumerate(held["ids"]):
        group = held["ids"][row // K * K : row // K * K + K]
        sizes = [sum(other[: t + 1] == ids[: t + 1] for other in group) for t in range(len(ids))]
        share = 1 / max(inside[row].sum(), 1) if loss in ("grpo", "sapo") else 1.0
        rows.append((ids, np.array(sizes), inside[row, : len(ids)], share, made["advantages"][row].item()))
    assert made["lambda_weights"].shape == made["completion_ids"].shape
    return made["lambda_weights"].numpy(), rows


@pytest.mark.parametrize("loss", ["grpo", "dapo"])
def test_the_scale_matched_control_is_one_factor(model, tmp_path, loss):
    found, rows = weights_of(model, tmp_path, loss, "scale-matched", lambda_power=0.5)
    top = sum(share * abs(a) * (inside * sizes**-0.5).sum() for _, sizes, inside, share, a in rows)
    bottom = sum(share * abs(a) * inside.sum() for _, _, inside, share, a in rows)
    assert 0 < top < bottom
    for row, (ids, *_) in zip(found, rows, strict=True):
        assert row[: len(ids)] == pytest.approx(top / bottom, rel=1e-6)
        assert not row[len(ids) :].any()


@pytest.mark.parametrize("loss", ["sapo", "dr_grpo"])
def test_the_position_placebo_is_the_mean_at_the_position(model, tmp_path, loss):
    found, rows = weights_of(model, tmp_path, loss, "position")
    compared = 0
    for row, (ids, *_) in enumerate(rows):
        group = rows[row // K * K : row // K * K + K]
        for t in range(len(ids)):
            alive = [(share * inside[t], 1 / sizes[t]) for ids, sizes, inside, share, _ in group if t < len(ids)]
            if (total := sum(w for w, _ in alive)) > 0:
                assert found[row, t] == pytest.approx(sum(w * f for w, f in alive) / total, rel=1e-6)
                compared += 1
    assert compared > 20


def nearly_equal(completion_ids, **_):
    """Rewards that differ by a thousandth around 100: float32 leaves the mean of TRL's advantages far from 0."""
    return [100 + {3: 0, 4: 1, 5: 3}[len(ids)] / 1000 for ids in completion_ids]


def test_rewards_that_differ_by_little_make_no_root_raised_or_lowered(model, tmp_path):
    rows = [[5, 6, 7], [5, 6, 7, 8], [5, 6, 7, 9, 1], [5, 6, 7, 8]]  # all share a root of three tokens

    def roll(prompts, trainer):
        asked = [trainer.processing_class(prompt)["input_ids"] for prompt in prompts]
        return {"prompt_ids": asked, "completion_ids": [*rows, *rows], "logprobs": None}

    args = LambdaGRPOConfig(**settings(tmp_path, max_steps=1))
    trainer = LambdaGRPOTrainer(model, nearly_equal, args, train_dataset=prompts(), rollout_func=roll)
    trainer.train()
    logged = trainer.state.log_history[0]
    # The one shared step is the root, whose advantage is 0: nobody's token in it is pushed down or raised.
    assert logged["prm/suppressed_good"] == 0
    assert logged["prm/boosted_bad"] == 0
    advantages = pl.read_parquet(tmp_path / "rollouts" / "*.parquet")["advantage"].to_numpy()
    assert abs(advantages[:4].mean()) > 1e-6  # which TRL's own would have been
