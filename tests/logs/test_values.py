"""Completions that say nothing, or not all: empty ones, texts cut at a length, tokens as texts, masks without ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs.log_files import message, read_log, row

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import inspect
from grpo_prm.logs.columns.inside import inside_of
from grpo_prm.logs.columns.plan import Inside, Plan
from grpo_prm.logs.rows.told import sentences

CUT = "they were cut there, so all numbers are about the first"


def texts(values, **more):
    return [{"prompt": "p", "completion": value, "reward": n, **more} for n, value in enumerate(values)]


@pytest.mark.parametrize("empty", ["", [], [{"role": "assistant", "content": ""}], [{"role": "assistant"}]])
def test_a_log_without_any_text_is_refused(tmp_path, empty):
    said = message(lambda: read_log(tmp_path, texts([empty] * 4)))
    assert "no completion holds any text: all 4 are empty. Name the column that holds them" in said
    assert "--columns completion=NAME" in said


def test_a_log_without_any_id_is_refused(tmp_path):
    rows = [row(tokens=[], reward=n) for n in range(3)]
    with pytest.raises(InputError, match="no completion holds any text"):
        read_log(tmp_path, rows)
    with pytest.raises(InputError, match="no completion holds any text"):
        read_log(tmp_path, [row(tokens=[n], mask=[0], reward=n) for n in range(3)])


def test_some_empty_completions_are_counted(tmp_path):
    got = read_log(tmp_path, texts(["a", "", "b", ""]))
    note = "Empty, with nothing in the loss: 2 completions."
    assert note in got.notes and note in inspect(tmp_path / "log.jsonl").notes and len(got.table) == 4
    assert not any("Empty" in note for note in read_log(tmp_path, texts(["a", "b"])).notes)


def of_length(n, length):
    return (f"{n} " * length)[:length]


def test_texts_cut_at_one_length_are_said(tmp_path):
    cut = [of_length(n, 200) for n in range(9)]
    (note,) = (n for n in read_log(tmp_path, texts([*cut, "short"])).notes if CUT in n)
    assert note.startswith("Most texts (9 of the first 10) have exactly 200 characters, and none has more")
    (note,) = (n for n in read_log(tmp_path, texts(cut + [f"short {n}" for n in range(20)])).notes if CUT in n)
    assert note.startswith("Many texts (9 of the first 29)")


def test_texts_of_one_length_that_were_not_cut(tmp_path):
    longer = [*(of_length(n, 200) for n in range(9)), of_length(9, 201)]
    equal = [of_length(1, 200)] * 9
    short = [of_length(n, 10) for n in range(9)]
    free = [of_length(n, 200 + n) for n in range(9)]
    for values in (longer, equal, short, free):
        assert not any(CUT in note for note in read_log(tmp_path, texts(values)).notes)
    ids = [row(tokens=[n], completion=of_length(n, 200)) for n in range(9)]
    assert not any(CUT in note for note in read_log(tmp_path, ids).notes)


def test_tokens_as_texts(tmp_path):
    rows = texts([f"say {n}" for n in range(3)], tokens=["say", " it"])
    got = read_log(tmp_path, rows)
    assert "The column tokens holds texts, not ids: it is not used, and units are made of completion." in got.notes
    bare = [{k: v for k, v in r.items() if k != "completion"} for r in rows]
    with pytest.raises(UsageError, match="tokens holds tokens as texts, and units are made of ids or of whole texts"):
        read_log(tmp_path, bare)


def test_a_mask_without_ids_is_not_used_and_that_is_said(tmp_path):
    got = read_log(tmp_path, texts(["a b", "a c"], loss_mask=[0, 1]))
    assert "The column loss_mask is not used: it has a value per token, and no token ids are logged." in got.notes


def test_sentences_of_one_and_of_many():
    told = {"Cut: {completions}.": 1, "Left out in {rows}.": 1204}
    assert sentences(told) == ("Cut: 1 completion.", "Left out in 1,204 rows.")


@given(st.lists(st.lists(st.integers(3, 60), min_size=1, max_size=12), min_size=6, max_size=20), st.booleans())
def test_padding_is_found_as_it_was_added(lists, ends):
    """Random ids with an end token, filled up to one length with the end token or with another id."""
    end, pad = 2, 2 if ends else 0
    lists = [[*ids, end] for ids in lists]
    longest = max(map(len, lists))
    rows = [{"tokens": ids + [pad] * (longest - len(ids))} for ids in lists]
    found = inside_of(rows, Plan({"tokens": "tokens"}, {}))
    filled = sum(longest - len(ids) + ends > 1 for ids in lists)
    told = filled >= max(2, 0.2 * len(lists))
    assert found == (Inside(pad=pad, ends=ends) if told else Inside())
