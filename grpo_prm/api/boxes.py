"""The trees of groups in a notebook: a box for each process step, those that go on from it inside its list."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from ..text.amounts import amount
from ..tree.printed import LEGEND, LEVELS, cells, folded, heading, marks, step_text
from .markup import LOWERED, RAISED, element, framed, shown

STEPS = 150  # boxes of a group
TINT = (0.06, 0.34)  # of the smallest and of the largest |A| of a group, so strong that text stays readable
ABOUT = (
    "A: mean advantage of the completions that share the step, by which GRPO pushes it up (blue) or down (orange). "
    "R: their mean reward. ■: a completion ends here."
)
OPPOSED = LEGEND.partition("\n")[2]  # what suppressed good and boosted bad are
KINDS = {1: "raised", -1: "lowered", 0: "", None: ""}


def as_html(groups: Sequence[dict[str, Any]]) -> str:
    """The groups as nested lists of boxes, in HTML without script.

    Of a group with more than `STEPS` process steps those are shown that most completions share, and how many are not.

    Args:
        groups: Of `tree.view.group_tree`.
    """
    return framed([*map(_group, groups), element("p", ABOUT), element("p", OPPOSED)])


def _group(group: dict[str, Any]) -> str:
    steps = group["steps"]
    lines = [element("p", line.plain) for line in heading(group)]
    if group["prompt"]:
        prompt = folded(group["prompt"], full=False).plain
        lines.append(f"<p><b>prompt</b> <span class='text'>{shown(prompt)}</span></p>")
    if len(steps) > STEPS:
        most = f"Shown are the {STEPS} of {len(steps):,} process steps that most completions share;"
        lines.append(f"<p>{most} <code>.groups</code> has all.</p>")
    return f"<div>{''.join(lines)}<ul>{_branches(steps, group['unit'])}</ul></div>"


def _branches(steps: Sequence[dict[str, Any]], unit: str) -> str:
    """The boxes of a group, each with those that go on from it."""
    children: dict[int, list[int]] = defaultdict(list)
    for n in _largest(steps):
        children[steps[n]["parent"]].append(n)
    every = Counter(step["parent"] for step in steps)
    strongest = max((abs(step["advantage"] or 0.0) for step in steps), default=0.0)

    def branch(n: int) -> str:
        step, below = steps[n], children.get(n, [])
        further = "".join(map(branch, below))
        if hidden := every[n] - len(below):
            further += f"<li{_deep(step['depth'] + 1)}>… and {amount(hidden, 'more step')} from here</li>"
        inside = f"<ul>{further}</ul>" if further else ""
        return f"<li{_deep(step['depth'])}>{_box(step, unit, strongest)}{inside}</li>"

    return "".join(map(branch, children[-1]))


def _largest(steps: Sequence[dict[str, Any]]) -> list[int]:
    """The steps that are shown, in their order."""
    # A set is a part of its parent's: in this order parents come first, and are shown with any step of theirs.
    by_size = sorted(range(len(steps)), key=lambda n: (-steps[n]["size"], steps[n]["depth"], n))
    return sorted(by_size[:STEPS])


def _deep(depth: int) -> str:
    """Deep levels are not moved further to the right; their box says how deep they are."""
    return " class='deep'" if depth > LEVELS else ""


def _box(step: dict[str, Any], unit: str, strongest: float) -> str:
    _, reward, advantage, _ = cells(step)
    level = f" · level {step['depth']}" if step["depth"] > LEVELS else ""
    numbers = (
        f"A {advantage.strip()} · R {reward} · {amount(step['size'], 'completion')} · "
        f"{amount(step['end'] - step['start'], unit)}{level}{marks(step).plain}"
    )
    text = element("div", step_text(step, full=False).plain, "text")
    kind, tint = KINDS[step["sign"]], ""
    if kind:
        low, high = TINT
        strength = low + (high - low) * abs(step["advantage"]) / strongest
        tint = f" style='background: rgba({RAISED if step['sign'] > 0 else LOWERED}, {round(strength, 2)})'"
    return f"<div class='{f'box {kind}'.strip()}'{tint}>{element('div', numbers, 'numbers')}{text}</div>"
