"""The group size k of a run whose groups are not all of one size: the commonest one, by one rule for every command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


def modal_size(sizes: Mapping[int, int] | Iterable[int]) -> int:
    """The commonest group size.

    Of sizes that are equally common it is the largest, since groups only ever lose rows (rejected ones, a log that is
    cut short): of as many 7 as 8 the run drew 8. But if a smaller one of them divides the largest, it is the smallest
    that does, since a prompt that comes up twice shows twice the size: of as many 8 as 16 the run drew 8. Groups of one
    never decide: no statistic uses them.

    Args:
        sizes: The size of each group, in completions, in any order; or each size with its number of groups.

    Returns:
        The size, 2 or more; 0 if no group has two completions.
    """
    several = {int(size): groups for size, groups in Counter(sizes).items() if size > 1 and groups}
    if not several:
        return 0
    most = max(several.values())
    tied = sorted(size for size, groups in several.items() if groups == most)
    return next(size for size in tied if tied[-1] % size == 0)
