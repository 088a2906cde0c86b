"""Every word of ours on a screen, with one plain sentence: the page shows it on hover, the docs as a list."""

from __future__ import annotations

from ..analysis.statistics import STATISTICS

# In the order in which they build on each other. A statistic is not here: its definition is in the registry.
_WORDS = {
    "group": "The completions that were sampled for one prompt at one draw.",
    "completion": "One answer that the model sampled for a prompt.",
    "k": "How many completions a group has.",
    "token": "What overlap is counted in: a token as the log has it, or, in a log without token ids, a piece of text.",
    "piece": "A word or a mark of text (GPT-2 pre-tokenisation); it stands for the token in a log without token ids.",
    "in the loss": "A token that the model chose and is trained on; a prompt or a tool's answer is not.",
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
    "copies": "Completions that are equal to an earlier one of their group.",
    "problem": "What a prompt asks; a problem may be drawn in many groups.",
    "interval": "A 95 % range, by drawing the problems again and again; it is about the problems of this run.",
    "rewards permuted": "The same log with the rewards of each group dealt anew among its completions, 199 times: a "
    "number inside that range is no more than chance.",
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


def _sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


GLOSSARY: dict[str, str] = _WORDS | {
    one.label: _sentence(one.definition) for one in STATISTICS.values() if one.label not in _WORDS
}
