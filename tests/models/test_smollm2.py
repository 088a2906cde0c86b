"""The real model, where the cache holds it: its ids, its chat, and log-probabilities of a log that it sampled."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from nasty_texts import texts
from oracle_bpe import encoder

from grpo_prm.models.folder import provenance
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.policy import load
from grpo_prm.user_cache import user_cache

LOG = Path(__file__).parents[2] / "examples" / "smollm2.jsonl.gz"
FOLDER = user_cache("models") / "smollm2"  # at once: other tests have a cache of their own
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.exists(), reason="the cache does not hold it: grpo-prm fetch smollm2"),
]


@pytest.fixture(scope="module")
def loaded():
    assert provenance(FOLDER), "damaged, or of another version: grpo-prm fetch smollm2"
    return load(TrainConfig(model=str(FOLDER), device="cpu"))


@pytest.fixture(scope="module")
def log():
    with gzip.open(LOG, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_ids_of_a_thousand_texts_are_those_of_vocabulary_and_merges(loaded, log):
    _, tokenizer = loaded
    kept = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    model, special = kept["model"], [token["content"] for token in kept["added_tokens"]]
    words = sorted(model["vocab"], key=model["vocab"].get)
    encode = encoder(words, [" ".join(pair) for pair in model["merges"]], special)
    given = [*texts(700), *(row["completion"] for row in log[::3]), *{row["prompt"] for row in log}]
    assert len(given) >= 1_000 and len(words) == len(tokenizer)
    for text in given:
        ids = tokenizer(text)["input_ids"]
        assert ids == encode(text) and tokenizer.decode(ids) == text
    assert tokenizer("\n\n1")["input_ids"] == [1116, 33]  # 198 198 33 without the cutting of digits


def test_the_ids_of_the_log_are_its_texts_and_its_prompts_are_chats(loaded, log):
    _, tokenizer = loaded
    texts = tokenizer.batch_decode([row["tokens"] for row in log], skip_special_tokens=True)
    assert texts == [row["completion"] for row in log]
    for row in log[::16]:
        asked = row["prompt"].split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
        chat = [{"role": "user", "content": asked}]
        assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == row["prompt"]


def test_the_log_was_sampled_by_this_model(loaded, log):
    """Its log-probabilities are of bfloat16, so they differ by its rounding; those of another model by nats."""
    model, tokenizer = loaded
    off, spread = [], []
    for row in log[::100]:
        prompt, said = tokenizer(row["prompt"])["input_ids"], torch.tensor(row["tokens"])
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *row["tokens"]]])).logits[0, len(prompt) - 1 : -1]
        found = torch.log_softmax(logits / 0.75, -1).gather(1, said[:, None])[:, 0]  # its temperature
        logged = torch.tensor(row["logprobs"])
        off += (found - logged).abs().tolist()
        spread += logged.abs().tolist()
    assert sum(off) / len(off) < 0.1 * sum(spread) / len(spread)


def test_it_knows_the_capital_of_france(loaded):
    model, tokenizer = loaded
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    said = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    text = tokenizer.decode(said[0, ids.shape[1] :])
    assert "Paris" in text and text.endswith("<|im_end|>")
