"""Record OpenRLHF's rollouts, of which it keeps none itself: ids, masks, log-probabilities and rewards, for `analyze`.

The experience maker has all that there is to know of a step, before the actors get it; a thread writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from ..logs.recorder import Recorder
from ..logs.recording import recorded_table
from .method import write_method
from .rows import only_value


def record_rollouts(trainer: Any, folder: str | Path, method: str) -> Recorder:
    """Let a trainer of OpenRLHF write the rollouts of each step.

    Args:
        trainer: A BasePPOTrainer; its `train_step(samples, global_step)` says how many steps are done.
        folder: Where the parts go. That of a run which is resumed goes on.
        method: What the run is trained with (`method.method_name`), if OpenRLHF's estimator is GRPO's.

    Returns:
        What writes them; `close` waits for it.
    """
    recorder, maker = Recorder(folder), trainer.experience_maker
    train, make = trainer.train_step, maker.compute_advantages_and_returns
    done: list[int] = []  # steps, as of the last call

    @wraps(train)
    def train_step(samples: Any, global_step: int) -> Any:
        if not done:
            recorder.begin(global_step)
            if maker.strategy.args.algo.advantage.estimator == "group_norm":
                write_method(recorder.folder, method)
        done[:] = [global_step]
        return train(samples, global_step)

    @wraps(make)
    def compute_advantages_and_returns(experiences: list[Any]) -> list[Any]:
        experiences = make(experiences)
        # Taken now, since `index` goes when the rows are dealt out to the actors.
        rows, step = list(recorded_rows(experiences)), done[0] + 1
        k, name = maker.strategy.args.rollout.n_samples_per_prompt, Path(folder).absolute().parent.name
        recorder.write(step, 0, lambda: _table(rows, name, step, k, maker.tokenizer))
        return experiences

    trainer.train_step, maker.compute_advantages_and_returns = train_step, compute_advantages_and_returns
    return recorder


def recorded_rows(experiences: list[Any]) -> Iterator[dict[str, Any]]:
    """Of each rollout its completion, from the first token of the policy on, and what is known of it."""
    for one in experiences:
        for n, index in enumerate(one.index):
            ids = one.sequences[n][one.attention_mask[n].bool()].numpy()
            flags = one.action_mask[n][: len(ids) - 1].bool().numpy()  # an action stands one to the left of its token
            begin = int(flags.argmax()) if flags.any() else len(flags)
            columns = {
                "logprobs": one.rollout_log_probs, "trainer_logprobs": one.action_log_probs,
                "ref_logprobs": one.base_action_log_probs,
            }  # fmt: skip
            yield {
                "index": index, "prompts": one.prompts[n], "tokens": ids[begin + 1 :], "masks": flags[begin:],
                "rewards": one.rewards[n].item(), "truncated": bool(one.truncated[n]),
                "advantages": only_value(one.advantages[n, : len(flags)].numpy()[flags]),
            } | {
                name: None if values is None else values[n][begin : len(flags)].float().numpy()
                for name, values in columns.items()
            }  # fmt: skip


def _table(rows: list[dict[str, Any]], run: str, step: int, k: int, tokenizer: Any) -> Any:
    """The canonical table of a step; groups are those of OpenRLHF's baselines."""
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    index = columns.pop("index")
    return recorded_table(
        run=run,
        step=step,
        group_keys=[f"{step}-{n // k}" for n in index],
        samples=[n % k for n in index],
        completions=[tokenizer.decode(row) for row in columns["tokens"]],
        **columns,
    )
