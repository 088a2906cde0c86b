"""Groups as arrays, and their sums under the permutations of their own streams, by dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import oracle
from oracle_sets import Row, identical, loss_tokens, parent, process_sets
from strategies import column, flatten

from grpo_prm.core.forest import build_forest, visits
from grpo_prm.core.permutations import PermutedSums, permuted_sums
from grpo_prm.core.prm import group_advantages, zero_tolerance

FEW = 5  # permutations of most tests


class Case:
    """Groups of rows, as `measure` has them."""

    def __init__(self, batch, seeds=None):
        tokens, lengths, self.groups, mask = flatten(batch)
        self.batch = batch
        self.forest = build_forest(tokens, lengths, self.groups)
        self.seen = visits(self.forest, mask)
        self.rewards = column(batch, "reward")
        self.advantages = group_advantages(self.rewards, self.groups)
        self.tolerance = zero_tolerance(self.advantages, self.groups)
        self.seeds = np.array(range(len(batch)) if seeds is None else seeds, np.uint64)

    def sums(self, **options):
        options = {"permutations": FEW} | options
        return permuted_sums(self.forest, self.seen, self.advantages, self.tolerance, self.seeds, **options)

    def node(self, n, members):
        """The step of a process set of group n."""
        opens = sum(len(group) for group in self.batch[:n])
        for step in np.flatnonzero(self.forest.group == n):
            at = self.forest.first[step]
            if {*self.forest.order[at : at + self.forest.size[step]].tolist()} == {opens + j for j in members}:
                return step
        raise AssertionError(members)


def permuted(case, n, values, permutations=FEW):
    """The values of group n in the orders of its own stream: a list per permutation, in the order of its rows.

    Copies are one class; the class means are exchanged among the classes of one size, sizes ascending, classes in tree
    order, and every row keeps its difference to the mean of its class.
    """
    group = case.batch[n]
    opens = sum(len(one) for one in case.batch[:n])
    rng = np.random.Generator(np.random.Philox(key=np.array([case.seeds[n], 0], np.uint64)))
    own = values[opens : opens + len(group)].tolist()
    copies: dict[tuple, list[int]] = {}
    for row in case.forest.order[opens : opens + len(group)].tolist():
        copies.setdefault(tuple(group[row - opens].tokens), []).append(row - opens)
    classes = list(copies.values())
    mean = [sum(own[i] for i in one) / len(one) for one in classes]
    lists = [own[:] for _ in range(permutations)]
    for size in sorted({len(one) for one in classes}):
        same = [c for c, one in enumerate(classes) if len(one) == size]
        if len(same) == 1:
            continue
        places = rng.permuted(np.tile(np.array(same)[:, None], permutations), axis=0)
        for p, c, gives in ((p, c, places[at, p]) for p in range(permutations) for at, c in enumerate(same)):
            for i in classes[c]:
                lists[p][i] = mean[gives] + own[i] - mean[c]
    return lists


def by_definition(case, n, bounds=None, rewards=None, permutations=FEW):
    """The sums of group n, one dictionary per permutation."""
    pay = permuted(case, n, case.advantages if rewards is None else rewards, permutations)
    return sums_of(case, n, permuted(case, n, case.advantages, permutations), pay, bounds, rewards)


def sums_of(case, n, advantages, pay, bounds, rewards):
    """The sums of group n with these values of its rows, lists of one list per permutation."""
    group, tolerance = case.batch[n], case.tolerance[n]
    found = []
    for a, r in zip(advantages, pay, strict=True):
        sums, sets = Counter(dict.fromkeys(PermutedSums._fields, 0.0)), process_sets(group)
        if max(a) > min(a) or max(r) > min(r):
            equal = tolerance if rewards is None else oracle.tolerance(r)
            sums["pairs_right"], sums["pairs"] = oracle.pair_order(group, r, equal)
        for i, _, members in loss_tokens(group) if max(a) > min(a) or max(r) > min(r) else ():
            step, far = oracle.step_mean(members, a), 0.0
            sums["good_tokens"] += a[i] > tolerance
            sums["bad_tokens"] += a[i] < -tolerance
            sums["suppressed_good_tokens"] += a[i] > tolerance and step < -tolerance
            sums["boosted_bad_tokens"] += a[i] < -tolerance and step > tolerance
            if not 1 < len(members) < len(group):
                continue
            if not identical(group, members):
                sums["informative_sum"] += abs(step)
                above = parent(sets, next(one for one in sets if one.members == members))
                local = step - oracle.step_mean(above.members, a)
                sums["inherited_tokens"] += step > tolerance and local < -tolerance
                sums["inherited_tokens"] += step < -tolerance and local > tolerance
            if bounds is not None:
                far, at = abs(oracle.step_mean(members, r) - sum(r) / len(r)), case.node(n, members)
                sums["certain_wilson"] += far > bounds.wilson[at]
                sums["certain_student"] += far > bounds.student[at]
        found.append(sums)
    return found


def same(found, expected):
    """`found` has one bin; `expected` a list of dictionaries per group."""
    for name, values in found._asdict().items():
        sums = [sum(group[p][name] for group in expected) for p in range(FEW)]
        np.testing.assert_allclose(values, sums, rtol=1e-9, atol=1e-9, err_msg=name)


DEEP = [Row([1, 2, n], reward=r) for n, r in enumerate((1, 0, 0))] + [
    Row([1, n], reward=r) for n, r in ((3, 1), (4, 1))
]
DEEP += [Row([5], reward=0.0), Row([6], reward=0.0)]  # a step with a step inside that goes the other way
COPIES = [Row([1, 1], reward=1.0)] * 2 + [Row([1, 2], reward=0.0)] * 2 + [Row([1, 3], reward=r) for r in (0.5, 0.0)]
COPIES += [Row([2], reward=1.0), Row([1, 4], reward=0.25), Row([1, 4, 4], reward=0.75)]
TREE = [Row([7, 8], reward=1.0), Row([7, 9], reward=0.0), Row([5, 5], reward=0.25), Row([7], reward=1.0)]
TWINS = [Row([4, 4], reward=1.0), Row([4, 4], reward=0.0), Row([3], reward=1.0)]
