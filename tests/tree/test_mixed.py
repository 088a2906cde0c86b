"""A group that mixes prompts: `tree` says how many, from where on they differ, and which completions read which."""

import io

import polars as pl
import pytest
from canonical import table_of
from oracle_sets import Row
from rich.console import Console

from grpo_prm.tree.mixed import mixed_prompts
from grpo_prm.tree.printed import render
from grpo_prm.tree.view import group_tree


def group(prompts, hashes=None):
    rows = [Row([1, n], reward=float(n % 2)) for n in range(len(prompts))]
    table = table_of([("run", 0, "p", rows)]).with_columns(prompt=pl.Series(prompts, dtype=pl.String))
    return table if hashes is None else table.with_columns(prompt_hash=pl.Series(hashes, dtype=pl.Int64))


def printed(table):
    out = io.StringIO()
    render(group_tree(table), Console(file=out, width=400))
    return out.getvalue()


def test_one_prompt_is_shown_as_ever():
    table = group(["what is 1 + 1 ?"] * 4)
    assert mixed_prompts(table) is None
    assert "prompt  what is 1 + 1 ?" in printed(table) and "prompts in one group" not in printed(table)


@pytest.mark.parametrize("before", [3, 50])
def test_texts_are_shown_from_where_they_part(before):
    same = "x" * before
    table = group([f"{same}1 + 1", f"{same}2 + 2", f"{same}1 + 1", f"{same}1 + 3"])
    found = mixed_prompts(table)
    assert (found["alike"], found["unit"]) == (before, "character")
    shown = "x" * min(before, 20)
    assert {tuple(one["samples"]): one["text"] for one in found["each"]} == {
        (0, 2): f"{shown}1 + 1", (1,): f"{shown}2 + 2", (3,): f"{shown}1 + 3",
    }  # fmt: skip
    text = printed(table)
    assert f"3 prompts in one group, alike for {before} characters and then different" in text
    assert f"prompt of #0 #2  …{shown}1 + 1" in text and "compare completions of different prompts" in text


def test_prompts_of_ids_are_compared_id_by_id():
    """The second goes on where the first ends; as text they would differ in the bracket."""
    table = group(["[12, 3]", "[12, 34]", "[12, 3, 5]"], [1, 2, 3])
    found = mixed_prompts(table)
    assert (found["alike"], found["unit"]) == (1, "id")
    assert [one["text"] for one in found["each"]] == ["12 3", "12 34", "12 3 5"]


def test_of_prompts_that_are_only_hashes_it_is_said_who_read_which():
    table = group([None] * 4, [7, 8, 8, 7])
    assert [one["samples"] for one in mixed_prompts(table)["each"]] == [[0, 3], [1, 2]]
    assert "2 prompts in one group, of #0 #3, #1 #2; they stood before the completions as ids" in printed(table)


def test_of_many_prompts_some_are_shown():
    text = printed(group([f"{n} of many" for n in range(9)]))
    assert "9 prompts in one group, different from the first: " in text and "The first 4 are shown." in text
    assert text.count("prompt of ") == 4


def test_what_a_prompt_says_commands_no_terminal():
    assert "\x1b" not in printed(group(["a\x1b[31mred", "a\x1b[32mgreen"]))
