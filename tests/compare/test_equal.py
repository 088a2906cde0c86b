"""One log under several names is named first, as far as numbers tell; logs without prompts have it said of them."""

import json
from types import SimpleNamespace

import pytest

import grpo_prm
from grpo_prm.compare.alike import _equal
from grpo_prm.compare.comparison import as_json, compare
from grpo_prm.compare.equal import equal_folders
from grpo_prm.errors import UsageError

EQUAL = "are equal: every number of their summaries is the same."
UNKNOWN = "Whether the tasks are the same cannot be told: "


def saved(folder, name, rows):
    """The folder of an analysis of rows, as a log of this name."""
    log = folder / f"{name}.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    grpo_prm.analyze(str(log)).save(folder / f"{name}.prm", figures=False)
    return folder / f"{name}.prm"


def rows(change=(), asked="prompt"):
    """Four groups of four; `change` gives the reward of a row another value."""
    texts = ("so it is two", "so it is three", "it is two", "so it is")
    return [
        {asked: f"what is {p}?", "completion": f"{text} {p}", "reward": dict(change).get((p, n), float((p + n) % 2))}
        for p in range(4)
        for n, text in enumerate(texts)
    ]


def figures(value, at=()):
    """Every number of a summary at its place, but for what names things: the slow way."""
    if isinstance(value, dict):
        return {place: one for key in value for place, one in figures(value[key], (*at, key)).items()}
    if isinstance(value, list):
        return {place: one for n, part in enumerate(value) for place, one in figures(part, (*at, n)).items()}
    return {} if isinstance(value, str) or value is None or at[0] in ("notes", "source") else {at: value}


def test_one_log_under_two_names_is_named_first(tmp_path):
    a, b = (saved(tmp_path, name, rows()) for name in "ab")
    other = saved(tmp_path, "c", rows({(0, 0): 0.5}.items()))
    of = {path: figures(json.loads((path / "summary.json").read_text())) for path in (a, b, other)}
    assert of[a] == of[b] != of[other] and len(of[a]) > 100
    found = compare([a, other, b])
    assert found.header[:2] == (f"a and b {EQUAL}", found.common.sentence)
    assert as_json(found)["notes"][0] == found.header[0] and found.common.sentence not in as_json(found)["notes"]
    assert EQUAL not in " ".join(compare([a, other]).header)


def test_equal_folders_stand_together_and_of_many_the_first_are_named():
    def folder(files, steps, k, code):
        source = {"files": [files], "steps": {"count": steps}}
        numbers = {"counts": {"k": k}, "verdict": {"findings": [{"code": code, "value": 0.5}]}}
        return SimpleNamespace(summary={"source": source, "notes": {files: code}} | numbers)

    folders = [folder(name, 3, 8, name) for name in "abcde"] + [folder("f", 2, 8, "f"), folder("g", 3, 9, "g")]
    assert equal_folders(folders, "abcdefg") == (tuple("abcde"),)
    assert equal_folders([*folders[4:], *folders[5:]], "efghi") == (("f", "h"), ("g", "i"))
    assert _equal(tuple("abcde")) == f"a, b, c and 2 more {EQUAL}" and _equal(tuple("abc")) == f"a, b and c {EQUAL}"


def test_of_logs_without_prompts_it_cannot_be_told_whether_tasks_are_shared(tmp_path):
    a, b = saved(tmp_path, "a", rows(asked="group")), saved(tmp_path, "b", rows(asked="group"))
    other = saved(tmp_path, "c", rows({(0, 0): 0.5}.items(), asked="group"))
    asked = saved(tmp_path, "d", rows())
    assert f"{UNKNOWN}a, c logged no prompts." in compare([a, other]).header
    assert f"{UNKNOWN}c logged no prompts." in compare([asked, other]).header
    assert UNKNOWN not in " ".join(compare([a, b]).header)  # they are equal, which says more
    with pytest.raises(UsageError, match="holds one run"):
        compare([a])
