"""A small Llama in a GGUF, its weights random and mostly Q4_1, its tokenizer cut as SmolLM's is; and a wheel of it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE

from grpo_prm.models.catalogue import MODELS, Known, Wheel

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"]
WIDTH, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 96, 2, 4, 2, 256
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LEARNED_FROM = [
    "the rain in the main",
    "12 + 34 = 46\n\n1. one\n\n2. two",
    "don't we'll it's",
    "    a   b\n\n\n\nc",
    "éé né",
] * 9
Q4_1, Q8_0, F32 = (GGMLQuantizationType[kind] for kind in ("Q4_1", "Q8_0", "F32"))


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges, learned from a few texts, and one of two digits, which no text may have as digits are cut."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=CONTROL, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(LEARNED_FROM, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    words, merges = sorted(model["vocab"], key=model["vocab"].get), [" ".join(pair) for pair in model["merges"]]
    return [*words, "12"], [*merges, "1 2"]


def make_gguf(path: Path, *, tied: bool = True, pre: str = "smollm", extra: str | None = None, seed: int = 0) -> Path:
    """Write a file.

    Args:
        path: The file.
        tied: The weights of the input are those of the output.
        pre: What the file says of how text is cut.
        extra: Name of one more tensor.
        seed: Of the weights.
    """
    words, merges = vocabulary()
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(500.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(words)
    writer.add_token_types([3 if word in CONTROL else 1 for word in words])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, (shape, kind) in shapes(len(words), tied=tied, extra=extra).items():
        rng = np.random.default_rng([seed, *name.encode()])
        # far from uniform attention and next tokens, so that an error shows
        values = rng.normal(1.0 if len(shape) == 1 else 0.0, 0.25, shape).astype(np.float32)
        writer.add_tensor(name, values if kind == F32 else quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def shapes(
    words: int, *, tied: bool, extra: str | None = None
) -> dict[str, tuple[tuple[int, ...], GGMLQuantizationType]]:
    """Name, shape (outputs, inputs) and kind of every tensor."""
    of_values = WIDTH // HEADS * KV_HEADS
    layer = {"attn_q": (WIDTH, WIDTH), "attn_k": (of_values, WIDTH), "attn_v": (of_values, WIDTH)}
    layer |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH)}
    layer |= {"ffn_down": (WIDTH, INNER)}
    found = {"token_embd.weight": ((words, WIDTH), Q8_0), "output_norm.weight": ((WIDTH,), F32)}
    for n in range(LAYERS):
        found |= {f"blk.{n}.{name}.weight": (shape, Q4_1) for name, shape in layer.items()}
        found |= {f"blk.{n}.{name}_norm.weight": ((WIDTH,), F32) for name in ("attn", "ffn")}
    if not tied:
        found["output.weight"] = ((words, WIDTH), Q4_1)
    if extra:
        found[extra] = ((WIDTH,), F32)
    return found


def make_wheel(folder: Path, gguf: Path | None = None) -> tuple[Path, Known]:
    """Write a wheel that pip takes, and what the catalogue says of it in the place of smollm2's."""
    known = MODELS["smollm2"]
    wheel: Wheel = known.wheel
    gguf = gguf or make_gguf(folder / "small.gguf")
    path = folder / wheel.file
    info = wheel.licence.rpartition("/")[0]
    with zipfile.ZipFile(path, "w") as file:
        file.write(gguf, wheel.weights)
        file.writestr(wheel.licence, "Apache License, Version 2.0")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {wheel.package}\nVersion: {wheel.version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    data = path.read_bytes()
    changed = wheel._replace(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    return path, known._replace(wheel=changed, needs=10 * len(data))
