"""The tokenizer of a GGUF as transformers loads it: byte-level pairs, digits one by one, special tokens, chat template.

What transformers itself makes of a GGUF leaves out the cutting by kind of text that the model was trained with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from ..errors import InputError
from .gguf_file import GGUF

CONTROL, OF_USER = 3, 4  # types of tokens in llama.cpp
TEMPLATE = "chat_template.jinja"


def tokenizer_of(gguf: GGUF) -> Tokenizer:
    """The tokenizer that the model was trained with.

    Raises:
        InputError: It is of a kind that is not known here, so that ids might be others than the model has learned.
    """
    kind, cutting = gguf.fact("tokenizer.ggml.model"), gguf.fact("tokenizer.ggml.pre")
    if (kind, cutting) != ("gpt2", "smollm"):
        raise InputError(f"{gguf.path}: its tokenizer is {kind}, cut as {cutting}. Only gpt2 cut as smollm is known.")
    words = gguf.fact("tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ", 1)) for pair in gguf.fact("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(BPE({word: n for n, word in enumerate(words)}, merges))
    # llama.cpp's `smollm`: every digit alone, then GPT-2's pattern. So "\n\n1" is "\n\n" and "1", not "\n" and "\n1".
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = gguf.fact("tokenizer.ggml.token_type")
    whole = [(word, kind) for word, kind in zip(words, kinds, strict=True) if kind in (CONTROL, OF_USER)]
    for word, kind in whole:
        special = kind == CONTROL
        tokenizer.add_tokens([AddedToken(word, special=special, normalized=False)])
    return tokenizer


def write_tokenizer(gguf: GGUF, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template.

    Raises:
        InputError: See `tokenizer_of`.
    """
    tokenizer_of(gguf).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(gguf), indent=2) + "\n", encoding="utf-8")
    (folder / TEMPLATE).write_text(gguf.fact("tokenizer.chat_template"), encoding="utf-8", newline="")


def _config(gguf: GGUF) -> dict[str, Any]:
    words = gguf.fact("tokenizer.ggml.tokens")
    named = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    special = {f"{ours}_token": words[gguf.fact(f"tokenizer.ggml.{theirs}_token_id")] for ours, theirs in named.items()}
    return {
        # one that takes tokenizer.json as it is: that of GPT-2 puts a cutting of its own in its place
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": gguf.fact("llama.context_length"),
        **special,
    }
