"""What the columns of a log mean: the names that are recognised, and the plan that they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import chunks
from ..rollouts import BESIDE, REWARD_PART, SCHEMA

# Names that are recognised; of those that a log has the first wins. Plurals (`scores`, `masks`) stand in rows that hold
# a whole group.
NAMES: dict[str, tuple[str, ...]] = {
    "run": ("run", "run_id", "run_name"),
    "step": ("step", "global_step", "iteration", "gen_step", "training_step", "train_step", "global_steps"),
    "group": (
        *("group", "group_key", "uid", "group_id", "prompt_id", "prompt_idx", "problem_id", "example_id", "task_id"),
        *("group_index", "_ng_task_index", "question_id", "query_id", "instance_id", "doc_id", "prompt_index"),
        *("group_idx", "problem_idx", "question_idx", "prompt_hash", "index", "idx", "id"),
    ),
    # Keys that name a problem wherever it is drawn; one of a single draw (PER_DRAW, a `prompt_idx` that starts anew in
    # each step) would make a cluster of every group.
    "problem": (
        *("problem_id", "example_id", "task_id", "_ng_task_index", "question_id", "query_id", "instance_id", "doc_id"),
    ),
    "task": (
        *("task", "env", "env_name", "env_id", "environment", "data_source", "dataset", "env_class", "ability"),
        *("task_name", "task_type"),
    ),
    "sample": ("sample", "sample_id", "sample_index", "sample_idx", "request_id", "rollout_id"),
    "prompt": (
        *("prompt", "prompt_text", "input_prompt", "input", "question", "problem", "query"),
        *("question_text", "problem_text", "input_text", "user_prompt"),
        *("prompt_ids", "prompt_token_ids", "prompt_tokens"),  # where no text tells the groups apart
    ),
    # `answer`, `solution` and `target` are not here: most often they are the gold answer.
    "completion": (
        *("completion", "completion_text", "response", "response_text", "generated_text", "model_output"),
        *("model_response", "llm_output", "rollout_text", "output_response", "generated_response", "output_text"),
        *("output", "generation", "text"),
        *("completions", "completion_texts", "responses", "response_texts", "generated_texts", "model_outputs"),
        *("model_responses", "outputs", "generations", "texts"),  # a group in a row
    ),
    "tokens": (
        *("completion_ids", "response_ids", "response_tokens", "completion_token_ids", "response_token_ids"),
        *("generated_token_ids", "generated_ids", "output_token_ids", "token_ids", "output_ids", "tokens"),
    ),
    "mask": ("mask", "completion_mask", "response_mask", "loss_mask", "masks"),
    # Log-probabilities of the sampler, and of the trainer's own forward pass before the update.
    "logprobs": (
        *("logprobs", "completion_logprobs", "response_logprobs", "rollout_log_probs", "inference_logprobs"),
        *("sampling_per_token_logps", "generation_logprobs", "rollout_logprobs", "sampler_logprobs"),
    ),
    "trainer_logprobs": (
        *("trainer_logprobs", "trainer_log_probs", "old_log_probs", "old_logprobs", "old_per_token_logps"),
        *("prev_logprobs", "prox_logp"),
    ),
    "ref_logprobs": ("ref_logprobs",),
    # The whole before what may be a part of it, and verdicts last. `accuracy` may be that of a group.
    "reward": (
        *("reward", "scalar_reward", "reward_total", "total_reward", "final_reward", "episode_reward"),
        *("episode_return", "reward_score", "score", "rewards", "scores"),
        *("is_correct", "correct", "exact_match", "passed", "acc"),
    ),
    "advantage": ("advantage", "advantages"),
    "truncated": ("truncated", "is_truncated", "finish_reason", "stop_reason"),
    # Of a log whose rows are turns: what names the rollout, and the place of the row in it. `turns` weighs them.
    "rollout": (
        *("rollout", "episode_id", "episode_idx", "trajectory_id", "traj_id", "traj_uid", "traj_idx", "session_id"),
        *("request_id", "rollout_id"),
    ),
    "turn": (
        *("turn", "turn_id", "turn_idx", "turn_index", "step_id", "step_idx", "step_index", "step_in_episode"),
        *("episode_step", "env_step", "timestep"),
    ),
}
PER_DRAW = ("uid", "group_id", "group_index")  # keys that a trainer makes anew for every draw of a prompt
WEAK = ("index", "idx", "id")  # a key only if its values repeat: it may number the rows instead
LISTS = ("tokens", "mask", "logprobs", "trainer_logprobs", "ref_logprobs")
LABELS = ("problem", "task")  # columns of names, null where a row has none


class Inside(NamedTuple):
    """What is logged inside the completions but is none of theirs, and is cut off (see `inside`).

    Attributes:
        prompt: Texts begin with the prompt of their row.
        template: With `prompt`: what stands behind the prompt in all of them, before the answer.
        prompt_ids: Path of the ids of the prompt, with which `tokens` begin.
        start: Path of the number of ids of the prompt, which `tokens` begin with.
        length: Path of the number of ids of the completion, of which `tokens` have more: the last ones are meant.
        behind: With `length`: the first ones are meant, what follows is padding.
        pad: The id that fills lists up to one length.
        left: With `pad`: it stands in front.
        ends: The pad is the end token as well: one of it behind a completion belongs to it.
    """

    prompt: bool = False
    template: str = ""
    prompt_ids: str | None = None
    start: str | None = None
    length: str | None = None
    behind: bool = False
    pad: int | None = None
    left: bool = False
    ends: bool = False

    @property
    def front(self) -> bool:
        """Are ids of the prompt cut off the front?"""
        return bool(self.prompt_ids or self.start) or (self.length is not None and not self.behind)


def in_rows(name: str) -> str:
    """Name of a kept column in the rows, where one of ours may be called like it; polars takes `*` for all columns."""
    return name if name in SCHEMA or name in BESIDE else f"kept/{name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of a log become canonical rows.

    Attributes:
        paths: Canonical column to dotted path in the log.
        kinds: Path in the log to what the first rows hold there: int, float, bool, text, ints, bools, ..., `mixed`.
        reward_weights: Column to its weight, where the reward is a weighted sum of columns.
        parts: Name of a part of the reward to its dotted path, where parts are logged beside the reward.
        keep: Further columns, under their own names.
        beside: Columns that only the grouping looks at, name in the rows (`_rollout`, `_turn`) to path in the log.
        by: Columns of the rows whose values, with run and step, put rows in one bucket: a group, or several draws of
            one prompt.
        per_draw: The key is made anew for every draw, so a bucket is one group and is never split.
        grouped: A row of the log holds a whole group, in lists.
        from_text: Values are text (CSV) and are read as JSON where a number or a list is needed.
        step_of_file: Rows name no step, and that of their file's path is theirs.
        run_of_file: What rows name as their run is made of the name of their file.
        labels: The mask is one of labels: -100 is out of the loss, and leading ones are the prompt, which is left out.
        optional: Canonical columns that may be null in a row; of lists of numbers: null where they do not fit.
        inside: What is cut off the completions: the prompt, padding.
        chat: Path of the messages whose ids are logged, where the log has a mask of its own to hold them against
            (`rows.roles`).
        words: Column of a reward that is text (`reward`, `reward/NAME`) to the number of each word, in lower case; no
            words where the texts are numbers.
        summed: The reward of a row is a list with a number per token, and their sum is meant.
        refused: Why no row can be used, else None.
        notes: What was inferred, as sentences. A format may put its own in their place.
        cautions: Sentences that are said whatever the format is.
    """

    paths: Mapping[str, str]
    kinds: Mapping[str, str]
    reward_weights: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ("key",)
    per_draw: bool = False
    grouped: bool = False
    from_text: bool = False
    step_of_file: bool = False
    run_of_file: bool = False
    labels: bool = False
    optional: tuple[str, ...] = ()
    inside: Inside = Inside()  # noqa: RUF009 - a tuple
    chat: str | None = None
    words: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    summed: bool = False
    refused: str | None = None
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The canonical column that the units come from: `tokens` where ids are logged, else `completion`."""
        return "tokens" if "tokens" in self.paths else "completion"

    @property
    def own_columns(self) -> dict[str, str]:
        """Column of the rows (canonical, but `key` for the group as the log names it; `reward/NAME`) to path in it."""
        return {"key" if c == "group" else c: path for c, path in self.paths.items()} | self.reward_columns

    @property
    def columns(self) -> dict[str, str]:
        """Every column of the rows to its path in the log."""
        return {**self.own_columns, **self.taken_along}

    @property
    def taken_along(self) -> dict[str, str]:
        """Columns of plain values that are no canonical ones, name in the rows to path in the log."""
        return {**{in_rows(name): name for name in self.keep}, **self.beside}

    @property
    def kinds_taken_along(self) -> dict[str, str]:
        """Kind of each column that is taken along.

        The `group` of a canonical log is text whatever it holds: one file may number its groups, and another name them.
        So are its `tokens_from` and `run_from`, of which only words have a meaning.
        """
        kinds = {name: self.kinds.get(path, "") for name, path in self.taken_along.items()}
        return kinds | (
            {name: "text" for name in ("group", "tokens_from", "run_from") if "group" in self.by and name in kinds}
        )

    @property
    def reward_columns(self) -> dict[str, str]:
        """`reward/NAME` to path in the log: the columns of a weighted sum, and the parts logged beside the reward."""
        named = {**{name: name for name in self.reward_weights}, **self.parts}
        return {REWARD_PART + name: path for name, path in named.items()}

    @property
    def chunk(self) -> int:
        """Bytes of the log to work on at a time."""
        return chunks.CHUNK if "tokens" in self.paths else min(chunks.CHUNK, chunks.TEXT)
