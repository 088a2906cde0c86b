"""Shared steps weigh |λ| times: what one step of GRPO does to the target of a tree on which every leaf is as likely."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Floats
from .claims import NOT_REPRODUCED, REPRODUCED, Claim, Evidence, Finding, Verdict, pick
from .jobs import Job, RunJobs
from .methods import METHODS as ALL_METHODS
from .methods import Kind
from .tabular import Tree, ascent, paper_tree, target_gradient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLOCK = 100_000  # groups at a time


class Change(NamedTuple):
    """Expected change of log π(target) in one step of rate 1, in all and by decision on the way, with its error.

    Attributes:
        total: Sum over the decisions.
        decisions: Of each decision, shape (depth,).
        error: Standard error of `total`; 0 where every group was counted.
    """

    total: float
    decisions: Floats
    error: float


def exact_change(tree: Tree, k: int, power: float, kind: Kind = "process-set") -> Change:
    """Over all groups of k, each with its multinomial probability."""
    from scipy.special import gammaln

    leaves = len(tree.rewards)
    # A group is how many of its completions end on each leaf: k stars, and bars that part them into leaves.
    bars = np.array(list(combinations(range(k + leaves - 1), leaves - 1)))
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), k + leaves - 1)])
    counts = np.diff(edges) - 1
    probability = np.exp(gammaln(k + 1) - gammaln(counts + 1).sum(1) - k * np.log(leaves))
    decisions = probability @ _changes(tree, counts, power, kind)
    return Change(float(decisions.sum()), decisions, 0.0)


def sampled_change(tree: Tree, k: int, power: float, kind: Kind = "process-set", *, groups: int, seed: int) -> Change:
    """Over so many groups drawn at random."""
    rng, leaves = np.random.default_rng(seed), len(tree.rewards)
    sums, squares = np.zeros(tree.depth), 0.0
    for begin in range(0, groups, BLOCK):
        counts = rng.multinomial(k, np.full(leaves, 1 / leaves), min(BLOCK, groups - begin))
        changes = _changes(tree, counts, power, kind)
        # Sums of blocks, so that memory does not grow with the number of groups.
        sums, squares = sums + changes.sum(0), squares + (changes.sum(1) ** 2).sum()
    total = sums.sum() / groups
    spread = (squares - groups * total**2) / (groups - 1)
    return Change(float(total), sums / groups, float(np.sqrt(spread / groups)))


def _changes(tree: Tree, counts: np.ndarray, power: float, kind: Kind) -> Floats:
    """First-order change of log π(target) through every decision, shape (groups, depth)."""
    logits = [np.zeros(1 << level) for level in range(tree.depth)]
    wanted = target_gradient(tree, logits)
    made = ascent(counts, tree.rewards, logits, power, kind)
    # A softmax has two logits, and a step moves both: their difference by twice as much.
    return np.stack([(2 * slope * step).sum(-1) for slope, step in zip(wanted, made, strict=True)], axis=1)


# Matching a size is for a run of many steps: one step of rate 1 has no use for it.
METHODS = tuple(method for method in ALL_METHODS if method.control is None)
K, SHARED, BAD = 16, 1, -1.0
EXACT = (2, 3)  # depths at which every group is counted
SAMPLED = 4
FIRST = f"depth {SAMPLED}, first decision"


class Plan(NamedTuple):
    """How many groups are drawn at depth 4."""

    groups: int


def change_record(depth: int, groups: int, seed: int) -> pl.DataFrame:
    """Expected change of log π(target) in one step, a row for each method and decision; decision 0 is their sum."""
    tree = paper_tree(SHARED, BAD, depth=depth, target=6 >> (SAMPLED - depth))
    rows = []
    for name, power, kind, _ in METHODS:
        if depth in EXACT:
            change = exact_change(tree, K, power, kind)
        else:
            change = sampled_change(tree, K, power, kind, groups=groups, seed=seed)
        for decision, value in enumerate((change.total, *change.decisions.tolist())):
            rows.append((depth, name, decision, value, change.error if decision == 0 else None))
    return pl.DataFrame(rows, schema=["depth", "method", "decision", "change", "error"], orient="row", strict=False)


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Exact at depth 2 and 3, drawn at depth 4."""
    jobs = [Job(f"defect/depth-{depth}", change_record, {"depth": depth, "groups": 0, "seed": 0}) for depth in EXACT]
    arguments = {"depth": SAMPLED, "groups": plan.groups, "seed": seed}
    jobs.append(Job(f"defect/depth-{SAMPLED}", change_record, arguments, cost(plan)))
    table = pl.concat(run_jobs(jobs), how="vertical_relaxed")
    findings = [_finding(row, plan) for row in table.filter(decision=0).iter_rows(named=True)]
    findings += [
        Finding("", FIRST, row["method"], row["change"], n=plan.groups)
        for row in table.filter(depth=SAMPLED, decision=1).iter_rows(named=True)
    ]
    notes = [f"One step of rate 1 from uniform policies; n = {SHARED}, r_neg = {BAD:g}, k = {K}."]
    first = [f for f in findings if f.setting == FIRST]
    lowest = [f.what for f in first if (f.mean or 0) < 0]
    notes.append(
        f"The FIRST decision toward the target is lowered by {', '.join(lowest) or 'none'}: what rises is behind it."
    )
    return Evidence(findings, {"defect_one_step": table}, notes)


def _finding(row: dict, plan: Plan) -> Finding:
    """The sum over the decisions, with 1.96 standard errors where groups were drawn."""
    from scipy.special import ndtr

    half, judged = 1.96 * row["error"], row["method"] in ("p = 0", "p = 1")
    ends = (row["change"], row["change"] - half, row["change"] + half)
    if row["depth"] != SAMPLED:
        return Finding("", f"depth {row['depth']}", row["method"], *ends, note="exact")
    p = float(2 * ndtr(-abs(row["change"]) / row["error"])) if judged else None
    return Finding("", f"depth {SAMPLED}", row["method"], *ends, plan.groups, p)


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    plain, ours = (pick(findings, name, setting=f"depth {SAMPLED}")[0] for name in ("p = 0", "p = 1"))
    why = f"one step changes log π(target) by {plain.mean:+.4f} at p = 0 and by {ours.mean:+.4f} at p = 1"
    placebo = pick(findings, "position", setting=f"depth {SAMPLED}")[0]
    if placebo.low is not None and placebo.low > 0:
        why += f"; the position placebo, which knows nothing of the branch, gives {placebo.mean:+.4f}"
    shallow = [f.setting for f in pick(findings, "p = 0") if f.above]
    why += f"; at {' and '.join(shallow)} GRPO raises it too" if shallow else ""
    return Verdict(REPRODUCED if plain.below and ours.above else NOT_REPRODUCED, why)


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    return 1 + plan.groups / 40_000


def draw(table: pl.DataFrame) -> Figure:
    """Bars of every decision by method, and their sum."""
    from .drawing import change_bars

    return change_bars(table.filter(depth=SAMPLED))


CLAIM = Claim(
    name="defect",
    says="GRPO weighs a shared step once for each completion on it, which lowers a target behind a bad branch.",
    paper="GRPO holds back exploitation of a good completion that shares its start with bad ones (section 4).",
    rule="reproduced if at depth 4 the 95 % interval of the expected one-step change of log π(target) lies below 0 at "
    "p = 0 and above 0 at p = 1; else not reproduced.",
    plans={"quick": Plan(100_000), "standard": Plan(1_000_000), "full": Plan(4_000_000)},
    cost=cost,
    run=run,
    decide=decide,
    figures={"defect_one_step": draw},
    captions={
        "defect_one_step": "Depth 4: change of the log-probability of the target in one expected step of rate 1, over "
        "all "
        "four decisions and through each; every leaf as likely at the start."
    },
)
