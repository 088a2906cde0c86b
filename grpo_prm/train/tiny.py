"""The small model of a built-in task: GPT-2's configuration, built in code and warm-started on demonstrations.

It is made on one thread, so the same seed gives the same weights on a busy machine and on an idle one, and kept in the
user's cache, with a checksum.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..errors import UsageError
from ..files import atomic_folder
from ..tasks import END, Task
from .threads import using

SHAPE: dict[str, Any] = {"n_layer": 2, "n_embd": 64, "n_head": 4, "initializer_range": 0.05}
PAD = "<pad>"  # never an output of the warm start: its logit is taught to be low
VERSION = 1  # of what the cache holds


def tiny_model(
    task: Task, seed: int, cache: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> tuple[Any, Any]:
    """The warm-started model of a task and its tokenizer.

    Args:
        task: The task.
        seed: Of the weights and of the demonstrations.
        cache: Folder where models are kept; None: the model is made anew.
        progress: Called with steps done and steps in all, where the model is made.

    Returns:
        Model and tokenizer of transformers; the model is on the CPU.
    """
    tokenizer = word_tokenizer(task)
    if cache is None:
        return _warm_started(task, tokenizer, seed, progress), tokenizer
    folder = cache / f"{task.name}-{_key(task, seed)}"
    if (model := _cached(folder)) is None:
        model = _warm_started(task, tokenizer, seed, progress)
        _keep(model, folder)
    return model, tokenizer


def word_tokenizer(task: Task) -> Any:
    """A tokenizer that knows the words of a task, the end token and padding."""
    from transformers import PreTrainedTokenizerFast

    ids = {word: n for n, word in enumerate((*task.words, PAD))}
    words = Tokenizer(WordLevel(ids, unk_token=PAD))
    # alternatives of a regular expression are tried in order: 12 before 1
    longest_first = sorted(task.words, key=len, reverse=True)
    words.pre_tokenizer = Split(Regex("|".join(map(re.escape, longest_first))), "isolated")
    words.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token=END, pad_token=PAD)


def _fresh(task: Task, tokenizer: Any, seed: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    # no dropout: it differs between completions, and one prefix must have one log-probability
    still: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    end: dict[str, Any] = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    with _seeded(seed):
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer), n_positions=task.prompt_length + task.limit + 1, **SHAPE, **still, **end
            )
        )


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Torch's generator at a seed, and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@using(1)
def _warm_started(task: Task, tokenizer: Any, seed: int, progress: Callable[[int, int], None] | None) -> Any:
    model, rng = _fresh(task, tokenizer, seed), np.random.default_rng([seed, VERSION])
    optimizer = torch.optim.AdamW(model.parameters(), lr=task.warm.rate, weight_decay=0.0, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.warm.steps)
    for step in range(task.warm.steps):
        ids, labels = _demonstrations(task, tokenizer, rng)
        logits = model(ids[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if progress:
            progress(step + 1, task.warm.steps)
    return model


def _demonstrations(task: Task, tokenizer: Any, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Prompts with completions, padded on the right, and the labels: the completion alone, -100 elsewhere."""
    prompts = [task.draw(rng) for _ in range(task.warm.batch)]
    texts = [prompt.text + task.demonstrate(prompt, rng) + END for prompt in prompts]
    rows = [torch.tensor(row) for row in tokenizer(texts)["input_ids"]]
    opens = [len(row) for row in tokenizer([prompt.text for prompt in prompts])["input_ids"]]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
    # the prompt is read, not imitated
    labels[torch.arange(ids.shape[1]) < torch.tensor(opens)[:, None]] = -100
    return ids, labels


def _key(task: Task, seed: int) -> str:
    """Hash of everything that makes the weights."""
    # examples stand for the code of the task: another demonstration is another model
    rng = np.random.default_rng(0)
    examples = [(prompt := task.draw(rng)).text + task.demonstrate(prompt, rng) for _ in range(64)]
    made_of = [VERSION, task.words, task.limit, task.warm, SHAPE, seed, torch.__version__, 1]  # of one thread
    return hashlib.sha256(json.dumps([*made_of, examples]).encode()).hexdigest()[:12]


def _cached(folder: Path) -> Any:
    """The model of a folder, None if it is not there or not what was written."""
    from transformers import GPT2LMHeadModel

    weights, checksum = folder / "model.safetensors", folder / "sha256"
    # whatever a disk or another version left there: the model is made again
    try:
        if hashlib.sha256(weights.read_bytes()).hexdigest() != checksum.read_text().strip():
            return None
        return GPT2LMHeadModel.from_pretrained(folder, use_safetensors=True)
    except (OSError, ValueError):
        return None


def _keep(model: Any, folder: Path) -> None:
    """Keep the model; a cache that cannot be written is no error."""
    with suppress(OSError, UsageError), atomic_folder(folder) as staging:
        model.save_pretrained(staging)
        (staging / "sha256").write_text(hashlib.sha256((staging / "model.safetensors").read_bytes()).hexdigest())
