"""The sentences of a summary: verdicts at their borders, gaps with their reasons."""

import json
import re
from copy import deepcopy

import pytest

from grpo_prm.text.amounts import interval, number, percent
from grpo_prm.text.cells import Rows, against_null
from grpo_prm.text.verdict import changes
from grpo_prm.text.wording import sections


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    from report.pages import EXAMPLE, folder_of

    return json.loads((folder_of(EXAMPLE, tmp_path_factory.mktemp("w") / "w.prm") / "summary.json").read_text())


MORE = "Another direction, not only another rate. 0.742 [0.715, 0.768] times GRPO's update norm, turned by"  # at p = 1


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


def table_of(summary, title):
    """Name of a row to its other cells, of all tables of a section."""
    body = dict(sections(summary))[title]
    return {row[0]: row[1:] for part in body if isinstance(part, Rows) for row in part.rows}


@pytest.mark.parametrize(("p", "words"), [(0.05, "more than chance"), (0.055, "no more than chance")])
def test_more_than_chance_is_said_up_to_a_twentieth(summary, p, words):
    """Where there is a p it decides, wherever the number lies in the range, as it does for the verdict."""
    found = summary["informativeness"]
    assert found["null_low"] < found["observed"] < found["null_high"]
    changed = deepcopy(summary)
    changed["informativeness"]["p_value"] = p
    assert table_of(changed, "Do the branches say anything?")["mean |A|"][-1] == words
    assert f"p, one-sided, .005 at the least: mean |A| {p}, " in told(changed)["Do the branches say anything?"]


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


def test_what_cannot_be_said_has_one_line_for_each_reason(summary):
    changed = deepcopy(summary)
    changed["notes"] |= {"informativeness": "of a reason", "inherited": "of a reason", "certain_share": "of another"}
    changed["credit"]["inherited"] = None
    page = told(changed, informativeness=None, certain_share=None)["Do the branches say anything?"]
    assert "mean |A| and inherited are not known here: of a reason." in page
    assert "certain share is not known here: of another." in page
    assert "mean |A|: " not in page and "('mean |A|'" not in page and "certain share: " not in page


def test_without_a_null_there_is_its_reason_and_no_column_for_it(summary):
    changed = deepcopy(summary)
    gone = {"null_mean": None, "null_low": None, "null_high": None}
    values = [changed["informativeness"], *changed["credit"].values(), *changed["prm"].values()]
    for value in (*values, *changed["defects"].values()):
        if isinstance(value, dict) and "null_mean" in value:
            value.update(gone | ({"p_value": None} if "p_value" in value else {}))
    changed["notes"]["null"] = "nothing can be permuted"
    page = told(changed)
    assert page["Do the branches say anything?"].startswith("Rewards permuted: nothing can be permuted. [(")
    for title in ("Do the branches say anything?", "Where does it hurt?"):
        assert "than chance" not in page[title] and "one-sided" not in page[title]
        assert {len(cells) for cells in table_of(changed, title).values()} == {1}
    assert "distinct completions that come equally often" in told(summary)["Do the branches say anything?"]


def test_rows_of_zero_and_empty_sections_are_not_there(summary):
    changed = deepcopy(summary)
    changed["counts"] |= {"rejected": 0, "groups_of_one": 0, "duplicates": 0}
    changed["teaching"] = {"all_right": 0, "all_wrong": 0, "equal": 0, "phantom_advantage": None}
    changed["logprobs"] |= {name: None for name, value in changed["logprobs"].items() if isinstance(value, dict)}
    changed["sharing"] = dict.fromkeys(changed["sharing"])
    page = told(changed)
    assert "reject" not in page["What was read"] and "left out" not in page["What was read"]
    assert [title for title in told(summary) if title not in page] == [
        "Do groups teach anything?",
        "What would tree-packed training save?",
        "What do the log-probabilities say?",
    ]
    changed["counts"] |= {"rejected": 3, "rows_read": 2000, "groups_of_one": 1, "duplicates": 2}
    read = told(changed)["What was read"]
    assert "3 of 2,000 rows rejected (rejects.jsonl says why)." in read
    assert "1 group of one completion left out." in read and "2 completions equal to an earlier one" in read


def test_the_mean_reward_is_said_with_the_groups_that_are_solved_or_lost(summary):
    changed = deepcopy(summary)
    changed["counts"]["groups"], changed["reward"] = 2000, {"mean": 0.4375, "low": 0.4, "high": 0.475, "n": 150}
    changed["teaching"] |= {"all_right": 1200, "all_wrong": 1}
    said = "0.438 [0.4, 0.475] is the mean reward (a mean over groups)."
    assert f"{said} Of 2,000 groups 1,200 are all right, 1 all wrong." in told(changed)["What was read"]
    changed["teaching"] |= {"all_right": None, "all_wrong": None}
    read = told(changed)["What was read"]
    assert said in read and "all wrong" not in read
    assert "mean reward" not in told(changed, reward=None)["What was read"]


def test_what_part_copies_are_names_the_groups_that_it_is_of(summary):
    changed, title = deepcopy(summary), "Do the branches say anything?"
    changed["verdict"]["knows"] |= {"copied": True, "copies": 0.401}
    assert "40.1 % of the completions in groups whose rewards differ are copies. Reliability" in told(changed)[title]
    changed["verdict"]["knows"]["copied"] = False
    assert "are copies" not in told(changed)[title]


def test_groups_that_teach_nothing_are_counted_by_kind(summary):
    changed = deepcopy(summary)
    changed["counts"]["groups"] = 200
    changed["teaching"] |= {"all_right": 3, "all_wrong": 20, "equal": 0}
    said = "3 (1.5 %) all right and 20 (10 %) all wrong, of 200 groups: these teach nothing."
    assert told(changed)["Do groups teach anything?"] == said
    changed["teaching"] |= {"all_right": None, "all_wrong": None, "equal": 7}
    changed["teaching"]["phantom_advantage"] = {"mean": 0.123, "low": 0.1, "high": 0.15, "n": 20}
    page = told(changed)["Do groups teach anything?"]
    assert page.startswith("7 (3.5 %) of equal rewards, of 200 groups: these teach nothing. [('phantom advantage', ")
    assert "12.3 % [10, 15]" in page


def test_decisions_are_counted_where_there_are_any(summary):
    changed = deepcopy(summary)
    changed["credit"] |= {"decisions": 2300, "decidable": 40, "sure_decisions": 1}
    page = told(changed)["Do the branches say anything?"]
    assert "2,300 decisions, places" in page and "40 could be sure: in the others so few" in page
    assert "20 times. 1 is sure: the way that completions went is related to their rewards, p ≤ .05" in page
    changed["credit"] |= {"decisions": 40}
    assert "40 could be sure. 1 is sure: the way" in told(changed)["Do the branches say anything?"]
    changed["credit"] |= {"decisions": 0, "decidable": 0, "sure_decisions": 0}
    assert "sure:" not in told(changed)["Do the branches say anything?"]


def test_checks_of_logprobs_are_said_where_they_are_not_nothing(summary):
    title = "Do the branches say anything?"
    quiet = told(summary, identity_gap=1e-17, logprob_spread={"mean": 0.0, "max": 0.0})[title]
    assert "Theorem 1" not in quiet and "nats" not in quiet
    loud = told(summary, identity_gap=0.02, logprob_spread={"mean": 0.125, "max": 2.5})[title]
    assert "0.02 is the gap of the paper's Theorem 1" in loud
    assert "0.125 nats, at most 2.5, is the spread of log-probabilities inside a step" in loud


def test_sampler_and_trainer_have_their_table(summary):
    changed, number = deepcopy(summary), {"mean": 0.875, "low": 0.8, "high": 0.9, "n": 50}
    by_size = [{"size": "3-4", "tokens": 1234, "effective_sample_size": 0.5, "largest_gap": 3.0}]
    changed["logprobs"] |= {"effective_sample_size": number, "largest_gap": 4.5, "by_size": by_size, "left_out": 2}
    page, table = told(changed), table_of(changed, title := "What do the log-probabilities say?")
    assert table["effective sample size"] == ("0.875 [0.8, 0.9]",)
    assert table["3-4"] == ("1,234", "0.5", "3")
    assert "2 tokens left out: a log-probability that is not finite, below -745 or above 0.001, is none" in page[title]
    assert "4.5 nats is the largest gap between sampler and trainer" in page[title]
    assert "2 tokens left out: a log-probability" in page[title]


def test_what_would_change_is_what_the_first_screen_says(summary):
    page = told(summary)["What would λ-GRPO change here?"]
    assert page.startswith(changes(summary).text) and changes(summary).text.startswith(MORE)


@pytest.mark.parametrize(
    ("methods", "read", "title", "change"),
    [
        (None, "", "What would λ-GRPO change here?", MORE),
        ({"chain": "GRPO"}, "Trained with GRPO.", "What would λ-GRPO change here?", MORE),
        (
            {"chain": "λ-GRPO, p = 1"},
            "Trained with λ-GRPO, p = 1.",
            "How far is λ-GRPO from GRPO here?",
            f"This run was trained with λ-GRPO, p = 1. λ-GRPO is compared with GRPO on its completions. {MORE}",
        ),
        (
            {"chain": "λ-GRPO, p = 0.5"},
            "Trained with λ-GRPO, p = 0.5.",
            "How far is λ-GRPO from GRPO here?",
            f"on its completions. {MORE}",
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
            f"These runs were trained with λ-GRPO, p = 0.5. λ-GRPO is compared with GRPO on their completions. {MORE}",
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
    assert "trained with" in page and MORE not in page and "learning rate" not in page


def test_tables_have_a_cell_for_each_head(summary):
    tables = [part for _, body in sections(summary) for part in body if isinstance(part, Rows)]
    assert len(tables) == 6 and all(len(row) == len(table.columns) for table in tables for row in table.rows)


def test_numbers():
    assert (number(None), number(1234.5), number(0.12345), percent(None), percent(1e-6), percent(0.0012)) == (
        "-", "1,234", "0.123", "-", "<0.01", "0.12",
    )  # fmt: skip
    assert interval({"mean": 0.108, "low": 0.085, "high": 0.132}, share=True) == "10.8 % [8.5, 13.2]"
    assert interval({"mean": 2.0, "low": None, "high": None}) == "2" and interval(None) == "-"


@pytest.mark.parametrize(
    ("files", "see"), [(["log.jsonl"], "with --std"), ([], "with Options("), (["rows in memory"], "with Options(")]
)
def test_advantages_that_do_not_fit_are_told_in_the_words_of_the_caller(summary, files, see):
    """Groups, Rollouts and rows come from Python, where there is no --std."""
    changed = deepcopy(summary)
    changed["source"]["files"], changed["counts"]["advantage_mismatch"] = files, 2
    read = " ".join(map(str, sections(changed)[0][1]))
    (sentence,) = re.findall("In 2 groups .*", read)
    assert see in sentence and ("--" in sentence) == (see == "with --std")
