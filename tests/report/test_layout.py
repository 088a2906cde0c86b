"""What a reader sees: no text is small, cut off or under another, in any tab and width, of logs short and long."""

from pathlib import Path

import pytest
from report.pages import address, data_of, folder_of, log_of, page_of

from grpo_prm.figures.venues import COLUMN

LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")
PRETRAINED = Path(__file__).parents[2] / "examples" / "smollm2.jsonl.gz"
# Shortened on purpose, with the whole elsewhere: boxes of the tree (panel), prompts of the list (group), the log's name
# (at the end of How to read), the path to a step (the tree).
MEANT = ".icicle .start, #table .prompt, .top h1, .crumbs"
WIDTHS = [1400, 800, 400]


@pytest.fixture(scope="module")
def long_names(tmp_path_factory):
    """A log whose names, numbers and group size are long: 100 completions a group, steps, parts of the reward."""
    out = tmp_path_factory.mktemp("long")
    rows = [
        {
            "step": 1000 * (1 + g // 3), "uid": f"a_long_name_of_a_group_{g:08}", "prompt": f"What is {g} + {g}? " * 9,
            "completion": " ".join(f"{'word' * (1 + (s + n) % 3)}{n * s % 7}" for n in range(3 + s % 40)),
            "reward": (s * 7 % 100) / 100 - 12345 * (s % 9 == 0),
            "rewards": {"a_part_with_a_long_name": s / 7, "format": 1.0},
        }
        for g in range(6)
        for s in range(100)
    ]  # fmt: skip
    log = log_of(out / "a_log_with_a_very_long_name_of_many_words_from_a_run_of_2026-11-29.jsonl", rows)
    return page_of(folder_of(log, out / "log.prm"))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return page_of(folder_of(PRETRAINED, tmp_path_factory.mktemp("pretrained") / "smollm2.prm"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("log", ["chain", "pretrained", "long_names"])
def test_no_text_is_small_cut_or_under_another(log, width, visit, request):
    path = request.getfixturevalue(log)
    first = data_of(path)["trees"][0]
    page = visit(path, address(path, first["group"], sample=first["completions"]["sample"][0]), width=width)
    # What is not on the screen has no place yet, and what stands below a large tree comes after it.
    page.evaluate("() => document.querySelectorAll('*').forEach((e) => { e.style.contentVisibility = 'visible'; })")
    page.wait_for_function("() => document.querySelector('#scatter-plot').firstElementChild")
    faults = {"group": page.evaluate(LAYOUT, MEANT)}
    page.locator("summary", has_text="More filters").click()
    page.locator("#histogram button").first.click()
    faults["filters"] = page.evaluate(LAYOUT, MEANT)
    page.locator("#search").fill("there is no such text")
    page.wait_for_function("() => /^0 hits/.test(document.getElementById('search-says').textContent)")
    page.wait_for_function("() => /^0 of/.test(document.getElementById('found').textContent)")
    faults["nothing found"] = page.evaluate(LAYOUT, MEANT)
    for tab in page.locator(".top a[data-tab]").all():
        if tab.is_visible() and tab.get_attribute("data-tab") != "groups":
            tab.click()
            faults[tab.inner_text()] = page.evaluate(LAYOUT, MEANT)
    page.locator("#help-open").click()
    faults["keys"] = page.evaluate(LAYOUT, MEANT)
    assert {part: found for part, found in faults.items() if found} == {}


@pytest.mark.parametrize("log", ["chain", "pretrained"])
def test_the_tables_of_every_number_fit_a_telephone(log, visit, request):
    """What can be scrolled to the side is cut for whoever reads down."""
    page = visit(request.getfixturevalue(log), "#overview", width=400)
    over = "() => [...document.querySelectorAll('.part table')].map((e) => e.scrollWidth - e.parentElement.clientWidth)"
    found = page.evaluate(over)
    assert len(found) >= 4 and max(found) <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_letters_of_figures_are_eleven_pixels_high(chain, visit, width):
    """They are drawn for a column of a paper, with `COLUMN.small` points at the least."""
    page = visit(chain, "#figures", width=width)
    scales = page.locator(".gallery img").evaluate_all(
        """all => all.map((e) => { const s = getComputedStyle(e);
        return (e.clientWidth - parseFloat(s.paddingLeft) - parseFloat(s.paddingRight)) / e.naturalWidth; })"""
    )
    assert len(scales) > 5 and min(scales) * COLUMN.small * 96 / 72 >= 11


ENDS = """all => all.map((e) => [e.textContent, e.getBoundingClientRect().right
  - document.getElementById("rows").getBoundingClientRect().left - document.getElementById("rows").clientWidth])"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("log", ["chain", "long_names"])
def test_columns_of_the_list_fit_or_are_put_away_until_they_are_asked_for(log, width, visit, request):
    page = visit(request.getfixturevalue(log), "#groups", width=width)
    heads, every = page.locator("#table thead th"), page.locator("#every-column")
    few = heads.all_inner_texts()
    assert len(few) >= 2 and max(beyond for _, beyond in heads.evaluate_all(ENDS)) <= 1
    every.click()
    whole = heads.all_inner_texts()
    assert every.get_attribute("aria-pressed") == "true" and every.inner_text() == "Fewer columns"
    assert len(whole) > len(few) and whole[-1] == "step"
    heads.last.locator("button").click()  # the column that sorts is never put away
    every.click()
    assert every.inner_text() == f"All {len(whole)} columns"
    assert heads.first.inner_text() == "group" and heads.last.inner_text().startswith("step")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": width + 60, "height": 900})
    page.wait_for_function(f"() => innerWidth === {width + 60}")
    page.wait_for_timeout(100)
    assert max(beyond for _, beyond in heads.evaluate_all(ENDS)) <= 1


def test_numbers_of_the_cards_stay_with_their_units(chain, visit):
    page = visit(chain, width=400)
    said = page.locator(".answers").inner_text()
    assert "51.3\u00a0%" in said and "p\u00a0=\u00a0" in said and "[0.392,\u00a00.585]" in said and "1 %" not in said


def test_a_log_of_one_step_has_no_trend(pretrained, visit):
    page = visit(pretrained, "#trend")
    assert page.locator("#overview").is_visible() and not page.locator("#trend").is_visible()
