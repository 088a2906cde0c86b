"""One cutter: `tree`, `report` and `export` cut alike, and the texts along a path are the completion, exactly."""

import json
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from made_tokenizers import CHARACTERS, MADE, byte_level

from grpo_prm.analysis.folder import read_folder
from grpo_prm.export import ExportOptions, export
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.report.trees import groups_with_text, trees
from grpo_prm.tree.printed import marks
from grpo_prm.tree.view import group_tree

words = st.lists(st.sampled_from(CHARACTERS), max_size=6).map("".join)


@st.composite
def texts(draw):
    """Completions of a group: fresh ones, and branches of earlier ones cut anywhere."""
    made = [draw(words)]
    for _ in range(draw(st.integers(1, 4))):
        base = draw(st.sampled_from(made))
        made.append(base[: draw(st.integers(0, len(base)))] + draw(words))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("step_text")


@pytest.fixture(scope="module", params=MADE)
def tokenizer(request, folder):
    made, path = MADE[request.param](), folder / f"{request.param}.json"
    made.save(str(path))
    return made, str(path)


def log_of(folder, completions, ids=None, *, with_text=True, name="log"):
    """A log of one group; the loss leaves out every other token where there are ids."""
    rows = [
        {"prompt": "p", "group": "g", "reward": float(n % 3), "sample": n}
        | ({"completion": text} if with_text else {})
        | ({"tokens": ids[n], "mask": [t % 2 == 0 for t in range(len(ids[n]))]} if ids else {})
        for n, text in enumerate(completions)
    ]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def paths(tree):
    """Indices of the steps on the path of each completion."""
    found = {}
    for n, step in enumerate(tree["steps"]):
        for end in step["ends"]:
            at, path = n, []
            while at >= 0:
                path.insert(0, at)
                at = tree["steps"][at]["parent"]
            found[end["sample"]] = path
    return found


def text_in_tree(step, sample):
    """What a tree says is the text of a step of one of its members."""
    return step["text"] if step["texts"] is None else step["texts"][step["samples"].index(sample)]


def check(log, tokenizer, completions, text_from):
    """Tree and export agree for every step of every completion, and both join to the completion."""
    reading = ReadOptions(tokenizer=tokenizer)
    table = collect(log, reading).table
    out = log.with_suffix(".out.jsonl")
    lengths = table["tokens"].list.len().to_list()
    if any(lengths):
        options = ExportOptions("mean", min_members=1)
        export(log, out, "spans", options, reading=reading)
        rows = [json.loads(line) for line in out.read_bytes().split(b"\n") if line]
    else:
        rows = []
    exported = {(row["sample"], row["start"]): row for row in rows}
    tree = group_tree(table, tokenizer=tokenizer)
    assert tree["text_from"] == text_from
    for sample, path in paths(tree).items():
        mine = [tree["steps"][n] for n in path]
        assert "".join(text_in_tree(step, sample) for step in mine) == completions[sample] or not lengths[sample]
        due = [exported.get((sample, step["start"])) for step in mine if step["start"] < step["end"]]
        told = [step for step in mine if step["start"] < step["end"]]
        for step, row in zip(told, due, strict=True):
            if row is None:  # export leaves out what lies after the last token in the loss
                assert step["end"] == lengths[sample] and lengths[sample] - step["start"] == 1
            else:
                assert (row["end"], row["text"]) == (step["end"], text_in_tree(step, sample))
                assert row["text_from"] == text_from
    for step in tree["steps"]:
        if step["texts"] is not None:
            assert step["text"] in step["texts"] and len(set(step["texts"])) > 1
    return tree


@pytest.mark.slow
@settings(max_examples=25)
@given(texts().filter(any))  # a log without any text is refused
@example(["a😀b", "a😁b", "a😀", "é", "e\u0301"])
@example(["😀", "😀", "😁"])
@example(["ﬁb", "ﬁa", "f", "  a\n", " é"])
@example(["", "a"])
def test_text_that_is_tokenised_again(folder, tokenizer, completions):
    assume(any(tokenizer[0].encode(text).ids for text in completions))  # a tokenizer may make nothing of a text
    check(log_of(folder, completions), tokenizer[1], completions, "units")


@pytest.mark.slow
@settings(max_examples=25)
@given(texts().filter(any))  # a log without any text is refused
@example(["中😀b", "中😁b", "中😀", "é", "e\u0301"])
@example([" a", "a", "  a"])
def test_ids_that_are_decoded(folder, tokenizer, completions):
    ids = [tokenizer[0].encode(text).ids for text in completions]
    assume(any(ids))
    decoded = [tokenizer[0].decode(one, skip_special_tokens=False) for one in ids]
    check(log_of(folder, completions, ids, with_text=False), tokenizer[1], decoded, "decoded")


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 261), max_size=8), min_size=2, max_size=4).filter(any))
@example([[0xF0, 0x9F, 0x98, 0x80], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x98, 0x81], [0xFF, 0x80, 0x80]])
@example([[97, 261], [97, 98, 261], [97]])  # 261 is <end>
def test_ids_that_are_no_text(folder, ids):
    path = folder / "byte level ids.json"
    byte_level().save(str(path))
    decoded = [byte_level().decode(one, skip_special_tokens=False) for one in ids]
    check(log_of(folder, decoded, ids, with_text=False), str(path), decoded, "decoded")


@settings(max_examples=25)
@given(texts().filter(any))  # a log without any text is refused
@example(["a😀b", "a😁b", "a😀", ""])
def test_ids_and_text_without_a_tokenizer(folder, completions):
    ids = [byte_level().encode(text).ids for text in completions]
    tree = check(log_of(folder, completions, ids), None, completions, "prefix")
    assert all(step["texts"] is None for step in tree["steps"])  # what all members share is one text


@settings(max_examples=25)
@given(texts().filter(any))  # a log without any text is refused
def test_pieces(folder, completions):
    tree = check(log_of(folder, completions), None, completions, "units")
    assert all(step["texts"] is None for step in tree["steps"])  # pieces end with characters


def test_members_of_one_step_that_end_it_with_other_characters(folder):
    path = folder / "byte level marks.json"
    byte_level().save(str(path))
    completions = ["a😀b", "a😁b", "a😀c"]  # a and three bytes of the smiley are one step, then they part
    tree = check(log_of(folder, completions), str(path), completions, "units")
    root, *others = tree["steps"]
    assert (root["text"], root["texts"]) == (
        "a😁",
        ["a😀", "a😁", "a😀"],
    )
    assert marks(root).plain == " [ends inside a character: 😀 or 😁]"
    assert [(step["text"], step["texts"]) for step in others] == [("b", None), ("", None), ("b", None), ("c", None)]


def test_equal_ids_with_other_texts_are_each_their_own(folder):
    completions = ["ab", "ab</s>", "ab c"]  # a log may leave out special tokens in one text and not in another
    tree = check(log_of(folder, completions, [[1, 2], [1, 2], [1, 3]]), None, completions, "prefix")
    assert [step["texts"] for step in tree["steps"]] == [None, ["", "</s>"], None]
    assert marks(tree["steps"][1]).plain.startswith(" [0 of 2 in the loss] [the texts of its completions differ]")


def test_some_completions_without_text(folder):
    completions = [None, "ab", "ac"]
    tree = group_tree(collect(log_of(folder, completions, [[1, 2], [1, 3], [1, 4]])).table)
    assert tree["text_from"] == "prefix"
    assert [step["text"] for step in tree["steps"]] == ["a", None, "b", "c"] and tree["steps"][1]["ids"] == [2]


@pytest.mark.parametrize(
    ("name", "completions", "shared", "following"),
    [
        ("word by word", ["a  b", "a  é"], "a", ["  b", "  é"]),  # its offsets have no spaces
        ("composed", ["e\u0301a", "e\u0301b"], "e\u0301", ["a", "b"]),  # the offset of é is that of e
    ],
)
def test_what_offsets_leave_out(folder, name, completions, shared, following):
    path = folder / f"{name} offsets.json"
    MADE[name]().save(str(path))
    tree = check(log_of(folder, completions), str(path), completions, "units")
    assert [step["text"] for step in tree["steps"]] == [shared, *following]


def test_the_least_exact_way_of_a_group_is_named(folder):
    path = folder / "byte level ways.json"
    byte_level().save(str(path))
    table = collect(log_of(folder, ["ab", "ac"]), ReadOptions(tokenizer=str(path))).table
    other = table.with_columns(tokens=pl.Series([table["tokens"][0].to_list(), [97, 98, 99]], dtype=pl.List(pl.Int32)))
    assert group_tree(table, tokenizer=str(path))["text_from"] == "units"
    assert group_tree(other, tokenizer=str(path))["text_from"] == "prefix"  # the text of one is not that of its ids


def test_the_report_shows_what_the_tree_does(folder):
    path = folder / "byte level report.json"
    byte_level().save(str(path))
    groups = [["a😀b", "a😁b", "a😀", "中"], ["日本", "日曜", "e\u0301x", "éx"]]
    rows = [
        {"prompt": f"p{g}", "group": f"g{g}", "step": 0, "reward": float(n == 0), "completion": text}
        for g, completions in enumerate(groups)
        for n, text in enumerate(completions)
    ]
    log, out = folder / "report.jsonl", folder / "report.prm"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, "-m", "grpo_prm", "analyze", log, "--tokenizer", path, "--no-figures", "--out", out]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    analysis = read_folder(out)
    found = {tree["group"]: tree for tree in trees(analysis, groups_with_text(analysis).order, str(path))}
    table = collect(log, ReadOptions(tokenizer=str(path))).table
    assert len(found) == 2
    for group, part in table.group_by("group"):
        steps = group_tree(part, tokenizer=str(path))["steps"]
        assert found[group[0]]["texts"] == [step["text"] for step in steps] and found[group[0]]["textFrom"] == "units"
        assert not any("\ufffd" in step["text"] for step in steps)
