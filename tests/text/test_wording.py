"""The sentences of a summary: verdicts at their borders, gaps with their reasons."""

import json
import re
from copy import deepcopy

import pytest

from grpo_prm.text.amounts import interval, number, percent
from grpo_prm.text.cells import Rows, against_null
from grpo_prm.text.wording import sections


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    from report.pages import EXAMPLE, folder_of

    return json.loads((folder_of(EXAMPLE, tmp_path_factory.mktemp("w") / "w.prm") / "summary.json").read_text())


def told(summary, **changes):
    """Section to its sentences, with some figures changed."""
    changed = deepcopy(summary)
    for name, value in changes.items():
        section = next(part for part in (changed, changed["prm"], changed["defects"]) if name in part)
        section[name] = value
    return {
        title: " ".join(part if isinstance(part, str) else str(part.rows) for part in body)
        for title, body in sections(changed)
    }


def test_more_than_chance_is_said_up_to_a_twentieth(summary):
    found = summary["informativeness"]
    for p, words in ((0.05, "0.05, more than chance"), (0.055, "0.055, no more than chance")):
        assert words in told(summary, informativeness=found | {"p_value": p})["Do the branches say anything?"]


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (0.1, "no more than chance"),
        (0.3, "no more than chance"),
        (0.09, "less than chance"),
        (0.31, "more than chance"),
    ],
)
def test_where_a_figure_lies_beside_chance(mean, words):
    assert against_null({"mean": mean, "null_low": 0.1, "null_high": 0.3}) == words
    assert against_null({"mean": mean, "null_low": None, "null_high": None}) == ""


def test_what_cannot_be_said_has_its_reason(summary):
    changed = deepcopy(summary)
    changed["notes"] |= {"informativeness": "of a reason", "certain_share": "of another"}
    page = told(changed, informativeness=None, certain_share=None)
    branches = page["Do the branches say anything?"]
    assert branches.startswith("mean |A|: ") and "identical completions; not known here: of a reason." in branches
    assert "95 % interval; not known here: of another." in branches


@pytest.mark.parametrize(("norm", "cosine", "close"), [(0.99, 0.99, True), (0.99, 0.98, False), (0.94, 0.99, False)])
def test_close_to_no_change_is_said_by_length_and_by_angle(summary, norm, cosine, close):
    """Cosines of .99 and .98 are angles of 8 and 11 degrees."""
    bare = {"low": None, "high": None}
    changes = {"update_norm": norm, "update_cosine": cosine}
    page = told(summary, **{name: {p: bare | {"mean": value} for p in ("0.5", "1")} for name, value in changes.items()})
    assert ("close to no change" in page["What would λ-GRPO change here?"]) == close


@pytest.mark.parametrize(
    ("methods", "read", "title", "change"),
    [
        (None, "", "What would λ-GRPO change here?", "λ-GRPO (p = 1) would multiply"),
        ({"chain": "GRPO"}, "Trained with GRPO.", "What would λ-GRPO change here?", "λ-GRPO (p = 1) would multiply"),
        (
            {"chain": "λ-GRPO, p = 1"},
            "Trained with λ-GRPO, p = 1.",
            "How far is λ-GRPO from GRPO here?",
            "This run was trained with λ-GRPO, p = 1. λ-GRPO is compared with GRPO on its completions."
            " λ-GRPO (p = 1) multiplies the length of GRPO's update by",
        ),
        (
            {"chain": "λ-GRPO, p = 0.5"},
            "Trained with λ-GRPO, p = 0.5.",
            "How far is λ-GRPO from GRPO here?",
            "on its completions. λ-GRPO (p = 0.5) multiplies",
        ),
        (
            {"a": "GRPO", "b": "λ-GRPO, p = 0.5", "c": "λ-GRPO, p = 2"},
            "Trained with: a: GRPO; b: λ-GRPO, p = 0.5; c: λ-GRPO, p = 2.",
            "How far is λ-GRPO from GRPO here?",
            "Some of these runs were trained with λ-GRPO, p = 0.5; λ-GRPO, p = 2. λ-GRPO is compared with GRPO on their"
            " completions.",
        ),
        (
            {"a": "λ-GRPO, p = 0.5", "b": "λ-GRPO, p = 0.5"},
            "Trained with: a: λ-GRPO, p = 0.5; b: λ-GRPO, p = 0.5.",
            "How far is λ-GRPO from GRPO here?",
            "These runs were trained with λ-GRPO, p = 0.5. λ-GRPO is compared with GRPO on their completions."
            " λ-GRPO (p = 0.5) multiplies",
        ),
    ],
)
def test_a_run_is_not_asked_what_its_own_method_would_change(summary, methods, read, title, change):
    source = summary["source"] | ({"runs": list(methods), "methods": methods} if methods else {})
    page = told(summary, source=source)
    assert list(page)[-1] == title and change in page[title]
    assert read in page["What was read"] and (methods is not None) == ("Trained with" in page["What was read"])


def test_some_runs_are_some_where_another_is_unknown(summary):
    source = summary["source"] | {"runs": ["a", "b"], "methods": {"a": "λ-GRPO, p = 1"}}
    assert "Some of these runs were" in told(summary, source=source)["How far is λ-GRPO from GRPO here?"]


@pytest.mark.parametrize(
    "methods",
    [
        {"a": "λ-GRPO, p = 2"},
        {"a": "GRPO with parent weights, p = 1"},
        {"a": "λ-GRPO, p = 1", "b": "λ-GRPO, p = 0.5"},
    ],
)
def test_no_verdict_on_a_run_whose_power_is_not_measured(summary, methods):
    source = summary["source"] | {"runs": list(methods), "methods": methods}
    page = told(summary, source=source)["How far is λ-GRPO from GRPO here?"]
    assert "trained with" in page and "multipl" not in page and "close to no change" not in page


def test_tables_have_a_cell_for_each_head(summary):
    tables = [part for _, body in sections(summary) for part in body if isinstance(part, Rows)]
    assert len(tables) == 5 and all(len(row) == len(table.columns) for table in tables for row in table.rows)


def test_numbers():
    assert (number(None), number(1234.5), number(0.12345), percent(None), percent(1e-6), percent(0.0012)) == (
        "-", "1,234", "0.123", "-", "<0.01", "0.12",
    )  # fmt: skip
    assert interval({"mean": 0.108, "low": 0.085, "high": 0.132}, share=True) == "10.8 % [8.5, 13.2]"
    assert interval({"mean": 2.0, "low": None, "high": None}) == "2" and interval(None) == "-"


@pytest.mark.parametrize(
    ("files", "see"), [(["log.jsonl"], "see --std"), ([], "see Options("), (["rows in memory"], "see Options(")]
)
def test_advantages_that_do_not_fit_are_told_in_the_words_of_the_caller(summary, files, see):
    """Groups, Rollouts and rows come from Python, where there is no --std."""
    changed = deepcopy(summary)
    changed["source"]["files"], changed["counts"]["advantage_mismatch"] = files, 2
    read = " ".join(map(str, sections(changed)[0][1]))
    (sentence,) = re.findall("In 2 groups .*", read)
    assert see in sentence and ("--" in sentence) == (see == "see --std")
