"""Ids against an encoder that goes by the vocabulary and the merges of the file alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_gguf import CONTROL, TEMPLATE, make_gguf, vocabulary
from nasty_texts import texts
from oracle_bpe import encoder
from transformers import AutoTokenizer

from grpo_prm.errors import InputError
from grpo_prm.models.gguf_file import open_gguf
from grpo_prm.models.tokenizer_files import tokenizer_of, write_tokenizer

ENCODE = encoder(*vocabulary(), CONTROL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(open_gguf(make_gguf(folder / "small.gguf")), folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def test_ids_are_those_of_the_vocabulary_and_the_merges(tokenizer):
    given = texts(1_000)
    assert [tokenizer(text)["input_ids"] for text in given] == [ENCODE(text) for text in given]


@given(st.text(st.characters(codec="utf-8", categories=("L", "Nd", "Po", "Zs", "Ll"), max_codepoint=0x2FFF)))
@example("\n\n1")
@example("")
@example("the rain . in , it 's")  # nothing is tidied up
def test_ids_of_any_text_are_those_and_give_it_back(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert ids == ENCODE(text)
    assert tokenizer.decode(ids) == text


def test_the_digits_are_cut_off_first(tokenizer):
    """What transformers makes of such a file by itself reads two line ends here, each alone."""
    assert tokenizer.convert_ids_to_tokens(tokenizer("\n\n1")["input_ids"]) == ["ĊĊ", "1"]


def test_special_tokens_are_whole_and_named(tokenizer):
    assert tokenizer("a<|im_end|>")["input_ids"][-1] == tokenizer.eos_token_id == tokenizer.pad_token_id == 2
    assert tokenizer.bos_token_id == 1 and tokenizer.unk_token_id == 0
    ids = tokenizer("<|im_start|>a 1<repo_name><|im_end|>")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a 1"


def test_a_chat_is_written_as_the_file_has_it(tokenizer, folder):
    assert (folder / "chat_template.jinja").read_bytes().decode() == TEMPLATE
    chat = [{"role": "user", "content": "1+1"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    assert ids == ENCODE(text)


def test_a_cutting_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(InputError, match="cut as qwen2"):
        tokenizer_of(open_gguf(make_gguf(tmp_path / "other.gguf", pre="qwen2")))
