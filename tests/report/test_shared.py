"""A page without prompts and completions: none of them, nor a part of one, is anywhere in it."""

import base64
import json
import re

import numpy as np
import polars as pl
import pytest
from report.pages import embedded, folder_of, log_of, trees_in, without_figures

from grpo_prm.analysis.folder import read_folder
from grpo_prm.report import pages, report


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A log whose every text has words of its own; some keys are prompts, and a row that is refused quotes itself."""
    out = tmp_path_factory.mktemp("secret")
    rng = np.random.default_rng(0)
    word = lambda: "zqxjv" + "".join(map(chr, rng.integers(97, 123, 9)))  # noqa: E731
    rows = []
    for g in range(12):
        prompt, key = f"{word()} {word()}?", word() if g % 2 else f"task-{g}"
        common = [word() for _ in range(3)]
        rows += [
            {
                "group_id": key,
                "prompt": prompt,
                "completion": " ".join([*common[: 1 + s % 3], word(), word()]),
                "reward": float(s % 2),
            }
            for s in range(4)
        ]
    bad = {"group_id": "zqxjvkey", "prompt": "zqxjvbad", "completion": "zqxjvrefused", "reward": "zqxjvreward"}
    return folder_of(log_of(out / "log.jsonl", [*rows, bad]), out / "log.prm")


def test_no_text_of_the_log_is_in_it(secret):
    folder = read_folder(secret)
    with without_figures():
        assert "zqxjv" in json.dumps(trees_in(embedded(report(folder))))
    text = report(folder, text=False)
    data = embedded(text)
    trees = trees_in(data)
    pictures = [base64.b64decode(one).decode() for one in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", text)]
    assert len(pictures) >= 5
    everything = text + json.dumps([data | {"blocks": []}, trees]) + "".join(pictures)
    assert not re.search("zqxjv", everything)
    rows = pl.concat([folder.samples.drop("kind"), folder.texts.collect()])
    for one in {*rows["prompt"], *rows["completion"]}:
        assert not any(part in everything for part in one.split() if len(part) > 3)
    assert len(trees) == 12 and all(set(tree["texts"]) == {None} and tree["ids"] is None for tree in trees)
    assert not any(str(ids)[1:-1] in everything for ids in rows["tokens"].to_list())
    keys = data["groups"]["columns"]["key"]
    assert sorted(key for key in keys if key.startswith("task-")) == sorted(f"task-{g}" for g in range(0, 12, 2))
    assert sum(bool(re.fullmatch(r"g\d+", key)) for key in keys) == 6
    assert "without prompts and completions" in text and not re.search("--group [^.`]*:", text)


@without_figures()
def test_its_numbers_are_those_of_the_page_with_texts(secret):
    folder = read_folder(secret)
    whole, shared = (embedded(report(folder, text=text)) for text in (True, False))
    for name, values in whole["groups"]["columns"].items():
        assert name in ("key", "prompt") or shared["groups"]["columns"][name] == values
    for one, other in zip(trees_in(whole), trees_in(shared), strict=True):
        assert one["steps"] == other["steps"] and one["completions"] == other["completions"]


@without_figures()
def test_it_opens_and_shows_the_tree(secret, visit, tmp_path):
    page = tmp_path / "shared.html"
    page.write_text(report(read_folder(secret), text=False), encoding="utf-8")
    shown = visit(page, "#groups")
    assert shown.locator("[role=treeitem]").count() > 3
    assert shown.locator("#table tbody tr").count() == 12
    shown.locator("[role=treeitem]").last.click(position={"x": 3, "y": 3})
    assert "|λ|" in shown.locator("#panel").inner_text()


def test_pages_without_texts(secret, monkeypatch):
    for name, value in (("page.BYTES", 0), ("page.LEAST_TEXT", 1), ("packing.BLOCK", 1)):
        monkeypatch.setattr(f"grpo_prm.report.{name}", value)
    made = dict(pages(read_folder(secret), text=False))
    assert len(made) == 12
    for text in made.values():
        assert "zqxjv" not in text + json.dumps(trees_in(embedded(text)))
