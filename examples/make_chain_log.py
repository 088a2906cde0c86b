"""Make `chain.jsonl`: the rollouts of a tiny language model that learns chained arithmetic with GRPO.

The model first imitates demonstrations in which a quarter of the results are off by one, then learns from the final
answer alone (Shao et al., arXiv 2402.03300; sample standard deviation, on-policy, one update a batch, no KL term, loss
averaged over the tokens of the batch). The logged log-probabilities are the sampler's own: each token is drawn from the
very distribution that they belong to.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from chain_task import DIGITS, END, OPERATIONS, demonstrate, draw_prompt, reward_answer, reward_steps
from describe_chain_log import describe
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from grpo_prm.files import atomic

VOCAB = [END, *DIGITS, *"+-*=;,"]
IDS = {token: i for i, token in enumerate(VOCAB)}
PAD = len(VOCAB)  # an input only: the model has no logit for it, so padding can never be sampled
PROMPT, LIMIT = 2 * OPERATIONS[1] + 2, 6 * OPERATIONS[1] + 4  # tokens; a right completion takes 6 an operation
GROUP, PROMPTS, HELD_OUT = 8, 20, 512  # completions a prompt, prompts a step, prompts drawn apart to test on
SLIP, COMMA = 0.25, 0.2  # of the demonstrations
WARM_BATCH, WARM_RATE = 128, 3e-3
RATE, EPS = 2e-4, 1e-4


class Samples(NamedTuple):
    """Completions, one a row: token ids, their log-probabilities, and which positions were sampled, (rows, LIMIT)."""

    tokens: Tensor
    logprobs: Tensor
    alive: Tensor


class Block(nn.Module):
    """Causal attention and a two-layer network, both with a residual, normalised first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (rows, length, width) to the same shape; `past` holds the keys and values of earlier positions."""
        rows, length, width = x.shape
        query, key, value = self.mix(self.before(x)).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = torch.stack([key, value]) if past is None else torch.cat([past, torch.stack([key, value])], dim=3)
        mixed = scaled_dot_product_attention(query, seen[0], seen[1], is_causal=past is None)
        x = x + self.merge(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.think(self.between(x)), seen


class TinyGPT(nn.Module):
    """A decoder-only transformer over `VOCAB`."""

    def __init__(self, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(len(VOCAB) + 1, width), nn.Embedding(PROMPT + LIMIT, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last, self.head = nn.LayerNorm(width), nn.Linear(width, len(VOCAB))

    def forward(self, ids: Tensor, past: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Give the logits of the next token, (rows, length, vocabulary), and the cache that continues `past`."""
        opens = 0 if past is None else past[0].shape[3]
        x, seen = self.token(ids) + self.position(torch.arange(opens, opens + ids.shape[1])), []
        for i, block in enumerate(self.blocks):
            x, cache = block(x, None if past is None else past[i])
            seen.append(cache)
        return self.head(self.last(x)), seen


def encode_prompts(prompts: Iterable[str]) -> Tensor:
    """Pad prompts on the right to one length, (rows, PROMPT), so that every operand has a fixed position."""
    return torch.tensor([[IDS[c] for c in p] + [PAD] * (PROMPT - len(p)) for p in prompts])


def encode_completion(text: str) -> list[int]:
    """Pad a demonstration on the right to LIMIT ids."""
    ids = [IDS[c] for c in text.removesuffix(END)] + [IDS[END]]
    return ids + [PAD] * (LIMIT - len(ids))


def token_logprobs(model: TinyGPT, prompts: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of every completion token, (rows, LIMIT), in one forward pass; 0 where there is padding."""
    logits, _ = model(torch.cat([prompts, tokens[:, :-1]], dim=1))
    return -cross_entropy(logits[:, PROMPT - 1 :].transpose(1, 2), tokens, ignore_index=PAD, reduction="none")


def warm_start(model: TinyGPT, rng: random.Random, steps: int) -> None:
    """Teach the format, and the facts as well as demonstrations with slips allow."""
    adam = torch.optim.Adam(model.parameters(), lr=WARM_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        prompts = [draw_prompt(rng) for _ in range(WARM_BATCH)]
        tokens = torch.tensor([encode_completion(demonstrate(p, SLIP, COMMA, rng)) for p in prompts])
        loss = -token_logprobs(model, encode_prompts(prompts), tokens).sum() / (tokens != PAD).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        decay.step()


@torch.no_grad()
def sample(model: TinyGPT, prompts: Tensor, generator: torch.Generator) -> Samples:
    """Sample one completion for every row at temperature 1, all rows in one forward pass per position."""
    alive, columns = torch.ones(len(prompts), 1, dtype=torch.bool), []
    logits, past = model(prompts)
    for _ in range(LIMIT):
        logprobs = logits[:, -1].log_softmax(dim=-1)
        token = torch.multinomial(logprobs.exp(), 1, generator=generator)
        columns.append((token, logprobs.gather(1, token), alive))
        alive = alive & (token != IDS[END])
        logits, past = model(token, past)
    tokens, logprobs, alive = (torch.cat(column, dim=1) for column in zip(*columns, strict=True))
    return Samples(tokens.where(alive, PAD), logprobs, alive)


def decode(samples: Samples) -> list[str]:
    """Text of every completion, special tokens written out."""
    return ["".join(VOCAB[t] for t in row[on]) for row, on in zip(samples.tokens, samples.alive, strict=True)]


def group_advantages(rewards: Tensor) -> Tensor:
    """(r - mean) / (std + EPS) over each row of (prompts, GROUP), sample deviation; 0 where all r are equal."""
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + EPS)


def accuracy(model: TinyGPT, prompts: list[str], seed: int) -> float:
    """Share of right answers, one sample a prompt at temperature 1."""
    texts = decode(sample(model, encode_prompts(prompts), torch.Generator().manual_seed(seed)))
    return statistics.fmean(map(reward_answer, prompts, texts))


def canonical_rows(step: int, first: int, prompts: list[str], samples: Samples, advantages: Tensor) -> Iterator[dict]:
    """Yield one row a completion; `first` is the id of the first group, `prompts` has one entry a completion."""
    texts = decode(samples)
    for i, (prompt, text, on) in enumerate(zip(prompts, texts, samples.alive, strict=True)):
        yield {
            "run": "chain",
            "step": step,
            "group": first + i // GROUP,
            "group_key": f"p{step * PROMPTS + i // GROUP:04d}",
            "sample": i % GROUP,
            "prompt": prompt,
            "completion": text,
            "tokens": samples.tokens[i, on].tolist(),
            "mask": None,
            "logprobs": [plain(x) for x in samples.logprobs[i, on].tolist()],
            "ref_logprobs": None,
            "reward": reward_answer(prompt, text),
            "advantage": plain(advantages[i].item()),
            "truncated": not text.endswith(END),
            "tokens_from": "log",
            "reward/steps": round(reward_steps(prompt, text), 4),
        }


def plain(x: float) -> float:
    """Round to five decimals, as float32 carries little more; adding 0 turns -0.0 into 0.0."""
    return round(x, 5) + 0.0


def train(model: TinyGPT, rng: random.Random, options: argparse.Namespace) -> Iterator[dict]:
    """Run GRPO, one update a batch, and yield the rows of every logged step, sampled before its update."""
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(options.seed)
    for step in range(options.steps):
        texts = [prompt for prompt in (draw_prompt(rng) for _ in range(PROMPTS)) for _ in range(GROUP)]
        prompts = encode_prompts(texts)
        samples = sample(model, prompts, generator)
        rewards = torch.tensor(list(map(reward_answer, texts, decode(samples))), dtype=torch.float64)
        advantages = group_advantages(rewards.view(PROMPTS, GROUP)).flatten()
        if step % options.every == 0:
            yield from canonical_rows(step, step // options.every * PROMPTS, texts, samples, advantages)
        # On-policy with one update: the ratio is 1, and its gradient is that of the log-probability.
        terms = advantages[:, None].float() * token_logprobs(model, prompts, samples.tokens)
        adam.zero_grad()
        (-terms.sum() / samples.alive.sum()).backward()
        adam.step()


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="example: python make_chain_log.py --out chain.jsonl --steps 64 --seed 0   (a minute or two)",
    )
    parser.add_argument("--out", type=Path, default=Path("chain.jsonl"), help="file to write (default: %(default)s)")
    parser.add_argument("--warm-steps", type=int, default=1000, help="steps of imitation (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=64, help="GRPO steps (default: %(default)s)")
    parser.add_argument("--every", type=int, default=8, help="log step 0 and every so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, prompts and samples (default: %(default)s)")
    options = parser.parse_args()
    if min(options.warm_steps, options.steps, options.every) < 1:
        parser.error("--warm-steps, --steps and --every must be at least 1")
    return options


def main() -> None:
    """Train, log, and say on stderr what the log holds."""
    options = parse()
    torch.set_num_threads(1)  # another number of threads adds in another order
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(options.seed)
    model, rng = TinyGPT(), random.Random(options.seed)  # noqa: S311 - prompts, not secrets
    held_out = [draw_prompt(rng) for _ in range(HELD_OUT)]
    warm_start(model, rng, options.warm_steps)
    before = accuracy(model, held_out, options.seed)
    rows = list(train(model, rng, options))
    with atomic(options.out) as part:
        part.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), newline="\n")
    after = accuracy(model, held_out, options.seed)
    sys.stderr.write(
        f"right of {HELD_OUT} prompts drawn apart: {before:.3f} after the warm start, {after:.3f} after GRPO\n"
    )
    sys.stderr.write(describe(rows))


if __name__ == "__main__":
    main()
