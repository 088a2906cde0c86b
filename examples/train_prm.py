"""A small process reward model, trained on the implicit step rewards of a log: does it rank steps of new prompts?

    python train_prm.py                 # chain.jsonl beside it
    python train_prm.py --log big.jsonl # of make_chain_log.py --every 1: eight times the groups

The prompts of the log are split into folds at random. For each fold a token-level reward model (a small causal
transformer with random initial weights) learns from the export of the other folds: the step reward R of the tokens that
two completions or more share. Then it scores the steps of the fold that it has not seen. Of two steps with the same
parent and different R, does the better one get the higher score? A coin gets half of these pairs right.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from chain_task import DIGITS, END, operations, right_step

from grpo_prm.export import ExportOptions, export
from grpo_prm.logs.rollouts import load, save

VOCABULARY = [END, *DIGITS, *"+-*=;,"]
PAD = len(VOCABULARY)
RESAMPLES = 2000


def main() -> None:
    """Train on all folds but one, score the one, and say how many pairs are ranked right."""
    arguments = options()
    log = load(arguments.log)
    prompts = log["prompt"].unique().sort().to_list()
    fold = np.random.default_rng(arguments.seed).permutation(len(prompts)) % arguments.folds
    fold_of = dict(zip(prompts, fold.tolist(), strict=True))
    pairs: list[dict[str, Any]] = []
    for n in range(arguments.folds):
        held = log["prompt"].replace_strict(fold_of) == n
        learnt = exported(log.filter(~held), "tokens", arguments.min_members)
        model = train(learnt, arguments)
        unseen = exported(log.filter(held), "spans", 2)
        pairs += sibling_pairs(steps_of(unseen, model))
        print(f"fold {n}: {len(learnt)} completions learnt from, {len(pairs)} pairs in all", file=sys.stderr)
    report(pairs, len(prompts))


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, default=Path(__file__).with_name("chain.jsonl"))
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--min-members", type=int, default=2, help="least size of a step that is learnt from")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def exported(log: pl.DataFrame, to: str, min_members: int) -> pl.DataFrame:
    """The export of some groups; with 1 member a step's reward is the outcome."""
    with TemporaryDirectory() as folder:
        save(log, Path(folder, "log.parquet"))
        out = Path(folder, "out.parquet" if to == "tokens" else "out.jsonl")
        export(Path(folder, "log.parquet"), out, to, ExportOptions(labels="mean", min_members=min_members))
        return pl.read_parquet(out) if to == "tokens" else pl.read_ndjson(out, infer_schema_length=None)


def batch(prompts: list[str], tokens: list[list[int]]) -> tuple[Any, Any, Any]:
    """Ids and attention mask, padded on the right, and the length of each prompt."""
    import torch

    ids = [[VOCABULARY.index(c) for c in prompt] + more for prompt, more in zip(prompts, tokens, strict=True)]
    width = max(map(len, ids))
    padded = torch.tensor([row + [PAD] * (width - len(row)) for row in ids])
    return padded, (padded != PAD).long(), [len(prompt) for prompt in prompts]


def train(learnt: pl.DataFrame, arguments: argparse.Namespace) -> Any:
    """Fit sigmoid(score of a token) to the step reward of its process set: cross-entropy with soft labels."""
    import torch
    from transformers import Qwen2Config, Qwen2ForTokenClassification

    torch.manual_seed(arguments.seed)
    model = Qwen2ForTokenClassification(
        Qwen2Config(
            vocab_size=PAD + 1, hidden_size=64, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=4, num_labels=1, pad_token_id=PAD, classifier_dropout=0.0, initializer_range=0.05,
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    ids, attention, opens = batch(learnt["prompt"].to_list(), learnt["tokens"].to_list())
    target = torch.full(ids.shape, torch.nan)
    for row, (begin, label) in enumerate(zip(opens, learnt["label"].to_list(), strict=True)):
        target[row, begin : begin + len(label)] = torch.tensor([np.nan if x is None else x for x in label])
    steps = arguments.epochs * -(-len(ids) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(arguments.epochs):
        for rows in torch.randperm(len(ids)).split(64):
            scores = model(ids[rows], attention_mask=attention[rows]).logits[..., 0]
            known = ~target[rows].isnan()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(scores[known], target[rows][known])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def steps_of(spans: pl.DataFrame, model: Any) -> list[dict[str, Any]]:
    """The distinct steps of a fold, each with its parent, its reward and the scores to rank it by."""
    import torch

    by_path: dict[tuple, dict[str, Any]] = {}
    for (group, _), rows in spans.group_by("group", "sample", maintain_order=True):
        tokens: list[int] = []
        text = ""
        for row in rows.to_dicts():
            parent = tuple(tokens)
            tokens, text = tokens + row["tokens"], text + row["text"]
            by_path.setdefault(
                (group, *tokens),
                {"group": group, "prompt": row["prompt"], "parent": parent, "tokens": tokens, "reward": row["label"],
                 "length": float(row["end"] - row["start"]), "checker": -float(mistakes(row["prompt"], tokens))},
            )  # fmt: skip
    steps = list(by_path.values())
    ids, attention, opens = batch([s["prompt"] for s in steps], [s["tokens"] for s in steps])
    with torch.no_grad():
        scores = model(ids, attention_mask=attention).logits[..., 0]
    for n, (step, begin) in enumerate(zip(steps, opens, strict=True)):
        step["model"] = float(scores[n, begin + len(step["tokens"]) - 1])
    return steps


def mistakes(prompt: str, tokens: list[int]) -> int:
    """Wrong results among those that are written already: what one could know who can do the task."""
    text = "".join(VOCABULARY[token] for token in tokens).removesuffix(END).replace(",", ";")
    value, wrong = prompt[0], 0
    for operation, step in zip(operations(prompt), text.split(";"), strict=False):
        if "=" in step and step[-1] != "=":
            wrong += not value.isdigit() or step != right_step(value, *operation)
            value = step[-1]
    return wrong


def sibling_pairs(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pairs of steps with one parent and different rewards: for each ranking 1 if it is right, 0.5 for a tie."""
    pairs = []
    for one, other in combinations(steps, 2):
        apart = one["reward"] - other["reward"]
        if (one["group"], one["parent"]) == (other["group"], other["parent"]) and abs(apart) > 1e-9:
            right = {name: (np.sign(one[name] - other[name]) * np.sign(apart) + 1) / 2 for name in RANKINGS}
            pairs.append({"prompt": one["prompt"], **right})
    return pairs


RANKINGS = {
    "model": "the model that was trained on the export",
    "length": "length of the step alone",
    "checker": "mistakes counted by the task itself",
}


def report(pairs: list[dict[str, Any]], prompts: int) -> None:
    """Print each ranking's share of pairs ranked right, with a 95 % range over prompts."""
    table = pl.DataFrame(pairs)
    print(f"{len(table)} pairs of sibling steps in {table['prompt'].n_unique()} of {prompts} prompts; a coin gets 0.5")
    sums = table.group_by("prompt", maintain_order=True).agg(pl.len(), pl.col(*RANKINGS).sum())
    drawn = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    count = sums["len"].to_numpy()[drawn].sum(axis=1)
    for name, what in RANKINGS.items():
        low, high = np.quantile(sums[name].to_numpy()[drawn].sum(axis=1) / count, [0.025, 0.975])
        print(f"{name:8} {table[name].mean():.3f} [{low:.3f}, {high:.3f}]  {what}")


if __name__ == "__main__":
    main()
