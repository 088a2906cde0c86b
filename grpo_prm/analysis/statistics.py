"""THE registry of statistics: one entry gives a statistic its name, its sums, its words and the places that show it.

Screen, LaTeX table, report, comparison, live view, captions and docs/numbers.md iterate over `STATISTICS`. To add one:
its sums in `core` (a column of the groups table), an entry here, and its definition in tests/oracle.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.defects import POWERS

Section = Literal[
    "overlap",
    "informativeness",
    "credit",
    "prm",
    "defects",
    "sharing",
    "teaching",
    "logprobs",
    "training",
    "comparison",
]
Null = Literal["none", "permutation", "cross-prompt"]
Kind = Literal["reward", "length", "overlap", "tree"]

# Sections of summary.json.
SUMMARY: tuple[Section, ...] = (
    *("overlap", "credit", "prm", "defects", "informativeness", "sharing", "teaching", "logprobs"),
)


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number of a log: a ratio of sums over its groups.

    Attributes:
        name: Its name in training.parquet and comparison.json, and the key in summary.json (there without the power).
        label: What it is called on screen, on axes and in tables.
        numerator, denominator: Columns of the groups table (`groups` is 1 for each group). The statistic is the sum of
            the first over the sum of the second; a group whose numerator is null has no part in either. Of two
            denominators it is the geometric mean of their sums.
        section: Section of summary.json; `training` has it over training and in comparisons alone, `comparison` in
            comparisons alone, which make its columns from all runs.
        definition: What it is, as one plain phrase: small first letter, no full stop.
        root: The statistic is the square root of that ratio.
        share: A share, shown in percent.
        null: What it is shown beside: nothing, the same with permuted rewards, or that of groups of other prompts.
        reason_when_null: Why it can be missing.
        power: The p of abs(λ)^-p where it is one of several that differ in p alone.
        kind: What two runs must have in common to be compared in it: `reward` nothing, `length` the unit, `overlap` the
            unit (of runs of other group sizes it is that of equal subsets), `tree` unit and group size. None: it
            is not compared.
        over_training: Shown over training steps, in the report and while a run goes on.
        headline: Shown where there is room for few: the figure of a comparison, the plain lines of a training run.
    """

    name: str
    label: str
    numerator: str
    denominator: str | tuple[str, str]
    section: Section
    definition: str
    root: bool = False
    share: bool = False
    null: Null = "none"
    reason_when_null: str = "no completion has a token in the loss"
    power: float | None = None
    kind: Kind | None = "tree"
    over_training: bool = True
    headline: bool = False

    @property
    def key(self) -> str:
        """Its key in summary.json: the name, without the power where there is one."""
        return self.name if self.power is None else self.name.removesuffix(f"_{self.power:g}")

    @property
    def title(self) -> str:
        """The label, with the power where there is one."""
        return self.label if self.power is None else f"{self.label}, p = {self.power:g}"


_ENTRIES = (
    # Not in summary.json: over training and in comparisons.
    Statistic(
        "reward", "reward", "reward_mean", "groups", "training", kind="reward", headline=True,
        reason_when_null="the log has no rewards",
        definition="the mean reward of a group",
    ),
    Statistic(
        "zero_variance", "groups of equal rewards", "zero_variance", "groups", "training", share=True,
        definition="the share of groups whose rewards are all equal: they teach nothing",
    ),
    # In comparisons alone, with columns made from all runs.
    Statistic(
        "accuracy", "accuracy", "top", "completions", "comparison", share=True, kind="reward",
        headline=True,
        reason_when_null="the runs do not have exactly two rewards",
        definition="the share of completions with the higher of two rewards",
    ),
    Statistic(
        "pass", "pass@m", "pass", "groups", "comparison", share=True, kind="reward", over_training=False,
        reason_when_null="the runs do not have exactly two rewards",
        definition="the probability that at least one of m completions of a group has the higher of two rewards",
    ),
    Statistic(
        "length", "length of completions", "tokens", "completions", "comparison", kind="length", over_training=False,
        definition="the mean number of tokens in the loss of a completion",
    ),
    # Overlap: means over groups.
    Statistic(
        "path_depth", "path depth", "path_depth", "groups", "overlap", null="cross-prompt", kind="overlap",
        headline=True,
        definition="the number of intermediate process sets (more than one completion, fewer than all of the group) "
        "on the path of a completion, a mean over completions; 0 where no tree branches",
    ),
    Statistic(
        "intermediate_proportion", "intermediate proportion", "intermediate_proportion", "groups", "overlap",
        share=True, null="cross-prompt", kind="overlap", headline=True,
        definition="the share of a completion's tokens that it shares with some others of its group, but not with all",
    ),
    Statistic(
        "shared_proportion", "shared proportion", "shared_proportion", "groups", "overlap",
        share=True, null="cross-prompt", kind="overlap", over_training=False,
        definition="the share of a completion's tokens that it shares with at least one other of its group",
    ),
    Statistic(
        "non_trivial", "non-trivial trees", "non_trivial", "groups", "overlap",
        share=True, null="cross-prompt", over_training=False,
        definition="the share of groups whose tree has an intermediate process set",
    ),
    Statistic(
        "identical_share", "identical share", "identical_tokens", "intermediate_tokens", "overlap",
        share=True, over_training=False, reason_when_null="no token is intermediate",
        definition="of the intermediate tokens, the share in sets whose completions are identical to the end, so that "
        "no choice follows",
    ),
    # The implicit process reward model: means over tokens and steps.
    Statistic(
        "informativeness", "mean |A|", "informative_sum", "informative_tokens", "informativeness", null="permutation",
        reason_when_null="no intermediate token lies outside identical completions in a group whose rewards differ",
        definition="the mean size of the step advantage A over intermediate tokens, leaving out groups of equal "
        "rewards and sets of identical completions",
    ),
    Statistic(
        "reliability", "reliability", "reliable_sum", "squared_sum", "credit",
        reason_when_null="no step that only some of a group share is raised or pushed down",
        definition="how much of the squared step advantages of intermediate steps is left when the noise of so few "
        "completions is taken off: near 1 A is this policy's value of the step, at 0 or below it is the luck of the "
        "draw",
    ),
    Statistic(
        "reliability_texts_once", "reliability, each text once", "texts_reliable_sum", "texts_squared_sum", "credit",
        kind=None, over_training=False,
        reason_when_null="no step that only some of the distinct completions of a group share is raised or pushed down",
        definition="reliability with each distinct text of a group once: the lower reading where copies are a part of "
        "it, and too low as this policy's value",
    ),
    Statistic(
        "leave_pair_out_auc", "order of unseen pairs", "pairs_right", "pairs", "credit", share=True, null="permutation",
        reason_when_null="no two completions of unequal reward share a step with others",
        definition="of the pairs of distinct completions of a group with unequal rewards, the share that the step "
        "rewards without the two put in the right order (leave-pair-out AUC); 50 %, give or take luck, "
        "knows nothing beyond whole texts",
    ),
    Statistic(
        "inherited", "inherited", "inherited_tokens", "informative_tokens", "credit", share=True, null="permutation",
        reason_when_null="no intermediate token lies outside identical completions in a group whose rewards differ",
        definition="of the intermediate tokens, the share in steps that GRPO pushes down though they were better than "
        "the step before, or raises though they were worse: A has the other sign than its change from the step before",
    ),
    Statistic(
        "mean_step_size", "mean step size", "step_size", "process_steps", "prm", over_training=False,
        definition="the mean number of completions |λ| in a process step",
    ),
    Statistic(
        "certain_share", "certain share", "certain_tokens", "intermediate_tokens", "prm", share=True,
        null="permutation", reason_when_null="no token is intermediate, or the log has no rewards",
        definition="of the intermediate tokens, the share whose step reward differs from the group's mean beyond its "
        "95 % interval",
    ),
    Statistic(
        "contest", "contest", "contest_sum", "contest_tokens", "prm",
        reason_when_null="no intermediate token in a group whose rewards differ",
        definition="how far the completions in an intermediate step disagree, a mean over intermediate tokens: 0 where "
        "all push it the same way, 1 where they cancel",
    ),
    # Are the step rewards values of the policy.
    # Where it hurts: sums over tokens of all groups.
    Statistic(
        "suppressed_good", "suppressed-good", "suppressed_good_tokens", "good_tokens", "defects", share=True,
        null="permutation", headline=True, reason_when_null="no completion has a positive advantage",
        definition="of the tokens of above-mean completions, the share in a step that GRPO pushes down (A < 0)",
    ),
    Statistic(
        "boosted_bad", "boosted-bad", "boosted_bad_tokens", "bad_tokens", "defects", share=True,
        null="permutation", headline=True, reason_when_null="no completion has a negative advantage",
        definition="of the tokens of below-mean completions, the share in a step that GRPO raises (A > 0)",
    ),
    Statistic(
        "amplification", "amplification", "abs_tokens", "abs_unique", "defects",
        reason_when_null="all step advantages are 0",
        definition="how many times GRPO counts one unit of step advantage: Σ |A| over all tokens, divided by Σ |A| "
        "over the tokens of the trees, each once",
    ),
    Statistic(
        "raised_share", "raised share", "lifted_raised", "lifted", "defects", share=True, over_training=False,
        reason_when_null="all step advantages of shared steps are 0",
        definition="of the weight (|λ| - 1) |A| that λ-GRPO (p = 1) takes off the tokens of shared steps, the share "
        "that it takes off steps with A > 0; the rest is taken off steps that are pushed down",
    ),
    *(
        Statistic(
            f"update_scale_{p:g}", "update scale", f"scale_{p:g}", "tokens", "defects", power=p,
            kind="tree" if p == 1 else None, over_training=False,
            definition="the mean of |λ|^-p over all tokens: the mean weight that λ-GRPO gives a token",
        )
        for p in POWERS
    ),
    *(
        Statistic(
            f"update_norm_{p:g}", "update norm", f"norm_{p:g}", "norm_0", "defects", root=True, power=p,
            kind=None, over_training=False, reason_when_null="all step advantages are 0",
            definition="the length of the update under λ-GRPO divided by that under GRPO; an update is the vector of "
            "the factors |λ|^(1-p) A of ∇log π at each token of the trees, and p = 0 is GRPO",
        )
        for p in POWERS
    ),
    *(
        Statistic(
            f"update_cosine_{p:g}", "update cosine", f"dot_{p:g}", ("norm_0", f"norm_{p:g}"), "defects", power=p,
            kind="tree" if p == 1 else None, over_training=False, reason_when_null="all step advantages are 0",
            definition="the cosine of the angle between the update under λ-GRPO and that under GRPO; 1 means the same "
            "direction",
        )
        for p in POWERS
    ),
    # What tree-packed training or a prefix cache saves.
    Statistic(
        "tokens_per_unique", "tokens per unique token", "all_tokens", "tree_tokens", "sharing",
        reason_when_null="no completion has a token",
        definition="how many tokens the completions have for each token of their trees, masked ones too, without the "
        "prompt: what tree-packed training or a prefix cache saves",
    ),
    Statistic(
        "tokens_per_unique_with_prompt", "tokens per unique token, with prompt", "all_with_prompt",
        "tree_with_prompt", "sharing", kind=None, over_training=False,
        reason_when_null="the length of the prompts is not known in the unit of the completions (it is where prompts "
        "are logged as ids, where the unit is the piece, or with a tokenizer)",
        definition="the same with the prompt in front of each completion, and once in its tree",
    ),
    # Groups that teach nothing, or something else than the outcome.
    Statistic(
        "phantom_advantage", "phantom advantage", "phantom_advantage", "abs_advantage", "teaching", share=True,
        kind=None,
        reason_when_null="no part of the reward is named as the outcome (option outcome), or all advantages are 0",
        definition="the share of Σ |a| that lies in groups whose outcomes are all equal, so that other parts of the "
        "reward make their advantages",
    ),
    # What the logged log-probabilities say.
    Statistic(
        "surprisal_at_decisions", "surprisal at decisions", "decision_surprisal", "decision_tokens", "logprobs",
        kind="length", reason_when_null="the log has no log-probabilities, or no tree branches",
        definition="the mean -log π of the first token after a decision, that is after a process set that parts",
    ),
    Statistic(
        "surprisal_elsewhere", "surprisal elsewhere", "elsewhere_surprisal", "elsewhere_tokens", "logprobs",
        kind="length", reason_when_null="the log has no log-probabilities, or no token is shared",
        definition="the mean -log π of the other tokens before which two completions or more agree, where a fork could "
        "have shown",
    ),
)  # fmt: skip
STATISTICS: dict[str, Statistic] = {statistic.name: statistic for statistic in _ENTRIES}
OF_GROUPS = tuple(name for name, one in STATISTICS.items() if one.section != "comparison")  # from the groups table
OVERLAP = tuple(name for name, one in STATISTICS.items() if one.null == "cross-prompt")  # the pseudo-groups have these
PERMUTED = tuple(name for name, one in STATISTICS.items() if one.null == "permutation")


def in_section(section: Section) -> tuple[Statistic, ...]:
    """The statistics of one section of summary.json, in its order."""
    return tuple(one for one in _ENTRIES if one.section == section)
