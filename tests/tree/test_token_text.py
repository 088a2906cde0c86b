"""The text of each token: put together it is the completion, and each border is where decoding so far says it is."""

import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_tokenizers import CHARACTERS, MADE

from grpo_prm.analysis.table_groups import table_groups
from grpo_prm.logs import collect
from grpo_prm.tree.step_text import Cutter, step_texts
from grpo_prm.tree.token_text import step_pieces, token_texts

words = st.lists(st.sampled_from([*CHARACTERS, "<end>"]), max_size=8).map("".join)


@pytest.fixture(scope="module", params=MADE)
def tokenizer(request, tmp_path_factory):
    made = MADE[request.param]()
    path = tmp_path_factory.mktemp("token_text") / f"{request.param}.json"
    made.save(str(path))
    return made, str(path)


def group_of(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        made = ({"uid": "g", "reward": float(n % 2), **row} for n, row in enumerate(rows))
        path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
        table = collect(path).table
    return table, table_groups(table, None)


@given(texts=st.lists(words, min_size=2, max_size=4))
@example(texts=["a\ufffdb", "😀😁"])
@settings(deadline=None, max_examples=40)
def test_logged_ids_end_where_decoding_them_so_far_ends(tokenizer, texts):
    made, path = tokenizer
    ids = [made.encode(text, add_special_tokens=False).ids or [97] for text in texts]
    table, groups = group_of([{"completion_ids": some} for some in ids])
    kept = table["tokens"].to_list()  # padding is gone
    for some, pieces in zip(kept, token_texts(table, groups, Cutter(path)), strict=True):
        whole = made.decode(some, skip_special_tokens=False)
        if pieces is None:
            continue
        assert len(pieces) == len(some) and "".join(pieces) == whole
        for t in range(len(some)):
            begun = made.decode(some[: t + 1], skip_special_tokens=False)
            if whole.startswith(begun) and not begun.endswith("\ufffd"):
                assert "".join(pieces[: t + 1]) == begun


@given(texts=st.lists(words.filter(bool), min_size=2, max_size=4))
@settings(deadline=None, max_examples=40)
def test_pieces_of_the_steps_are_the_steps(texts):
    """Of text without ids the unit is the piece, and its borders are known whatever the text."""
    table, groups = group_of([{"completion": text} for text in texts])
    order = groups.forest.order
    table = table[order]
    groups = table_groups(table, None)
    cutter = Cutter()
    units = token_texts(table, groups, cutter)
    assert ["".join(pieces) for pieces in units] == table["completion"].to_list()
    cut = step_texts(table, groups, cutter)
    steps = list(step_pieces(cut.text, groups, units))
    assert [pieces is None for pieces in steps] == (groups.forest.length == 0).tolist()  # a root without a token
    assert [len(pieces or ()) for pieces in steps] == groups.forest.length.tolist()
    assert ["".join(pieces or ()) for pieces in steps] == cut.text


def test_without_the_tokenizer_logged_ids_have_no_borders():
    table, groups = group_of(
        [{"completion_ids": [1, 2, 3], "completion": "a b c"}, {"completion_ids": [1, 4], "completion": "a d"}]
    )
    assert token_texts(table, groups, Cutter()) == [None, None]
    steps = list(step_pieces(step_texts(table, groups, Cutter()).text, groups, [None, None]))
    assert steps == [None] * len(groups.forest.size)


def test_a_known_cut():
    table, groups = group_of([{"completion": "The cat sat.\n"}, {"completion": "The  dog"}])
    assert token_texts(table, groups, Cutter()) == [["The", " cat", " sat", ".", "\n"], ["The", " ", " dog"]]
    assert isinstance(table, pl.DataFrame) and np.array_equal(groups.lengths, [5, 3])
