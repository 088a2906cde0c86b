"""What a claim is: a sentence, the paper's number, a rule that is fixed before any run, and the evidence it judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl

from .jobs import WORKER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .jobs import Job, RunJobs

Word = Literal["reproduced", "partly", "not reproduced", "not testable here"]
REPRODUCED: Word = "reproduced"
PARTLY: Word = "partly"
NOT_REPRODUCED: Word = "not reproduced"
NOT_TESTABLE: Word = "not testable here"
TRAINER = ("torch", "transformers", "accelerate", "safetensors", "yaml")  # what `grpo_prm.train` imports


class Finding(NamedTuple):
    """A number that was measured.

    Attributes:
        part: What gets a verdict of its own: a policy, a task; "" where the claim is one.
        setting: Where: a tree, a size.
        what: Of what, such as `p = 1` or `p = 1 - p = 0`.
        mean: The number.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        n: What the interval is over: seeds, trees, groups.
        p: Two-sided p-value of a comparison that the rule reads; None for what is only shown.
        p_holm: The same, adjusted by Holm over all comparisons of the claim that the rule reads.
        note: Why the rule does not use it (`edge`, `one rate`, `ceiling`), or what else is to be known of it.
    """

    part: str
    setting: str
    what: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    p: float | None = None
    p_holm: float | None = None
    note: str = ""

    @property
    def above(self) -> bool:
        """Beyond 0 from above: its interval, and after Holm's adjustment too."""
        # The interval alone is not adjusted, and the p-value alone does not say on which side.
        return self.low is not None and self.low > 0 and (self.p_holm is None or self.p_holm <= 0.05)

    @property
    def below(self) -> bool:
        """Beyond 0 from below."""
        return self.high is not None and self.high < 0 and (self.p_holm is None or self.p_holm <= 0.05)


class Evidence(NamedTuple):
    """What a claim's runs gave.

    Attributes:
        findings: Every number, in the order of the page.
        tables: What the figures draw, by figure.
        notes: What a reader has to know of these runs.
        timings: What depends on the machine and the moment; kept apart from the findings.
        overview: What the page shows first: our numbers beside the paper's, a row each, strings as they are to stand.
    """

    findings: list[Finding]
    tables: dict[str, pl.DataFrame]
    notes: Sequence[str] = ()
    timings: Mapping[str, Any] = MappingProxyType({})
    overview: pl.DataFrame | None = None


class Verdict(NamedTuple):
    """One of the four words, the sentence that gives the reason, and the word of each part where there are several.

    Of a claim whose runs go on over days the word is `running: n of N` until all have their records.
    """

    word: Word | str
    why: str
    parts: Mapping[str, Word] = MappingProxyType({})


class Claim(NamedTuple):
    """A claim of the paper, or one of ours.

    Attributes:
        name: What the command calls it.
        says: The claim in one sentence.
        paper: What the paper reports.
        rule: What must hold for each word.
        plans: How much is run, by budget; a plan is a NamedTuple of its own, with `seeds` where it has seeds.
        cost: Seconds of one core that a plan takes, roughly.
        run: A plan, the seed of everything random, and the runner of jobs, to the evidence.
        decide: The rule in code: findings to a verdict.
        figures: Name of a table of the evidence to the function that draws it.
        captions: What stands under each of them.
        needs: A plan to the modules beside the core's that it imports.
        announce: A plan to what is to be known before it starts, such as what a GPU is needed for and how long.
        memory: A plan to the bytes that a worker takes, at most.
        runs: A plan and the seed to the runs that go on over days, all known before the first; none of most plans.
        always: It holds whenever the code is right, so anything but `reproduced` is an error (exit code 5).
    """

    name: str
    says: str
    paper: str
    rule: str
    plans: Mapping[str, Any]
    cost: Callable[[Any], float]
    run: Callable[[Any, int, RunJobs], Evidence]
    decide: Callable[[Sequence[Finding]], Verdict]
    figures: Mapping[str, Callable[[pl.DataFrame], Figure]]
    captions: Mapping[str, str]
    needs: Callable[[Any], Sequence[str]] = lambda _: ()
    announce: Callable[[Any], Sequence[str]] = lambda _: ()
    memory: Callable[[Any], int] = lambda _: WORKER
    runs: Callable[[Any, int], Sequence[Job]] = lambda *_: ()
    always: bool = False


def pick(findings: Sequence[Finding], what: str, **where: str) -> list[Finding]:
    """The findings of a name, with the part or setting given."""
    return [f for f in findings if f.what == what and all(getattr(f, name) == value for name, value in where.items())]


def of_most(parts: Mapping[str, Word]) -> Word:
    """Word of a claim from those of its settings.

    Reproduced if more than half of them are; partly if any is; not reproduced if none of them is; else it is open.
    """
    words = list(parts.values())
    if 2 * words.count(REPRODUCED) > len(words):
        return REPRODUCED
    if REPRODUCED in words or PARTLY in words:
        return PARTLY
    return NOT_REPRODUCED if words.count(NOT_REPRODUCED) == len(words) else NOT_TESTABLE
