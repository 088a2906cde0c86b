"""The top of the page: the three answers in the words of the first screen, and findings that lead to their group."""

import html
import json
import re
from dataclasses import replace

import polars as pl
import pytest
from report.pages import address, data_of, embedded, folder_of, log_of, page_of, text_of, without_figures

from grpo_prm.analysis.folder import read_folder
from grpo_prm.report import report
from grpo_prm.report.answers import example_groups
from grpo_prm.text.verdict import changes, findings, knows


def top_of(text):
    """The answers as text without markup."""
    answers = re.search(r'<dl class="answers">(.*?)</dl>', text, re.DOTALL)[1]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answers)).split())


def summary_of(page):
    return json.loads((page.parent / "summary.json").read_text())


def test_the_answers_are_those_of_the_first_screen(chain):
    summary, top = summary_of(chain), top_of(text_of(chain))
    assert all(f"{one.question} {one.text}" in top for one in (knows(summary), changes(summary)))
    (finding,) = findings(summary, str(chain.parent))
    assert f"{finding.sentence} ({finding.explained}) copies Show a group {finding.command}" in top
    assert "No finding" not in top


@without_figures()
def test_without_a_finding_it_says_how_near_one_is(chain):
    folder = read_folder(chain.parent)
    nearest = {"code": "teaches_nothing", "value": 0.169, "limit": 0.3}
    verdict = folder.summary["verdict"] | {"findings": [], "nearest": nearest}
    top = top_of(report(replace(folder, summary=folder.summary | {"verdict": verdict})))
    near = "Nearest: 16.9 % of groups teach nothing (equal rewards); from 30 % on it is one."
    assert top.endswith(f"What to do? No finding. {near}") and "Show a group" not in top


def test_a_finding_leads_to_the_group_of_its_command(chain):
    folder = read_folder(chain.parent)
    groups = folder.groups
    most = groups.filter(pl.col("duplicates") == groups["duplicates"].max())["group"][0]
    assert example_groups(folder) == {"copies": most}
    assert f'<a class="go" href="#groups" data-group="{most}">' in text_of(chain)
    step, key = groups.filter(group=most).select("step", "group_key").row(0)
    assert summary_of(chain)["verdict"]["findings"][0]["command"].endswith(f"--group {step}:{key}")
    trees = {tree["group"]: tree["kinds"] for tree in data_of(chain)["trees"]}
    assert [group for group, kinds in trees.items() if "finding" in kinds] == [most]


@without_figures()
def test_the_group_of_a_finding_comes_before_others_where_room_is_short(chain, monkeypatch):
    folder = read_folder(chain.parent)
    (wanted,) = example_groups(folder).values()
    for name, value in (("page.BYTES", 0), ("page.LEAST_TEXT", 1), ("packing.BLOCK", 1)):
        monkeypatch.setattr(f"grpo_prm.report.{name}", value)
    text = report(folder)
    assert [tree["group"] for tree in embedded(text)["trees"]] == [wanted] and "Show a group" in top_of(text)


@without_figures()
def test_a_group_that_is_not_in_the_page_has_no_link(chain):
    folder = read_folder(chain.parent)
    (wanted,) = example_groups(folder).values()
    others = pl.col("group") != wanted
    text = report(replace(folder, samples=folder.samples.filter(others), texts=folder.texts.filter(others)))
    assert "Show a group" not in top_of(text) and "raise the temperature" in top_of(text)


@without_figures()
def test_an_analysis_that_was_not_saved_has_no_command(chain):
    text = report(replace(read_folder(chain.parent), path=None))
    assert "raise the temperature" in top_of(text) and "grpo-prm tree" not in top_of(text)


def test_a_hostile_name_in_a_command_is_text(tmp_path):
    hostile = "<img src=x onerror=alert(1)>\x1b[31m\u202e'"
    rows = [{"uid": hostile, "completion_ids": [1, 2], "reward": float(n)} for n in range(3)]
    page = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    assert "<img src=x" not in text_of(page) and "\x1b" not in text_of(page) and "\u202e" not in text_of(page)
    assert "onerror=alert(1)" in top_of(text_of(page))


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_click_shows_the_group_with_its_badge(chain, visit, by):
    page = visit(chain)
    link = page.locator("#overview a[data-group]")
    group = int(link.get_attribute("data-group"))
    assert link.get_attribute("href") == address(chain, group)
    if by == "mouse":
        link.click()
    else:
        link.focus()
        page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.endswith(address(chain, group)))
    assert page.evaluate("document.activeElement.id") == "tree-title"
    assert "finding" in page.locator("#facts .badge").all_inner_texts()
    assert page.locator("#table tr[aria-current]").get_attribute("data-group") == str(group)
    page.locator("#which").select_option("finding")
    assert page.locator("#found").inner_text().startswith("1 of 160 groups")
    assert "finding" in page.locator("#table tbody .badge").all_inner_texts()
    copies = (read_folder(chain.parent).groups["duplicates"] > 0).sum()
    page.locator("#which").select_option("copies")
    assert page.locator("#found").inner_text().startswith(f"{copies} of 160 groups")
    page.go_back()
    assert page.locator("#overview").is_visible()
