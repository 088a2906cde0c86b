"""A small PRM that learns from the export of the rollouts: a value head on the policy's own hidden states.

It is asked twice: about the groups that it was taught, as one that is trained on a run's own export and used in that
run, and about prompts that it was not taught (the folds are of prompts), where it knows no reward of the groups that it
judges, while the hidden PRM knows nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, Ints
from ..export import ExportOptions, export
from ..logs.rollouts import save

if TYPE_CHECKING:
    from .prm_quality_policies import Sampler

FOLDS = 5
WIDTH, STEPS, BATCH, RATE = 64, 200, 512, 3e-3
Predict = Any  # hidden states, shape (tokens, units), to values, shape (tokens,)


class Learnt(NamedTuple):
    """What the small PRM says of each step, mid of its values at the first token and at the last, shape (steps,) each.

    Attributes:
        same: Taught all prompts.
        others: Taught other prompts than that of the step.
    """

    same: Floats
    others: Floats


def learnt_values(sampler: Sampler, rollouts: pl.DataFrame, steps: pl.DataFrame, folder: Path) -> Learnt:
    """Teach the small PRM and ask it about steps.

    Args:
        sampler: The policy.
        rollouts: Canonical table of all groups.
        steps: `prompt`, `row`, `start`, `end` of each.
        folder: Where the export is made.
    """
    if not len(steps):  # where no group branches the export has nothing to say
        return Learnt(np.zeros(0), np.zeros(0))
    taught = exported(rollouts, folder)
    opens = np.cumsum([0, *rollouts["tokens"].list.len().to_list()])
    hidden = hidden_states(sampler, rollouts)
    label = np.full(opens[-1], np.nan)
    # The export leaves completions out that have no label.
    for n, sample, of_row in taught.select("group", "sample", "label").iter_rows():
        row = n * (len(rollouts) // rollouts["group"].n_unique()) + sample
        label[opens[row] : opens[row + 1]] = [np.nan if value is None else value for value in of_row]
    prompt = np.repeat(rollouts["group"].to_numpy(), np.diff(opens))
    row = opens[steps["row"].to_numpy()]
    first, last = row + steps["start"].to_numpy(), row + steps["end"].to_numpy() - 1

    def taught_with(chosen: NDArray[np.bool_]) -> Floats:
        learn = chosen & ~np.isnan(label)
        predict = fit(hidden[learn], label[learn], sampler.seed)
        return (predict(hidden[first]) + predict(hidden[last])) / 2

    by_fold = np.stack([taught_with(prompt % FOLDS != fold) for fold in range(FOLDS)])
    others = by_fold[steps["prompt"].to_numpy() % FOLDS, np.arange(len(steps))]
    return Learnt(taught_with(np.ones(len(label), bool)), others)


def exported(rollouts: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The export of the rollouts with R of every token whose step has two members or more."""
    folder.mkdir(parents=True, exist_ok=True)
    log, out = folder / "quality.parquet", folder / "quality-export.parquet"
    save(rollouts, log)
    export(log, out, "tokens", ExportOptions(labels="mean"))
    return pl.read_parquet(out)


def hidden_states(sampler: Sampler, rollouts: pl.DataFrame) -> NDArray[np.float32]:
    """Last hidden state of the policy at every completion token, completion after completion, (tokens, units)."""
    import torch

    states = []
    model = sampler.model.eval()
    for (n,), rows in rollouts.group_by("group", maintain_order=True):
        prompt, tokens = sampler.ids[int(n)], rows["tokens"].to_list()
        width = max(map(len, tokens))
        # Padding on the right, which no token before it sees.
        ids = torch.tensor([prompt + own + [0] * (width - len(own)) for own in tokens])
        with torch.no_grad():
            last = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[-1]
        states += [of_row[len(prompt) :][: len(own)].numpy() for of_row, own in zip(last, tokens, strict=True)]
    return np.concatenate(states)


def fit(hidden: NDArray[np.float32], label: Floats, seed: int) -> Predict:
    """Fit a network of one hidden layer to the labels by squared error."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Sequential(nn.Linear(hidden.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    x, y, rng = torch.from_numpy(hidden), torch.from_numpy(label).float(), np.random.default_rng(seed)
    for _ in range(STEPS):
        rows: Ints = rng.integers(0, len(y), BATCH)
        loss = nn.functional.mse_loss(head(x[rows])[:, 0], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    def predict(states: NDArray[np.float32]) -> Floats:
        with torch.no_grad():
            return head(torch.from_numpy(states))[:, 0].double().numpy()

    return predict
