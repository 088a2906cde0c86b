"""Invented rollouts of two steps, and what a reader must find of them in a log of any trainer."""

import json
from typing import NamedTuple

from grpo_prm.logs import ReadOptions, collect

K = 4


class Rollout(NamedTuple):
    step: int
    problem: int
    sample: int
    prompt: list
    ids: list  # of the completion; the third of five is a tool's
    mask: list
    logprobs: list
    reward: float

    @property
    def question(self):
        return f"What is {self.problem} + 1 ?"

    @property
    def text(self):
        return f"I add. {self.problem} + 1 is {self.ids[3]}"

    @property
    def loss(self):
        return tuple(token for token, sampled in zip(self.ids, self.mask, strict=True) if sampled)


def rollouts(steps=(1, 2), problems=3):
    """Group after group; the problems come again at every step, and no two groups have the same rewards."""
    return [
        Rollout(
            step,
            problem,
            sample,
            [101 + problem] * (2 + problem),
            [5, 6 + sample % 2, 900 + sample % 3, 20 + sample, 40 + step],
            [True, True, False, True, True],
            [-0.5, -0.25 * (sample + 1), 0.0, -0.125, -1.0],
            (sample % 2) + problem / 8 + sample * step / 64,
        )
        for step in steps
        for problem in range(problems)
        for sample in range(K)
    ]


def advantage(rollout):
    rewards = [r.reward for r in rollouts((rollout.step,)) if r.problem == rollout.problem]
    return rollout.reward - sum(rewards) / K


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, **options):
    return collect(path, ReadOptions(**options))


def groups(done, steps=True):
    """(step, rewards and ids in the loss of the members) of every group, in an order of their own."""
    found = {}
    for row in done.table.iter_rows(named=True):
        mask = row["mask"] or [True] * len(row["tokens"])
        loss = tuple(token for token, sampled in zip(row["tokens"], mask, strict=True) if sampled)
        found.setdefault(row["group"], []).append((row["step"] if steps else None, row["reward"], loss))
    return sorted(sorted(members) for members in found.values())


def truth(made, steps=True, masked=True):
    """The same of the rollouts themselves."""
    found = {}
    for r in made:
        loss = r.loss if masked else tuple(r.ids)
        found.setdefault((r.step, r.problem), []).append((r.step if steps else None, r.reward, loss))
    return sorted(sorted(members) for members in found.values())


def rewards(done, steps=True):
    """As `groups`, but without ids: of logs of text."""
    return sorted([(step, reward) for step, reward, _ in members] for members in groups(done, steps))


def true_rewards(made, steps=True):
    return sorted([(step, reward) for step, reward, _ in members] for members in truth(made, steps))


def in_loss(done, row=0):
    """Number of units of a completion in the loss, and of all."""
    mask, tokens = done.table["mask"][row], done.table["tokens"][row]
    return (len(tokens) if mask is None else int(mask.sum())), len(tokens)
