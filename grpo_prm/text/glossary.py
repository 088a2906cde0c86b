"""Every word of ours on a screen, with one plain sentence: the page shows it on hover, the docs as a list.

What needs more than a sentence has it in `FURTHER`, for `explain` and the docs.
"""

from __future__ import annotations

from ..analysis.statistics import STATISTICS, Statistic

# In the order in which they build on each other. A statistic is not here: its definition is in the registry.
_WORDS = {
    "group": "The completions that were sampled for one prompt at one draw.",
    "draw": "One sampling of a group for a prompt: where a prompt was drawn again in a step, the later groups have its "
    "key with #2, #3 and so on behind it.",
    "completion": "One answer that the model sampled for a prompt.",
    "k": "How many completions a group has.",
    "token": "What overlap is counted in: a token as the log has it, or, in a log without token ids, a piece of text.",
    "piece": "A word or a mark of text (GPT-2 pre-tokenisation); it stands for the token in a log without token ids.",
    "in the loss": "A token that the model chose and is trained on; a prompt or a tool's answer is not.",
    "loss mask": "It says of each token whether it is in the loss: 1 where the model chose it, 0 for a prompt or what "
    "a tool or a user said.",
    "masked": "Out of the loss: the token is compared with those of other completions and counts nowhere else.",
    "prefix": "The beginning of a completion, up to some token.",
    "tree": "The completions of a group laid over each other: they are one line while they agree and branch where they "
    "part.",
    "process set λ": "The completions of a group that agree on everything up to a token.",
    "|λ|": "How many completions share the step.",
    "process step": "A stretch of text on which the same completions stay together.",
    "root": "The step that all completions of the group begin with.",
    "intermediate step": "A step that some completions of the group share, but not all.",
    "terminal step": "A step of one completion alone.",
    "reward": "The number that the training gave a completion.",
    "reward parts": "The named rewards that the reward was put together from, where the log has them.",
    "advantage": "How much better a completion did than the mean of its group, in the unit that GRPO uses.",
    "step reward R(λ)": "The mean reward of the completions that share the step.",
    "step advantage A(λ)": "The mean advantage of the completions that share the step: above 0 GRPO raises each of its "
    "tokens, below 0 it pushes them down.",
    "credit": "What GRPO gives a token: the step advantage A(λ) of the step that it is in.",
    "local advantage": "A(λ) of the step less that of the step before: what the step itself added.",
    "surprisal": "-log π of a token under the model that sampled it, in nats: 0 was certain, 3 had a chance of 5 %.",
    "sampler-trainer gap": "Log-probability of a token in the trainer less that in the sampler, in nats: 0 where the "
    "two agree.",
    "suppressed good": "A step that GRPO pushes down though a completion better than the mean goes through it.",
    "boosted bad": "A step that GRPO raises though a completion worse than the mean goes through it.",
    "decision": "A place where completions that agreed so far part.",
    "sure decision": "A decision where the way that was taken is related to the reward, beyond chance.",
    "copy": "A completion that is equal, token for token, to an earlier one of its group (the first does not count).",
    "copies": "Completions that are equal to an earlier one of their group.",
    "problem": "What a prompt asks; a problem may be drawn in many groups.",
    "interval": "A 95 % range, by drawing the problems again and again; it is about the problems of this run.",
    "rewards permuted": "The same log with the rewards of each group dealt anew among its completions, 199 times: a "
    "number inside the 95 % range of these is no more than chance; where it has a p, which has one side, p decides.",
    "luck": "Chance: luck alone is what a number comes to with rewards permuted (its mean, and in brackets its range), "
    "luck of the draw that a step was taken by few completions.",
    "low estimate": "Said of the reliability with each text of a group once: it lies below that of the policy, which "
    "samples some texts often and is known best by these.",
    "null mean": "The mean of a number over the 199 logs with rewards permuted, which is what luck alone gives; it "
    "need be neither 0 nor 50 %.",
    "range": "In brackets, 95 %: of a number of this log its interval, of luck where 95 % of the permutations lie.",
    "p": "The share of the permutations that do as well as the log or better, one-sided; of 199 and the log itself, so "
    "that .005 is the least.",
    "close": "So near a limit that other draws (another --seed) may put it on the other side: a p between .02 and "
    ".08, or the end of a range near 0, 0.5 or another limit.",
    "unseen": "Two completions are unseen where the step rewards that put them in order are those of other "
    "completions: both are left out, and their copies.",
    "pooled": "Summed over all groups of the log and then divided, so that a group counts by how many tokens or pairs "
    "it has; a mean over groups counts each group once.",
    "cross-prompt": "The same for groups put together from different prompts: overlap that has nothing to do with the "
    "prompt.",
    "finding": "Something in this log that is worth doing something about, with its number and what to do.",
    "GRPO": "The training method: each token of a completion is raised or pushed down by the completion's advantage.",
    "λ-GRPO": "GRPO with each token weighted by |λ|^-p, so that a shared step does not count once for each completion.",
    "λ power p": "How strongly λ-GRPO takes sharing out: 0 is GRPO, 1 counts a shared step once.",
    "effective sample size": "How many tokens the sampled ones are worth to the trainer, as a share: 100 % where "
    "sampler and trainer agree.",
    "tree-packed training": "Training that computes a shared prefix once for all completions that begin with it.",
    "mixed_prompts": "Finding: groups hold completions of several prompts, which their step rewards compare as one.",
    "unmasked_tool_output": "Finding: completions hold output of tools that is trained on as if the model wrote it.",
    "sampler_gap": "Finding: sampler and trainer do not give the same log-probabilities to the same tokens.",
    "phantom_advantage": "Finding: much of the advantage lies in groups whose outcomes are all equal.",
    "teaches_nothing": "Finding: many groups have equal rewards, so all their advantages are 0.",
    "boilerplate": "Finding: completions of different prompts overlap nearly as much as those of one prompt.",
    "low_reliability": "Finding: with groups of this size more of the step advantages is luck of the draw than signal.",
    "high reward": "The group was kept for its high mean reward, among groups whose rewards differ.",
    "good pushed down": "The group was kept because it shows best how good completions are pushed down.",
    "random": "The group was kept by chance.",
    "example": "The group was kept in case of a finding that this log does not have.",
}


# More than a sentence: paragraphs for `explain` and the page of the docs; the screen takes some of them.
COPIES = (
    "Reliability asks whether A is this policy's value of a step, and a text that is sampled often is a part of that "
    "value: copies carry it, and it says less of texts that come once."
)
FEW_SURE = (
    "in the others so few different texts take each way, or have another reward, that even the clearest split would "
    "come by chance more than once in 20 times."
)
COMPANY = (
    "Beside the shared proportion: that says how many tokens have company, this also with how much. If half of the "
    "tokens are shared by two each, a quarter is saved (1.33); if eight share them, 44 % (1.78). It is pooled, and "
    "counts masked tokens too."
)
STUDENT = (
    "With two rewards in the log the interval is Wilson's, between them. Else it is by Student's t and the deviation "
    "of the group: it can pass the largest reward, or the smallest."
)
FURTHER: dict[str, tuple[str, ...]] = {
    "step reward R(λ)": (f"Its 95 % interval stands in process_steps.parquet and in exports. {STUDENT}",),
    "decision": (
        "Counted are those of groups whose rewards differ, each text once. Only some of them could be sure: "
        f"{FEW_SURE}",
    ),
    "sure decision": (
        "Each decision is judged alone, by the few texts that come to it, and the more are judged the clearer each "
        "must be (Benjamini-Hochberg), or chance would make some look sure. So none may be sure in a log whose step "
        "rewards are more than luck: reliability and the order of unseen pairs are of all steps and pairs together.",
    ),
    "copy": (
        "Copies count in the reliability, which is about what this policy samples. Decisions count each text once. In "
        "the order of unseen pairs two copies are no pair and none is scored by its copies, but each makes pairs.",
    ),
    "low estimate": ("How far below is said of reliability, each text once.",),
    "finding": (
        "Each has a limit, which its page names (grpo-prm explain teaches_nothing). Where a log has none, the screen "
        "names the number that has gone furthest to its limit, if that is half of the way or more, "
        "and else that nothing is half way.",
    ),
    "reliability": (
        "Formula: Σ T (A² - noise) / Σ T A², over the steps that some completions of a group share and others do not, "
        "in groups whose rewards differ. A is the step advantage and T the tokens in the loss that its completions "
        "have in it. Noise is (1 - n/k)² (s²_in / n + s²_out / (k - n)): n of k completions are in the step, and s² is "
        "the sample variance of the advantages inside and outside of it (of one completion outside, that inside). 1 "
        "means no noise; below 0 there is more noise than A² has.",
        "Above 0.5 it is more signal than luck. The screen says yes where the low end of its range is above 0, and it "
        "is a finding (low_reliability) where the high end is below 0.5.",
        "`49 of 100 problems count`, as the screen may say: only so many have a group whose rewards differ, with a "
        "step that some completions share and others do not. The others say nothing about it.",
        f"{COPIES} Where copies are a tenth of the completions of these groups, or make .05 of it, the screen says "
        "what each text once gives.",
    ),
    "reliability, each text once": (
        "In each group a text stays once, with the mean reward of its copies: what analyze says of the log without "
        "them. On invented policies of known values with 7 to 61 % copies it lay .21 to .44 below what reliability "
        "estimates, and reliability .02 to .15.",
    ),
    "order of unseen pairs": (
        "How a pair is put in order: leave the two completions out, and all copies of them. The score of each is the "
        "mean reward of the completions that are left in the deepest step of its path that some of the group share and "
        "others do not; where none is left in any such step, of all that are left in the group. The pair is in order "
        "where the one with more reward has the higher score; equal scores count one half, and a pair of which neither "
        "has a step with some left is left out. Every two completions of unequal reward that are no copies are a pair, "
        "so a text that comes three times makes three times as many: luck alone can then be other than 50 %.",
    ),
    "certain share": (STUDENT,),
    "shared proportion": ("How many share a token is in tokens per unique token, not here.",),
    "tokens per unique token": (COMPANY,),
}


def _sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


def _summed(one: Statistic) -> str:
    """How a statistic is put together from the groups of a log."""
    below = one.denominator
    if below in ("groups", "completions"):
        return f"A mean over all {below} of the log."
    return "Pooled over the log: sums over all groups, divided, and no mean of what single groups give."


GLOSSARY: dict[str, str] = _WORDS | {
    one.label: _sentence(one.definition) for one in STATISTICS.values() if one.label not in _WORDS
}
FURTHER |= {one.label: (*FURTHER.get(one.label, ()), _summed(one)) for one in STATISTICS.values()}
