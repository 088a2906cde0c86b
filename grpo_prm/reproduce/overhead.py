"""What λ weights cost: seconds per token beside a plain recursion, and as a share of a training step.

How long something takes depends on the machine and the moment, so findings hold only what the rule reads: whether a
bound was kept. The times are in `Evidence.timings` and in the figure's table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from ..forest import build_forest, expand
from .claims import NOT_REPRODUCED, REPRODUCED, Claim, Evidence, Finding, Verdict
from .jobs import Do, Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KS = (6, 36)
PAPER = {6: 1.19e-7, 36: 1.21e-7}  # seconds per token on an Intel i7
WORDS, PART = 150_000, 0.02  # token ids; chance to part from the completion before at each token
NUMPY, TORCH, REFERENCE = "numpy, as analyze", "torch, as train", "recursion"
PROMPTS, PROMPT, K, NEW, VOCABULARY = 8, 128, 8, 64, 2_000  # the trainer's named setting
BOUND = 0.01  # of a step
NOT_SLOWER, CHEAP = "{} not slower than the recursion", "weights at most 1 % of it"
STEP = "a training step"


class Plan(NamedTuple):
    """Rounds of which the least time counts, tokens of a completion, completions in all at each k, training steps."""

    rounds: int
    length: int
    completions: int
    steps: int


def invented(rng: Generator, groups: int, k: int, length: int) -> NDArray[np.int64]:
    """Completions that share a geometric number of tokens with the one before, 50 on average: (groups, k, length)."""
    common = rng.geometric(PART, (groups, k, 1))
    tokens = rng.integers(0, WORDS, (groups, k, length))
    for j in range(1, k):
        tokens[:, j] = np.where(np.arange(length) < common[:, j], tokens[:, j - 1], tokens[:, j])
    return tokens


def recursive_weights(completions: Sequence[Any]) -> list[Any]:
    """1 / |λ| of one group's completions, tensors of shape (tokens,), by the recursion that the definition suggests."""
    import torch

    weights = [torch.ones(len(row)) for row in completions]

    def descend(rows: list[int], start: int) -> None:
        at, children = start, {0: rows}
        while len(rows) > 1 and len(children) == 1 and len(next(iter(children.values()))) == len(rows):
            children = {}
            for row in rows:
                if at < len(completions[row]):
                    children.setdefault(completions[row][at].item(), []).append(row)
            at += 1
        for row in rows:
            weights[row][start : at - 1] = 1 / len(rows)
        if len(rows) > 1:
            for members in children.values():
                descend(members, at - 1)

    descend(list(range(len(completions))), 0)
    return weights


def overhead_record(rounds: int, length: int, completions: int, steps: int, seed: int) -> pl.DataFrame:
    """Seconds per token of every way at each k, and seconds of a training step and what belongs to it, one a row."""
    rows = []
    for k in KS:
        tokens = invented(np.random.default_rng([seed, k]), completions // k, k, length)
        rows += [(f"k = {k}", way, seconds / tokens.size) for way, seconds in time_weights(tokens, rounds).items()]
    rows += [(STEP, part, seconds) for part, seconds in time_step(steps, rounds).items()]
    return pl.DataFrame(rows, schema=["setting", "what", "seconds"], orient="row")


def time_weights(tokens: NDArray[np.int64], rounds: int) -> dict[str, float]:
    """Least seconds of each way over all groups; in turn, and compared with one another first.

    Args:
        tokens: Ids, shape (groups, k, tokens).
        rounds: Turns of each.

    Raises:
        AssertionError: Two ways disagree on a weight.
    """
    import torch

    from ..weights import lambda_weights

    groups, k, length = tokens.shape
    flat, lengths, of_group = tokens.ravel(), np.full(groups * k, length), np.repeat(np.arange(groups), k)
    ids = torch.from_numpy(tokens.reshape(groups * k, length))
    attended = torch.ones_like(ids, dtype=torch.bool)
    each = [list(group) for group in ids.unflatten(0, (groups, k))]

    def by_forest() -> NDArray:
        forest = build_forest(flat, lengths, of_group)
        return expand(forest, (1 / forest.size).astype(np.float32))

    ways: dict[str, Callable[[], Any]] = {
        NUMPY: by_forest,
        TORCH: lambda: lambda_weights(ids, attended, k),
        REFERENCE: lambda: [recursive_weights(group) for group in each],
    }
    slow = torch.cat([row for group in ways[REFERENCE]() for row in group]).numpy()
    for name in (NUMPY, TORCH):
        if not np.allclose(np.asarray(ways[name]()).ravel(), slow, rtol=1e-6, atol=0):
            raise AssertionError(f"{name} and the recursion disagree on a weight")
    return _least(ways, rounds)


def time_step(steps: int, rounds: int) -> dict[str, float]:
    """Least seconds of a step of the trainer (Qwen2, 4 layers of 128, random weights), its weights and its figures."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from ..train.config import TrainConfig
    from ..train.diagnostics import step_figures
    from ..train.sample import sample
    from ..train.update import Batch, batch_advantages, update
    from ..weights import lambda_weights

    shape: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, eos_token_id=1, pad_token_id=0, **shape))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    prompts = np.random.default_rng(0).integers(3, VOCABULARY, (PROMPTS, PROMPT)).tolist()
    config = TrainConfig(
        group_size=K, prompts=PROMPTS, max_new_tokens=NEW, learning_rate=1e-6, power=1.0, packing="padded",
        token_budget=1 << 30,
    )  # fmt: skip

    def step() -> Batch:
        made = sample(
            model, prompts, K, seed=0, step=0, names=range(PROMPTS), max_new_tokens=NEW, eos=frozenset([1])
        )  # fmt: skip
        rewards = np.array([(sum(row) * 31 + len(row)) % 97 / 97 for row in made.completions])
        batch = Batch(prompts, made.completions, K, rewards, made.truncated)
        update(model, optimizer, batch, config)
        step_figures(batch, batch_advantages(batch, config))
        return batch

    batch = step()  # warms up
    ids = pad_sequence([torch.tensor(row) for row in batch.completions], batch_first=True)
    attended = torch.arange(ids.shape[1]) < torch.from_numpy(batch.lengths)[:, None]
    found = _least({"step": step}, steps)
    return found | _least(
        {
            "weights": lambda: lambda_weights(ids, attended, K),
            "step figures": lambda: step_figures(batch, batch_advantages(batch, config)),
        },
        10 * rounds,
    )


def _least(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest call of each, in turn: noise only adds."""
    least = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, call in ways.items():
            begin = time.perf_counter()
            result = call()
            least[name] = min(least[name], time.perf_counter() - begin)
            del result  # given back outside the time that is measured
    return least


def run(plan: Plan, seed: int, do: Do) -> Evidence:
    """One job, so that nothing of ours runs beside it."""
    (record,) = do([Job("overhead/times", overhead_record, {**plan._asdict(), "seed": seed}, cost(plan))])
    return evidence_of({(row["setting"], row["what"]): row["seconds"] for row in record.iter_rows(named=True)}, plan)


def evidence_of(seconds: dict[tuple[str, str], float], plan: Plan) -> Evidence:
    """Findings say which bounds were kept; times go to `timings` and the figure."""
    findings = [
        Finding("", f"k = {k}", NOT_SLOWER.format(way), float(ours <= seconds[f"k = {k}", REFERENCE]), n=plan.rounds)
        for k in KS
        for way in (NUMPY, TORCH)
        for ours in (seconds[f"k = {k}", way],)
    ]
    step, weights, figures = (seconds[STEP, part] for part in ("step", "weights", "step figures"))
    findings.append(Finding("", STEP, CHEAP, float(weights <= BOUND * step), n=plan.steps))
    per_token = [(k, way, seconds[f"k = {k}", way]) for k in KS for way in (NUMPY, TORCH, REFERENCE)]
    timings = {
        "seconds_per_token": {f"k = {k}, {way}": float(f"{value:.3g}") for k, way, value in per_token},
        "paper_seconds_per_token": {f"k = {k}": value for k, value in PAPER.items()},
        "step_seconds": float(f"{step:.3g}"),
        "weights_percent_of_step": float(f"{100 * weights / step:.3g}"),
        "weights_and_figures_percent_of_step": float(f"{100 * (weights + figures) / step:.3g}"),
    }
    paper = [(k, "paper", value) for k, value in PAPER.items()]
    table = pl.DataFrame([*per_token, *paper], schema=["k", "way", "seconds_per_token"], orient="row")
    notes = [
        f"Invented trees, {plan.length:,} tokens a completion, 50 shared with the one before on average; one thread; "
        "the least of the rounds, in turn; all ways give the same weights. Times: machine.json and the figure.",
        f"The step: Qwen2 of 4 layers of 128, vocabulary {VOCABULARY:,}, {PROMPTS} prompts of {PROMPT} tokens x {K} "
        f"completions of {NEW}. A larger model makes the share smaller.",
        "The recursion is ours, and so is its speed. The paper's 1.19e-7 s (k = 6) and 1.21e-7 s (k = 36) are of "
        "another CPU: shown, not judged.",
    ]
    return Evidence(findings, {"overhead": table}, notes, timings)


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    missed = [f"{f.what} ({f.setting})" for f in findings if f.mean != 1.0]
    if missed:
        return Verdict(NOT_REPRODUCED, "not kept: " + "; ".join(missed))
    return Verdict(REPRODUCED, "not slower than the recursion at both k, and the weights at most 1 % of a step")


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    return 4 + 2.3 * (plan.steps + 1) + 1.5e-7 * plan.rounds * len(KS) * plan.length * plan.completions


def draw(table: pl.DataFrame) -> Figure:
    """Bars of seconds per token by k, the paper's value a line across those of its k."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from ..figures import style

    ways = [way for way in table["way"].unique(maintain_order=True) if way != "paper"]
    colours = dict(zip(ways, style.PALETTE, strict=False))
    entries = [*((Patch(color=colours[way]), way) for way in ways), (Line2D([], [], color="black"), "paper's CPU")]
    ks = table["k"].unique(maintain_order=True).to_list()
    with mpl.rc_context(style.PAPER):
        figure, (axes,) = style.new_axes(1, 1, 1.8, style.COLUMN, entries)
        wide = 0.8 / len(ways)
        for n, way in enumerate(ways):
            x = np.arange(len(ks)) + (n - (len(ways) - 1) / 2) * wide
            axes.bar(x, table.filter(way=way)["seconds_per_token"], wide, color=colours[way], zorder=2)
        for n, value in enumerate(table.filter(way="paper")["seconds_per_token"]):
            axes.hlines(value, n - 0.45, n + 0.45, color="black", linewidth=1.0, zorder=3)
        axes.set_xticks(range(len(ks)), [f"k = {k}" for k in ks])
        axes.grid(visible=False, axis="x")
        axes.set_yscale("log")
        axes.set_ylabel("seconds per token")
    return figure


CLAIM = Claim(
    name="overhead",
    says="The weights of λ-GRPO cost next to nothing: no more per token than a recursion over the tree, and at most 1 % "
    "of a training step.",
    paper="1.19e-7 s per token at k = 6 and 1.21e-7 s at k = 36 on one Intel i7.",
    rule="reproduced if at k = 6 and k = 36 the weights of analyze and those of train take no longer per token than a "
    "recursion timed in the same run, and those of train at most 1 % of a step; else not reproduced.",
    plans={
        "quick": Plan(rounds=5, length=1750, completions=144, steps=1),
        "standard": Plan(rounds=15, length=1750, completions=288, steps=5),
        "full": Plan(rounds=30, length=1750, completions=1152, steps=10),
    },
    cost=cost,
    run=run,
    decide=decide,
    figures={"overhead": draw},
)
