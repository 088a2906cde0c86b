"""Options of an export, checked against what its format can hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from ..core.prm import Std
from ..errors import UsageError

Labels = Literal["mean", "sign", "threshold"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Which steps get a label, and which label.

    Attributes:
        labels: `mean`: R(λ) itself, in the unit of the reward. `sign`: whether A(λ) is positive; a step whose A(λ) is 0
            (definitions: Tolerance), the root among them, has no sign. `threshold`: whether R(λ) is at least
            `threshold`. None: `threshold` if one is given, else the first that the format holds.
        threshold: T of `threshold`, in the unit of the reward.
        min_members: Least |λ| of a labelled step; 1 labels terminal steps, which say no more than the outcome.
        min_certainty: Least certainty of a labelled step (`certainty.Certainty`), in [0, 1]; None: any.
        exclude_zero_variance: Leave out the groups whose rewards are all equal.
        std: Divisor of the group advantage (`prm.group_advantages`). None: the one that gives the logged advantages,
            `sample` where none does.
        advantage: `computed` from the rewards, or as `logged`.
        exclude_mixed_prompts: Leave out the groups that hold completions of different prompts.
        min_words: Least words of a labelled step in a format of text, counted from the labelled step before it.
        exclude_tool_output: Leave out solutions that hold tool output, or turns of others than the model.
        exclude_missing_prompts: Leave out solutions whose prompt the log does not have.
    """

    labels: Labels | None = None
    threshold: float | None = None
    min_members: int = 2
    min_certainty: float | None = None
    exclude_zero_variance: bool = False
    std: Std | None = None
    advantage: Literal["computed", "logged"] = "computed"
    exclude_mixed_prompts: bool = False
    min_words: int = 0
    exclude_tool_output: bool = False
    exclude_missing_prompts: bool = False

    def settled(self, name: str, held: tuple[Labels, ...], *, solutions: bool) -> ExportOptions:
        """The same, with `labels` chosen.

        Args:
            name: Of the format.
            held: Labels that it can hold, the default first.
            solutions: Its rows are solutions, texts with labels.

        Raises:
            UsageError: The format cannot hold these labels, or the options contradict each other.
        """
        labels = self.labels or ("threshold" if self.threshold is not None else held[0])
        if labels not in held:
            raise UsageError(
                f"--to {name} holds yes or no for each step, not its mean reward. "
                "Take --labels sign, or --threshold T for R >= T; spans and tokens hold the mean."
            )
        if labels == "threshold" and self.threshold is None:
            raise UsageError("--labels threshold needs the reward from which a step is good. Give --threshold T.")
        if labels != "threshold" and self.threshold is not None:
            raise UsageError(f"--threshold has no meaning with --labels {labels}. Leave one of them out.")
        if self.threshold is not None and not isfinite(self.threshold):
            raise UsageError(f"--threshold {self.threshold}: not a number to compare with. Give a finite reward.")
        if self.min_members < 1:
            raise UsageError("--min-members must be 1 or more. 2 leaves out the steps of one completion.")
        if self.min_certainty is not None and not 0 <= self.min_certainty <= 1:
            raise UsageError("--min-certainty is a share from 0 to 1. 0.95 keeps what a 95 % interval tells apart.")
        if self.min_words < 0:
            raise UsageError("--min-words must be 0 or more. 0 keeps every labelled step.")
        asked = [option for option, given in self._of_solutions.items() if given]
        if asked and not solutions:
            raise UsageError(
                f"{asked[0]} is for rows that are solutions, and --to {name} has other rows. Leave it out, or take "
                "--to stepwise, math-shepherd or prm800k."
            )
        return replace(self, labels=labels)

    @property
    def _of_solutions(self) -> dict[str, object]:
        """What only formats of solutions know, by the option."""
        return {
            "--min-words": self.min_words,
            "--exclude-tool-output": self.exclude_tool_output,
            "--exclude-missing-prompts": self.exclude_missing_prompts,
        }
