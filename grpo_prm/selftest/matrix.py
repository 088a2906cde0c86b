"""What an analysis must say about each synthetic log, and what it must not: one table, and numbers of known truth."""

from __future__ import annotations

from typing import Literal, NamedTuple

# One column of `MATRIX` each, in this order.
FINDINGS = (
    "teaches_nothing",
    "copies",
    "boilerplate",
    "low_reliability",
    "phantom_advantage",
    "sampler_gap",
    "mixed_prompts",
    "unmasked_tool_output",
)
MUST, MUST_NOT, MAY = "+", ".", "?"

# Of each log: what the hidden PRM knows; + for findings that must be there, . for those that must not, ? for others.
MATRIX: dict[str, tuple[str, str]] = {
    #                                      teaches  copies  boiler- low reli- phantom sampler mixed   tool
    #                                      nothing          plate   ability   adv.    gap     prompts output
    "noise":              ("nothing",     "   .       .       .       +         .       .       .       .   "),
    "copies":             ("whole_texts", "   .       +       .       .         .       .       .       .   "),
    "deciding":           ("steps",       "   .       .       .       .         .       .       .       .   "),
    "boilerplate":        ("nothing",     "   .       .       +       +         .       .       .       .   "),
    "length":             ("nothing",     "   .       .       .       +         .       .       .       .   "),
    "two_policies":       ("steps",       "   .       .       .       .         .       +       .       .   "),
    "stale_sampler":      ("steps",       "   .       .       .       .         .       +       .       .   "),
    "format_only":        ("nothing",     "   .       .       .       +         +       .       .       .   "),
    "noisy_verifier":     ("nothing",     "   .       +       .       +         .       .       .       .   "),
    "constant":           ("cannot_say",  "   +       .       .       .         .       .       .       .   "),
    "mixed_prompts":      ("steps",       "   .       .       .       .         .       .       +       .   "),
    "tool_output":        ("steps",       "   .       .       .       .         .       .       .       +   "),
    "masked_tool_output": ("steps",       "   .       .       .       .         .       .       .       .   "),
    "healthy":            ("steps",       "   .       .       .       .         .       .       .       .   "),
}  # fmt: skip

Relation = Literal["==", "near", "above", "below", "null"]


class Number(NamedTuple):
    """What is known of one number of summary.json.

    Attributes:
        path: Where it stands, keys joined by dots.
        relation: `==`; `near`, that is not farther than `slack`; strictly `above` or `below`; `null`.
        bound: A number, the path of another one of the summary, or `truth.NAME`, counted in the log itself.
        slack: Of `near`.
    """

    path: str
    relation: Relation
    bound: float | str | None = None
    slack: float = 0.0


# Of every log: counted in its arrays, without a tree.
COUNTS = tuple(
    Number(f"counts.{ours}", "==", f"truth.{name}")
    for ours, name in (
        ("groups", "groups"),
        ("completions", "completions"),
        ("tokens", "tokens"),
        ("duplicates", "duplicates"),
        ("groups_zero_variance", "zero_variance"),
    )
)
_AUC = "credit.leave_pair_out_auc"
_NOISE = (
    Number("informativeness.p_value", "above", 0.05),
    Number(f"{_AUC}.p_value", "above", 0.05),
    Number("credit.reliability.low", "below", 0.0),
    Number(f"{_AUC}.null_mean", "near", 0.5, 0.02),
)
_SIGNAL = (
    Number("informativeness.p_value", "==", 1 / 200),
    Number(f"{_AUC}.p_value", "==", 1 / 200),
    Number(f"{_AUC}.mean", "above", f"{_AUC}.null_high"),
    Number("credit.reliability.low", "above", 0.5),
)
NUMBERS: dict[str, tuple[Number, ...]] = {
    "noise": _NOISE,
    "copies": (
        Number("informativeness.p_value", "above", 0.05),
        Number(f"{_AUC}.p_value", "above", 0.05),
        Number("credit.reliability.low", "above", 0.0),
    ),
    # Reliability is the lower of the two: sets that two or more of so few completions reached are likelier in the log
    # than under the policy (measured here over seven seeds: lower by .11 to .20 at k = 8).
    "deciding": (
        *_SIGNAL,
        Number("credit.reliability.mean", "near", "truth.slope", 0.2),
        Number("credit.reliability.mean", "below", "truth.slope"),
    ),
    "boilerplate": (*_NOISE, Number("baseline.path_depth.mean", "near", "overlap.path_depth.mean", 0.1)),
    "length": _NOISE,
    "two_policies": (*_SIGNAL, Number("prm.logprob_spread.max", "near", "truth.largest_spread", 1e-6)),
    "stale_sampler": (
        *_SIGNAL,
        Number("prm.logprob_spread.max", "==", 0.0),
        Number("logprobs.effective_sample_size.mean", "near", "truth.effective_sample_size", 1e-9),
    ),
    "format_only": (*_NOISE, Number("teaching.phantom_advantage.mean", "near", 1.0, 1e-12)),
    "noisy_verifier": (
        Number("informativeness.p_value", "above", 0.05),
        Number(f"{_AUC}.p_value", "above", 0.05),
        Number("credit.reliability.low", "below", 0.0),
    ),
    "constant": (
        Number("teaching.all_right", "==", "truth.all_right"),
        Number("teaching.all_wrong", "==", "truth.all_wrong"),
        Number("informativeness", "null"),
        Number(_AUC, "null"),
        Number("credit.reliability", "null"),
    ),
    "mixed_prompts": (*_SIGNAL, Number("counts.groups_prompts_differ", "==", "truth.groups")),
    "tool_output": _SIGNAL,
    "masked_tool_output": _SIGNAL,
    "healthy": (
        *_SIGNAL,
        Number("prm.logprob_spread.max", "==", 0.0),
        Number("prm.identity_gap", "near", 0.0, 1e-9),
        Number("logprobs.effective_sample_size.mean", "near", 1.0, 1e-9),
    ),
}


def expected(log: str) -> tuple[str, dict[str, str]]:
    """What the PRM of a log knows, and the sign of each finding."""
    knows, signs = MATRIX[log]
    return knows, dict(zip(FINDINGS, signs.split(), strict=True))
