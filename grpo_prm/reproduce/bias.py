"""A decision that the reward does not depend on: which weights leave it alone (definitions: parent weights).

The first token is good or bad, and the reward 1 or 0 with a probability that depends on it alone. The second token,
behind either, is the common alternative or the rare one and changes nothing, so its expected gradient should be 0. A
group is how many completions of each kind it holds and how many of them are rewarded; all the rest follows from these
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.random import Generator

from ..core.forest import Floats, Ints
from ..core.prm import EPS
from .claims import NOT_REPRODUCED, REPRODUCED, Claim, Evidence, Finding, Verdict, pick
from .jobs import Job, RunJobs
from .methods import BY_NAME, Kind, Method

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = (*(BY_NAME[name] for name in ("p = 0", "p = 0.5", "p = 1")), Method("p = 2", 2.0), BY_NAME["parent"])
PREFIXES = ("good", "bad")
GOOD = 0.5  # probability of the good first token
WORTH = {"good": 0.75, "bad": 0.25}  # probability of reward 1 behind it
COMMON = 0.9  # probability of the common alternative of the second token
CURVE = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
CURVE_K = (8, 16)
BOUND = 2.0  # per cent of the mean |gradient| within which a bias counts as none
BLOCK = 100_000  # groups held at a time


class Plan(NamedTuple):
    """Group sizes, groups drawn at each, and groups drawn for each point of the curve."""

    ks: tuple[int, ...]
    groups: int
    curve_groups: int


class Alternatives(NamedTuple):
    """Completions with each alternative behind one prefix, and the sums of their advantages, shape (groups,) each."""

    common: Ints
    rare: Ints
    of_common: Floats
    of_rare: Floats


def alternatives(completions: Ints, rewarded: Ints, k: int) -> list[Alternatives]:
    """Advantages of binary rewards, added up by alternative, for each of `PREFIXES`.

    Args:
        completions: Good common, good rare, bad common, bad rare, which are k together, shape (4, groups).
        rewarded: How many of each have reward 1, shape (4, groups).
        k: Completions of a group.
    """
    mean = rewarded.sum(0) / k
    # Rewards are 0 or 1, so that their number gives mean and deviation.
    spread = np.sqrt(k * mean * (1 - mean) / (k - 1))  # sample deviation; 0 makes every advantage 0
    sums = (rewarded - completions * mean) / (spread + EPS)
    return [Alternatives(*completions[n : n + 2], *sums[n : n + 2]) for n in (0, 2)]


def gradient(behind: Alternatives, k: int, common: float, power: float, kind: Kind) -> Floats:
    """Ascent of the logit of the common alternative, Σ f a (1[common] - π(common)), shape (groups,).

    Args:
        behind: Of one prefix.
        k: Completions of a group.
        common: π(common).
        power: p.
        kind: `process-set`, or `parent`.
    """
    factor = np.maximum(np.arange(k + 1), 1.0) ** -power  # of every count; that of 0 multiplies nothing
    if kind == "parent":
        of_common = of_rare = factor[behind.common + behind.rare]
    else:
        of_common, of_rare = factor[behind.common], factor[behind.rare]
    return of_common * behind.of_common * (1 - common) - of_rare * behind.of_rare * common


def draw_groups(rng: Generator, groups: int, k: int, common: float) -> tuple[Ints, Ints]:
    """Completions and rewarded ones of groups, as `alternatives` takes them."""
    # Counts are drawn, not completions: binomials of binomials have the same distribution, at any k for one price.
    good = rng.binomial(k, GOOD, groups)
    behind = [side for first in (good, k - good) for side in _split(rng, first, common)]
    worth = [WORTH[prefix] for prefix in PREFIXES for _ in range(2)]
    return np.stack(behind), np.stack([rng.binomial(n, w) for n, w in zip(behind, worth, strict=True)])


def _split(rng: Generator, number: Ints, common: float) -> tuple[Ints, Ints]:
    taken = rng.binomial(number, common)
    return taken, number - taken


def bias_record(k: int, groups: int, commons: Sequence[float], seed: int) -> pl.DataFrame:
    """Bias of every method as per cent of its mean |gradient|, a row for each probability, prefix and method."""
    rows = []
    for number, common in enumerate(commons):
        # All methods see the same groups, so that they differ by their weights alone.
        rng, sums = np.random.default_rng([seed, k, number]), np.zeros((len(PREFIXES), len(METHODS), 4))
        for some in _blocks(groups):
            drawn = alternatives(*draw_groups(rng, some, k, common), k)
            for at, behind in enumerate(drawn):
                for number, method in enumerate(METHODS):
                    g = gradient(behind, k, common, method.power, method.kind)
                    sums[at, number] += g.sum(), np.abs(g).sum(), g @ g, g @ np.abs(g)
        rows += [
            (k, common, prefix, method.name, groups, *share_of_size(sums[at, number], groups))
            for at, prefix in enumerate(PREFIXES)
            for number, method in enumerate(METHODS)
        ]
    return pl.DataFrame(rows, schema=["k", "common", "prefix", "method", "groups", "bias", "error"], orient="row")


def _blocks(groups: int) -> Iterator[int]:
    for begin in range(0, groups, BLOCK):
        yield min(BLOCK, groups - begin)


def share_of_size(sums: Floats, n: int) -> tuple[float, float]:
    """Mean g over mean |g| and its standard error (delta method), in per cent; of Σ g, Σ |g|, Σ g², Σ g |g|."""
    total, size, squares, product = (sums / n).tolist()
    share = total / size
    # The ratio of two means is, to first order, share + mean(g - share |g|) / mean |g|. What follows is the variance of
    # g - share |g|, whose mean is 0.
    variance = squares - 2 * share * product + share**2 * squares
    return 100 * share, 100 * float(np.sqrt(variance / n)) / size


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """A job for each k, and one for each k of the curve."""
    jobs = [_job(f"k-{k}", k, plan.groups, (COMMON,), seed) for k in plan.ks]
    jobs += [_job(f"curve-{k}", k, plan.curve_groups, CURVE, seed) for k in CURVE_K]
    records = run_jobs(jobs)
    by_k, curve = pl.concat(records[: len(plan.ks)]), pl.concat(records[len(plan.ks) :])
    bounds = [(pl.col("bias") + sign * 1.96 * pl.col("error")).alias(name) for sign, name in ((-1, "low"), (1, "high"))]
    by_k, curve = by_k.with_columns(bounds), curve.with_columns(bounds)
    findings = [_finding(row) for row in by_k.iter_rows(named=True)]
    notes = [
        f"First token good with {GOOD:g}; reward 1 with {WORTH['good']:g} behind good, {WORTH['bad']:g} behind bad; "
        f"second token common with {COMMON:g}: an example, whose size depends on all four numbers (figure bias pull).",
        "Numbers are per cent of the mean over groups of |gradient| of the same method, for the logit of the common "
        "alternative: above 0 it pulls toward the mode, below 0 toward uniform. 95 % intervals, delta method.",
        "The pull of p > 0 grows with k as a share of the gradient, so larger groups do not average it out.",
    ]
    return Evidence(findings, {"bias_by_k": by_k, "bias_pull": curve.filter(method="p = 1")}, notes)


def _job(name: str, k: int, groups: int, commons: Sequence[float], seed: int) -> Job:
    arguments = {"k": k, "groups": groups, "commons": list(commons), "seed": seed}
    return Job(f"bias/{name}", bias_record, arguments, _seconds(groups * len(commons)))


def _finding(row: dict) -> Finding:
    """With the p-value of a test against 0 where the rule reads one."""
    from scipy.special import ndtr

    judged = row["method"] == "p = 1"
    p = float(2 * ndtr(-abs(row["bias"]) / row["error"])) if judged else None
    setting = f"k = {row['k']}, below {row['prefix']} prefixes"
    return Finding("", setting, row["method"], row["bias"], row["low"], row["high"], row["groups"], p)


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    even = pick(findings, "p = 0") + pick(findings, "parent")
    pulled = pick(findings, "p = 1")
    # Even: an interval that reaches beyond the bound does not show that there is no bias, even where it holds 0.
    off = [f for f in even if f.low is None or f.high is None or not -BOUND < f.low <= f.high < BOUND]
    still = [f for f in pulled if not (f.above if "bad" in f.setting else f.below)]
    sizes = sorted(abs(f.mean or 0.0) for f in pulled)
    widest = max((abs(end or 0.0) for f in even for end in (f.low, f.high)), default=0.0)
    why = f"(ours, not the paper's) p = 1 pulls with {sizes[0]:.0f} to {sizes[-1]:.0f} % of its mean |gradient|; the "
    why += f"intervals of p = 0 and parent weights stay within {widest:.1f} %"
    if off or still:
        why += "; against the rule: " + "; ".join(f"{f.what} at {f.setting}" for f in (*off, *still))
    return Verdict(NOT_REPRODUCED if off or still else REPRODUCED, why)


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    return _seconds(plan.groups) * len(plan.ks) + _seconds(plan.curve_groups * len(CURVE)) * len(CURVE_K)


def _seconds(groups: int) -> float:
    return 0.1 + groups / 2_500_000


def draw_by_k(table: pl.DataFrame) -> Figure:
    """Bias against k, a line for each method, a panel for each prefix."""
    from .bias_drawing import lines_by_k

    return lines_by_k(table)


def draw_pull(table: pl.DataFrame) -> Figure:
    """What p = 1 pulls toward, against the probability of the common alternative."""
    from .bias_drawing import pull_curves

    return pull_curves(table)


CLAIM = Claim(
    name="bias",
    says="Ours: a decision that the reward does not depend on is left alone by GRPO and by parent weights "
    "|λ(i,t-1)|^-1, and pulled at by |λ|^-1.",
    paper="Not in the paper; ours.",
    rule="reproduced if at every k, below good and below bad prefixes, the 95 % interval of the bias lies within ±2 % "
    "of the mean |gradient| at p = 0 and with parent weights (p = 1), and at p = 1 below 0 (toward uniform) below good "
    "prefixes and above 0 (toward the mode) below bad ones; else not reproduced.",
    plans={
        "quick": Plan((4, 8, 16, 32), 1_000_000, 200_000),
        "standard": Plan((4, 8, 16, 32), 4_000_000, 500_000),
        "full": Plan((4, 8, 16, 32, 64), 16_000_000, 2_000_000),
    },
    cost=cost,
    run=run,
    decide=decide,
    figures={"bias_by_k": draw_by_k, "bias_pull": draw_pull},
    captions={
        "bias_by_k": "Pull on the common alternative against the group size; p = 0 lies below parent, at 0.",
        "bias_pull": "Pull of p = 1 against how common the common alternative is, below good and bad prefixes.",
    },
    always=True,
)
