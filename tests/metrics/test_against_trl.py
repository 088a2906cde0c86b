"""A training of TRL: its checkpoints, TensorBoard's files and completions have the same steps and numbers."""

import polars as pl
import pytest
from integrations.trl_toy import length_reward, part_reward, prompts, rollouts, saved_model, settings
from transformers.integrations.integration_utils import rewrite_logs

trl = pytest.importorskip("trl")

from grpo_prm.metrics.read import read_metrics, sources_in  # noqa: E402
from grpo_prm.metrics.series import trainer_name  # noqa: E402

pytestmark = pytest.mark.slow


def test_all_that_trl_writes_agrees_by_step(tmp_path):
    out = tmp_path / "out"
    more = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "report_to": ["tensorboard"]}
    args = trl.GRPOConfig(**settings(out, log_completions=True, num_completions_to_print=0, **more))
    model = saved_model(tmp_path / "model")
    functions = [length_reward, part_reward]
    trainer = trl.GRPOTrainer(model, functions, args, train_dataset=prompts(), rollout_func=rollouts())
    trainer.train()
    history = {
        (name, line["step"]): value
        for line in trainer.state.log_history
        if "train_runtime" not in line
        for name, value in line.items()
        if name not in ("step", "epoch")
    }
    completions = sorted((out / "completions").glob("*.parquet"))
    state, board = (found.read() for found in sources_in(out))
    assert state.files == (out / "checkpoint-4" / "trainer_state.json",) and board.source == "TensorBoard"
    read = {(name, step): value for name, step, value, *_ in state.table.iter_rows()}
    assert read == history and {step for _, step in read} == {1, 2, 3, 4}
    # the same by the other way, in the names of trainer_state.json and TensorBoard's float32
    of_board = {(name, step): value for name, step, value, *_ in board.table.iter_rows() if (name, step) in history}
    assert of_board == pytest.approx(history, rel=1e-6)
    # the step of a completion is that of the metrics: the mean of its two rewards is TRL's
    for path in completions:
        table = pl.read_parquet(path)
        (step,) = table["step"].unique()
        assert table["length_reward"].mean() == pytest.approx(read["rewards/length_reward/mean", step], rel=1e-5)
    assert read_metrics(out).notes[-1].endswith("is there too, and not read.")


def test_names_of_trackers_are_turned_back():
    for name in ("reward", "eval_reward", "completions/mean_length", "test_loss"):
        (sent,) = rewrite_logs({name: 0.0})
        assert trainer_name(sent) == name
