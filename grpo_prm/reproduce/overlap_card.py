"""What the groups of a pretrained model say: overlap beside both baselines, and the report card with its nulls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from ..analysis.analyze import analyze
from ..analysis.options import Options
from ..logs.rollouts import Rollouts
from ..text.verdict import KNOWS
from .claims import Finding, pick
from .overlap_measures import BEYOND, BEYOND_TASK, OVERLAP, SAME_TASK, TREES, TREES_CROSS, shape_of_log
from .overlap_pretrained import Cell
from .overlap_runs import record_of
from .page import interval, number

AUC, RELIABILITY, SIZE, KNOWN = "order of unseen pairs", "reliability", "mean |A|", "more than luck"
SURE, DECIDABLE = "decisions that are sure", "decisions with enough completions"
DECISIONS = {"decisions": "decisions", "decidable": DECIDABLE, "sure_decisions": SURE}
NULL = ", permuted rewards"


def card(cell: Cell, seed: int) -> list[Finding]:
    """Every number of the groups of one temperature and size.

    Args:
        cell: The groups.
        seed: Of permutations and resamples.
    """
    log = Rollouts(cell.table)
    of_mix = analyze(log, Options(seed=seed))
    of_task = analyze(log, Options(seed=seed, baseline_by="task"))
    findings = [*_overlap(of_mix, of_task, seed), *_credit(of_mix.summary), *_update(of_mix.summary["defects"])]
    setting = cell.setting
    return [f._replace(part=cell.part, setting=f"{setting}, {f.setting}" if f.setting else setting) for f in findings]


def _overlap(of_mix: Any, of_task: Any, seed: int) -> Iterator[Finding]:
    """Trees and tokens, beside pseudo-groups of the whole mix and of prompts of one task."""
    mean = of_mix.summary["overlap"]["intermediate_proportion"]
    for finding in shape_of_log("", record_of(of_mix), seed):
        if finding.what == "intermediate":
            yield _of("intermediate", mean)
        elif finding.what in (TREES, TREES_CROSS, "cross-prompt", BEYOND):
            yield finding._replace(setting="")
    for finding in shape_of_log("", record_of(of_task), seed):
        if finding.what in (TREES_CROSS, "cross-prompt", BEYOND):
            few = "fewer prompts of a task than k" if finding.mean is None else finding.note
            yield finding._replace(setting="", what=f"{finding.what}{SAME_TASK}", note=few)
    by_task = of_task.baseline.group_by("baseline_by").agg(pl.col(OVERLAP).mean()).sort("baseline_by")
    yield from (Finding("", task.rpartition(":")[2], f"cross-prompt{SAME_TASK}", mean) for task, mean in by_task.rows())


def _credit(summary: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the step rewards say anything about the reward: reliability, unseen pairs, decisions, mean |A|."""
    credit, counts, size = summary["credit"], summary["counts"], summary["informativeness"]
    yield Finding("", "", "groups of equal rewards", counts["groups_zero_variance"] / counts["groups"])
    yield _of(RELIABILITY, credit["reliability"])
    yield from _beside_null(AUC, credit["leave_pair_out_auc"])
    yield from _beside_null(SIZE, size and size | {"mean": size["observed"], "low": None, "high": None})
    yield from _beside_null("inherited", credit["inherited"])
    yield from (Finding("", "", what, float(credit[key])) for key, what in DECISIONS.items())
    yield Finding("", "", KNOWN, None, note=KNOWS[summary["verdict"]["knows"]["code"]])


def _update(defects: Mapping[str, Any]) -> Iterator[Finding]:
    """What p = 1 would change."""
    for what in ("update_scale", "update_norm", "update_cosine"):
        yield _of(what.replace("_", " "), defects[what]["1"])
    yield _of("raised share", defects["raised_share"])
    yield from _beside_null("suppressed-good", defects["suppressed_good"])
    yield from _beside_null("boosted-bad", defects["boosted_bad"])


def _of(what: str, value: Mapping[str, Any] | None, note: str = "") -> Finding:
    """A number of summary.json."""
    if value is None:
        return Finding("", "", what, None, note=note)
    return Finding("", "", what, value["mean"], value["low"], value["high"], value.get("n", 0), note=note)


def _beside_null(what: str, value: Mapping[str, Any] | None) -> Iterator[Finding]:
    """A number, and what permuted rewards give."""
    if value is None:
        yield Finding("", "", what, None)
        return
    p = value.get("p_value")
    yield _of(what, value, "" if p is None else f"p = {number(p)}")
    yield Finding("", "", what + NULL, *(value[f"null_{end}"] for end in ("mean", "low", "high")))


def report_card(findings: Sequence[Finding]) -> pl.DataFrame | None:
    """A row for each temperature and size, with the null beside each number; None without any."""
    cells = [(f.part, f.setting) for f in findings if f.what == KNOWN]
    return pl.DataFrame([_row(findings, *cell) for cell in cells]) if cells else None


def _row(findings: Sequence[Finding], part: str, setting: str) -> dict[str, str]:
    def one(what: str) -> Finding:
        return pick(findings, what, part=part, setting=setting)[0]

    def said(what: str) -> str:
        return interval(one(what)._asdict())

    def beside(what: str) -> str:
        null = one(what + NULL)
        return f"{said(what)}; chance {number(null.low)} to {number(null.high)}, {one(what).note}"

    return {
        "groups": f"{part}, {setting}",
        "non-trivial trees": said(TREES),
        "cross-prompt trees": said(TREES_CROSS),
        "intermediate tokens": said("intermediate"),
        "cross-prompt": said("cross-prompt"),
        "same task": said(f"cross-prompt{SAME_TASK}"),
        RELIABILITY: said(RELIABILITY),
        AUC: beside(AUC),
        SIZE: beside(SIZE),
        "sure decisions": f"{one(SURE).mean:.0f} of {one(DECIDABLE).mean:.0f}",
        "update norm": said("update norm"),
        "update cosine": said("update cosine"),
    }


def in_words(findings: Sequence[Finding]) -> list[str]:
    """What the pretrained model shows, in plain words, for each temperature."""
    parts = dict.fromkeys(f.part for f in findings if f.what == KNOWN)
    return [f"In plain words, {part}: {_headline(findings, part)} {_reward(findings, part)}" for part in parts]


def _headline(findings: Sequence[Finding], part: str) -> str:
    """Of the first group size."""

    def percent(what: str) -> str:
        return f"{100 * (pick(findings, what, part=part)[0].mean or 0.0):.1f} %"

    crossed, beyond = (pick(findings, what, part=part)[0] for what in (TREES_CROSS, BEYOND_TASK))
    # More than half of the groups that have nothing in common have such a tree too: it is no sign of credit.
    weak = (crossed.mean or 0.0) > 0.5
    points = [100 * (end or 0.0) for end in (beyond.mean, beyond.low, beyond.high)]
    ends = "" if beyond.low is None else " ({:.1f} points more, [{:.1f}, {:.1f}])".format(*points)
    return (
        f"at {crossed.setting} {percent(TREES)} of the trees are non-trivial, {'but so are' if weak else 'and'} "
        f"{percent(TREES_CROSS)} of those of groups mixed from different prompts, so that share is "
        f"{'weak evidence' if weak else 'evidence'}. The share of intermediate tokens above its baseline says more: "
        f"{percent('intermediate')}, where groups mixed from different prompts have {percent('cross-prompt')}, and "
        f"those of different prompts of one task {percent('cross-prompt' + SAME_TASK)}{ends}."
    )


def _reward(findings: Sequence[Finding], part: str) -> str:
    """Whether the branches say anything about the reward, by group size."""
    said = []
    for known in pick(findings, KNOWN, part=part):
        order, null, signal = (
            pick(findings, what, part=part, setting=known.setting)[0] for what in (AUC, AUC + NULL, RELIABILITY)
        )
        said.append(
            f"at {known.setting} {100 * (order.mean or 0.0):.1f} % of unseen pairs are in the right order (chance: "
            f"{100 * (null.low or 0.0):.1f} to {100 * (null.high or 0.0):.1f} %, {order.note}) and reliability is "
            f"{interval(signal._asdict())}: {known.note}"
        )
    return (
        f"Whether the step rewards say anything about the reward: {'; '.join(said)}. (No p is adjusted for the others.)"
    )
