"""What always the same answer gets right: the accuracy of a policy that has learned nothing of its prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .task import Prompt, Task

MOST = 16  # answers that are tried, the commonest first: a verifier may take a millisecond


def best_constant(task: Task, prompts: Sequence[Prompt]) -> str | None:
    """The completion that gets most of the prompts right (definitions: Majority answer).

    Args:
        task: Says what gives a right answer, and what is right.
        prompts: Prompts of it.

    Returns:
        Among the right completions of single prompts, the `MOST` commonest of them, the one that is right for most, of
        equals the first; None where the task names none.
    """
    common = Counter(said for prompt in prompts if (said := task.says(prompt)) is not None).most_common(MOST)
    if not common:
        return None
    return max((said for said, _ in common), key=lambda said: share_right(task, prompts, said))


def share_right(task: Task, prompts: Sequence[Prompt], completion: str) -> float:
    """Share of the prompts that one completion gets right; at least one prompt."""
    return sum(task.right(prompt, completion) for prompt in prompts) / len(prompts)
