"""Steps cut tokens; their texts cut no character, and put together they are the beginning of the completion."""

import json
from os.path import commonprefix

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_tokenizers import CHARACTERS, byte_fallback, byte_level, bytes_of_ids
from oracle_sets import process_set
from tokenizers import Regex, Tokenizer, decoders

from grpo_prm.errors import UsageError
from grpo_prm.export import ExportOptions, export
from grpo_prm.logs.tokenize import Pieces, units
from grpo_prm.tree.step_text import common

words = st.lists(st.sampled_from(CHARACTERS), max_size=6).map("".join)


def alike(given):
    return len(commonprefix(given))  # noqa: RUF071 - texts, not paths


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    """The tokenizer, its file, and the bytes of each id."""
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    byte_level().save(str(path))
    return byte_level(), str(path), bytes_of_ids()


@pytest.fixture(scope="module")
def fallback(tmp_path_factory):
    path = tmp_path_factory.mktemp("fallback") / "tokenizer.json"
    byte_fallback().save(str(path))
    characters = {n: c.encode() for c, n in byte_fallback().get_vocab().items() if n > 255}
    return byte_fallback(), str(path), {byte: bytes([byte]) for byte in range(256)} | characters


@st.composite
def texts(draw):
    """Completions of a group: fresh ones, and branches of earlier ones cut anywhere."""
    made = [draw(words)]
    for _ in range(draw(st.integers(1, 4))):
        base = draw(st.sampled_from(made))
        made.append(base[: draw(st.integers(0, len(base)))] + draw(words))
    return made


def exported(rows, folder, to="spans", tokenizer=None, **options):
    from grpo_prm.logs import ReadOptions

    log, out = folder / "log.jsonl", folder / "out.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = {"min_members": 1, **options}
    done = export(log, out, to, ExportOptions(**options), reading=ReadOptions(tokenizer=tokenizer))
    return [json.loads(line) for line in out.read_bytes().decode().rstrip("\n").split("\n")], done["counts"]


def rows_of(completions, ids=None, with_text=True):
    rewards = [float(n % 3) for n in range(len(completions))]
    return [
        {"prompt": "p", "group": "g", "reward": reward, "sample": n}
        | ({"completion": text} if with_text else {})
        | ({"tokens": ids[n]} if ids else {})
        for n, (text, reward) in enumerate(zip(completions, rewards, strict=True))
    ]


def by_sample(rows):
    found: dict = {}
    for row in rows:
        found.setdefault(row["sample"], []).append(row)
    return found


def steps_of(ids, i):
    """(start, end, members) of every step of completion i."""
    group = [type("Row", (), {"tokens": tokens}) for tokens in ids]
    runs: list = []
    for t in range(len(ids[i])):
        members = process_set(group, i, t)
        if runs and runs[-1][2] == members:
            runs[-1] = (runs[-1][0], t + 1, members)
        else:
            runs.append((t, t + 1, members))
    return runs


def cut_of(text, ids, end, of_bytes):
    """The first place in the text that has the bytes of the tokens before `end` behind it."""
    held = sum(len(of_bytes[token]) for token in ids[:end])
    return next(n for n in range(len(text) + 1) if len(text[:n].encode()) >= held), held


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cuts")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["units", "decoded"])
@settings(max_examples=60)
@given(texts())
@example(["a😀b", "a😁b", "a😀", "é", "e\u0301"])
@example(["😀", "😀", "😁"])
@example(["", "a"])
def test_a_step_ends_with_the_character_that_its_last_byte_is_in(folder, bpe, how, completions):
    if how == "decoded":  # half of a sampled U+FFFD decodes to U+FFFD: cut alike, but not counted as broken
        completions = [text.replace("\ufffd", "x") for text in completions]
    check_bytes(folder, bpe, how, completions)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["units", "decoded"])
@settings(max_examples=60)
@given(texts().map(lambda made: [text.replace("\ufffd", "x") for text in made]))  # what a broken byte looks like
@example(["中😀b", "中😁b", "中😀", "日"])
def test_with_a_token_for_each_byte_too(folder, fallback, how, completions):
    check_bytes(folder, fallback, how, completions)


def check_bytes(folder, made, how, completions):
    tokenizer, path, of_bytes = made
    ids = [tokenizer.encode(text).ids for text in completions]
    if not any(map(len, ids)):
        return
    given_ids = ids if how == "decoded" else None
    rows, counts = exported(rows_of(completions, given_ids), folder, tokenizer=path)
    inside, at = 0, by_sample(rows)
    for i, text in enumerate(completions):
        mine, due, begin = at.get(i, []), steps_of(ids, i), 0
        assert [(r["start"], r["end"]) for r in mine] == [(a, b) for a, b, _ in due]
        for row, (_, end, _) in zip(mine, due, strict=True):
            cut, held = cut_of(text, ids[i], end, of_bytes)
            assert row["text"] == text[begin:cut] and row["text_from"] == how
            inside += len(text[:cut].encode()) > held
            begin = cut
        assert "".join(r["text"] for r in mine) == text
    assert counts["boundaries_inside"] == inside


@pytest.mark.slow
@settings(max_examples=60)
@given(texts())
@example(["a😀b", "a😁b", "a😀b", "a😁"])
@example(["😀", "😀", "😁", "\u0000"])
def test_of_steps_that_end_at_one_character_the_last_gives_the_label(folder, bpe, completions):
    tokenizer, path, of_bytes = bpe
    ids = [tokenizer.encode(text).ids for text in completions]
    rewards = [float(n % 3) for n in range(len(completions))]
    if not any(map(len, ids)):
        return
    due, joined = [], 0
    for i, text in enumerate(completions):
        labels: dict = {}
        for _, end, members in steps_of(ids, i):
            cut, _ = cut_of(text, ids[i], end, of_bytes)
            joined += cut in labels
            labels[cut] = sum(rewards[j] for j in members) / len(members) >= 1.0
        ends = list(labels)
        row = {
            "prompt": "p",
            "completions": [text[a:b] for a, b in zip([0, *ends], ends, strict=False)],
            "labels": list(labels.values()),
        }
        if ends and row not in due:
            due.append(row)
    rows, counts = exported(rows_of(completions), folder, "stepwise", path, threshold=1.0)
    assert rows == due and counts["steps_joined"] == joined


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 260), max_size=8), min_size=2, max_size=4).filter(any))
@example([[0xF0, 0x9F, 0x98, 0x80], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x98, 0x81], [0xFF, 0x80, 0x80]])
def test_ids_that_are_no_text_are_put_together_again(folder, bpe, ids):
    tokenizer, path, _ = bpe
    rows, _ = exported(rows_of([""] * len(ids), ids, with_text=False), folder, tokenizer=path)
    for i, mine in by_sample(rows).items():
        assert "".join(r["text"] for r in mine) == tokenizer.decode(ids[i], skip_special_tokens=False)
        assert [token for r in mine for token in r["tokens"]] == ids[i]


@settings(max_examples=60)
@given(texts())
def test_without_a_tokenizer_a_step_is_what_its_members_share(folder, bpe, completions):
    tokenizer, _, _ = bpe
    ids = [tokenizer.encode(text).ids for text in completions]
    if not any(map(len, ids)):
        return
    rows, counts = exported(rows_of(completions, ids), folder)
    at = by_sample(rows)
    for i, text in enumerate(completions):
        mine, begin = at.get(i, []), 0
        for row, (_, end, members) in zip(mine, steps_of(ids, i), strict=True):
            cut = len(text) if end == len(ids[i]) else alike([completions[j] for j in members])
            cut = max(cut, begin)
            assert row["text"] == text[begin:cut] and row["text_from"] == "prefix"
            begin = cut
    assert counts["text_prefix"] == len(at) and counts["boundaries_inside"] == 0


def test_a_step_without_a_character_is_joined_to_the_next(folder):
    rows, counts = exported(rows_of(["a", "b"], [[9, 1], [9, 2]]), folder, "stepwise", threshold=0.5)
    assert [row["completions"] for row in rows] == [["a"], ["b"]]
    assert [row["labels"] for row in rows] == [[False], [True]] and counts["steps_joined"] == 2


def test_a_decoder_that_takes_text_back_cuts_nothing_twice(folder, bpe):
    """Such as one that tidies the end of a text: its beginnings are no beginnings of the whole."""
    odd = Tokenizer.from_file(bpe[1])
    odd.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(Regex("^ccd$"), "z")])
    odd.save(str(folder / "odd.json"))
    ids = [list(text.encode()) for text in ("ccde", "ccdf", "ccg")]
    rows, counts = exported(rows_of(["", "", ""], ids, with_text=False), folder, tokenizer=str(folder / "odd.json"))
    assert [row["text"] for row in rows] == ["cc", "", "de", "cc", "", "df", "cc", "g"]
    assert counts["boundaries_inside"] == 0


def test_special_tokens_are_text(folder, bpe):
    tokenizer, path, _ = bpe
    end = tokenizer.token_to_id("<end>")
    rows, _ = exported(rows_of(["ab", "ab"], [[97, 98, end], [97, 99, end]]), folder, tokenizer=path)
    assert [row["text"] for row in rows] == ["a", "b<end>", "a", "c<end>"]


def test_all_members_share_it_and_not_the_first_and_the_last_alone(folder):
    rows, _ = exported(rows_of(["xaa", "xb", "xab"], [[9, 1], [9, 2], [9, 3]]), folder)
    assert [row["text"] for row in rows] == ["x", "aa", "x", "b", "x", "ab"]


@pytest.mark.slow
@settings(max_examples=40)
@given(texts())
def test_pieces_are_cut_where_they_end(folder, completions):
    made = units(Pieces(), pl.Series(completions, dtype=pl.String)).tokens.to_list()
    if not any(map(len, made)):
        return
    rows, _ = exported(rows_of(completions), folder)
    for i, mine in by_sample(rows).items():
        assert "".join(r["text"] for r in mine) == completions[i]
        assert {r["text_from"] for r in mine} == {"units"} and {r["tokens"] is None for r in mine} == {True}
        for row in mine:  # the text of a step is as many pieces as it says
            joined = units(Pieces(), pl.Series([row["text"]])).tokens[0]
            assert len(joined) <= row["end"] - row["start"] + 1
    with pytest.raises(UsageError, match="pieces are the tokens of no model"):
        exported(rows_of(completions), folder, "tokens")


@given(words, words, words)
def test_common(shared, one, other):
    assert common(shared + one, shared + other) == alike([shared + one, shared + other])


def test_another_tokenizer_than_the_log_was_made_with(folder, bpe):
    """Its units are not those of the table, so cuts fall back on what the members share."""
    from grpo_prm.logs import ReadOptions, collect
    from grpo_prm.logs.rollouts import save

    _, path, _ = bpe
    log = folder / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows_of(["a😀b", "a😁b"])))
    table = collect(log, ReadOptions(tokenizer=path)).table
    other = table.with_columns(pl.col("tokens").list.eval(pl.element() + 1))
    for made, how in ((table, "units"), (other, "prefix")):
        save(made, folder / "log.parquet")
        out = folder / "out.jsonl"
        export(folder / "log.parquet", out, "spans", reading=ReadOptions(tokenizer=path))
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert {row["text_from"] for row in rows} == {how}
