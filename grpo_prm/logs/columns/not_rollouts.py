"""What a table is that holds no rollouts: pairs of preferences, a data set, curves of training, one single object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .first_rows import MISSING, Rows, at, kind_of, names_of
from .plan import NAMES

_LOG = "Give the log of rollouts that GRPO training wrote: several completions of each prompt, each with its reward"
_PAIR = ("chosen", "rejected")
_METRICS = re.compile(
    r"(^|[._/])(loss|train_loss|policy_loss|pg_loss|actor_loss|learning_rate|lr|grad_norm|grad_norms?|kl|kl_loss|entropy"
    r"|clip_ratio|clipfrac|tokens_per_second|perplexity|completions/mean_length|throughput|mfu|epoch|num_tokens)$"
)
# What asks, and what answers in a data set: no name that only a log of samples has.
_ASKS = ("prompt", "question", "problem", "query", "instruction", "input", "messages", "conversations", "dialogue")
_ANSWERS = ("answer", "solution", "output", "response", "completion", "target", "answers", "label", "ground_truth")
_CHATS = ("messages", "conversations", "dialogue")
_SAMPLED = {n for c in ("step", "sample", "tokens", "logprobs", "advantage", "truncated") for n in NAMES[c]}
# Numbers that a data set has of its problems.
_OF_PROBLEMS = re.compile(
    r"(^|[._])(id|idx|index|level|difficulty|year|len|length|tokens|num|n|no|nr|number|split|source|seed|version"
    r"|problem_?idx|__index_level_0__)(s|$|[._])",
    re.IGNORECASE,
)
_GOOD = re.compile(r"reward|score|correct|accura|\bacc\b|pass|success|advantage|verdict", re.IGNORECASE)
# Keys of single objects to what they are, and what to give.
_OBJECTS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("nbformat", "cells"), "a Jupyter notebook", _LOG),
    (("log_history", "global_step"), "the state of a trainer (curves of training)", _LOG),
    (("_runtime", "_timestamp"), "the last values of a W&B run", "Give its tables, files/media/table/*.table.json"),
    (
        ("source", "counts", "verdict"),
        "the summary of an analysis, which grpo-prm wrote",
        "Give the log it was made of",
    ),
    (("model_type",), "the configuration of a model", _LOG),
    (("architectures",), "the configuration of a model", _LOG),
    (("env_id", "num_examples"), "what an evaluation was run with", "Give the results.jsonl beside it"),
    (("env", "num_examples"), "what an evaluation was run with", "Give the results.jsonl beside it"),
    (("git_commit", "run_name"), "what a run was started with", "Give the shards of rollouts beside it"),
    (("added_tokens", "model"), "a tokenizer", "Give it as --tokenizer, and a log of rollouts"),
    (("weight_map",), "the index of the weights of a model", _LOG),
)


def not_rollouts(rows: Rows, name: str) -> str | None:
    """The message for rows without completions or rewards that are known to be something else; None for others.

    Args:
        rows: The first rows of a log in which completions or the reward are lacking.
        name: The file, for messages.
    """
    found = _pairs(rows) or _object(rows) or _curves(rows) or _data_set(rows)
    if found is None:
        return None
    what, instead = found
    return f"{name}: {what}: not rollouts. {instead}."


def _pairs(rows: Rows) -> tuple[str, str] | None:
    """Preferences, as DPO and reward models are trained on."""
    names = names_of(rows)
    held = [next((n for n in names if word in re.split(r"[._ ]", n.lower())), None) for word in _PAIR]
    if None in held:
        return None
    columns = ", ".join(filter(None, held))
    return f"pairs of a preferred and a rejected answer ({columns}), as DPO and reward models learn from", _LOG


def _object(rows: Rows) -> tuple[str, str] | None:
    """One object that is about something, rather than a row of it; or the cells of a notebook."""
    if rows and {"cell_type", "source"} <= rows[0].keys():
        return "the cells of a Jupyter notebook", _LOG
    if len(rows) != 1:
        return None
    keys = rows[0].keys()
    for wanted, what, instead in _OBJECTS:
        if keys >= set(wanted):
            return f"{what} ({', '.join(wanted)})", instead
    return None


def _curves(rows: Rows) -> tuple[str, str] | None:
    """Numbers of whole steps: nothing in them is text of several words, or a list."""
    found = [name for name in names_of(rows) if _METRICS.search(name)]
    if len(found) < 2 or any(_says_something(value) for row in rows[:50] for value in row.values()):
        return None
    return f"curves of training ({', '.join(found[:3])}), one row a step", _LOG


def _data_set(rows: Rows) -> tuple[str, str] | None:
    """Prompts, or prompts with one answer each: no two rows ask the same, and no row says how good an answer is."""
    names = names_of(rows)
    asks = next((name for name in _ASKS if name in names), None)
    if asks is None or not _one_row_each(rows, asks) or any(_of_a_sample(rows, name) for name in names):
        return None
    answers = next((name for name in _ANSWERS if name in names and name != asks), None)
    if asks in _CHATS and _ends_with_answer(at(rows[0], asks)):
        return f"a data set of conversations ({asks}), as fine-tuning learns from, without rewards", _LOG
    if answers:
        return f"a data set of prompts with one answer each ({asks}, {answers}), without rewards", _LOG
    return f"a data set of prompts ({asks}), without what a model answered", _LOG


def _of_a_sample(rows: Rows, name: str) -> bool:
    """Does a column say something of one sample: a verdict, a step, a number that may be a reward?"""
    if _GOOD.search(name) or name in _SAMPLED:
        return True
    return kind_of(rows, name, False) in ("int", "float", "bool", "floats") and not _OF_PROBLEMS.search(name)


def _one_row_each(rows: Rows, path: str) -> bool:
    """Do at least nine of ten rows ask something of their own? A single row tells nothing."""
    values = [repr(value) for row in rows if (value := at(row, path)) is not MISSING]
    return len(values) > 1 and len(set(values)) >= 0.9 * len(values)


def _ends_with_answer(value: Any) -> bool:
    last = value[-1] if isinstance(value, list) and value else None
    return isinstance(last, Mapping) and (last.get("role") or last.get("from")) in ("assistant", "gpt")


def _says_something(value: Any) -> bool:
    """Is it a list, or text of several words?"""
    return isinstance(value, list) or (isinstance(value, str) and len(value.split()) > 3)
