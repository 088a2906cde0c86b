"""Cards, glossary, badges, trend, figures and the size of the tree, in a browser."""

import re

import pytest
from report.pages import data_of, folder_of, log_of, page_of, without_figures

from grpo_prm.analysis.findings import CODES, EXAMPLES
from grpo_prm.analysis.folder import read_folder
from grpo_prm.report.answers import SECTIONS
from grpo_prm.report.page import report
from grpo_prm.text.glossary import GLOSSARY
from grpo_prm.text.unbroken import unbroken


def test_every_finding_leads_to_a_group_or_to_a_section_that_there_is():
    assert set(EXAMPLES) | set(SECTIONS) == set(CODES) and not set(EXAMPLES) & set(SECTIONS)
    assert set(CODES) <= set(GLOSSARY)


def test_a_finding_is_one_click_from_its_group_and_from_its_numbers(chain, tmp_path, visit):
    page = visit(chain)
    assert page.locator(".finding-code").all_inner_texts() == ["copies"]
    page.locator(".finding a.go").click()
    assert page.locator("#groups").is_visible() and page.locator("#tree-title").inner_text().startswith("Group ")
    # The same completions for every prompt: boilerplate, which is about no group in particular.
    rows = [
        {"prompt": f"p{g}", "completion": f"so we begin {'ab'[n % 2]} and go on {n % 4}", "reward": float(n % 4 > 1)}
        for g in range(30)
        for n in range(g, g + 4)
    ]
    page = visit(page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm")))
    assert "boilerplate" in page.locator(".finding-code").all_inner_texts()
    link = page.locator(".finding", has_text="boilerplate").locator("a.go").first
    assert link.inner_text() == "Show the numbers"
    link.click()
    assert page.evaluate("document.activeElement.textContent") == SECTIONS["boilerplate"]


def test_words_say_what_they_mean_by_pointer_and_by_keyboard(chain, visit):
    page = visit(chain)
    tip = page.locator("#tip")
    assert not tip.is_visible()
    word = page.locator("#overview [data-tip='path depth']").first
    word.hover()
    assert tip.is_visible() and tip.inner_text() == GLOSSARY["path depth"]
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    word.focus()
    assert tip.inner_text() == GLOSSARY["path depth"] and word.get_attribute("aria-describedby") == "tip"
    page.keyboard.press("Escape")
    assert not tip.is_visible() and word.get_attribute("aria-describedby") is None
    page.locator("a[data-tab=reading]").click()
    terms = page.locator("#reading .terms").first
    assert terms.locator("dt").all_inner_texts() == list(GLOSSARY)
    assert terms.locator("dd").all_inner_texts() == [unbroken(meaning) for meaning in GLOSSARY.values()]


# The word with the focus is on the screen, and the tip right below or above it.
BESIDE = """() => {
  const tip = document.getElementById("tip"), t = tip.getBoundingClientRect();
  const w = document.activeElement.getBoundingClientRect(), gap = Math.max(t.top - w.bottom, w.top - t.bottom);
  return !tip.hidden && w.top >= 0 && w.bottom <= innerHeight && gap > 0 && gap < 12;
}"""


def test_what_a_word_means_stays_beside_it_while_the_page_scrolls(chain, visit):
    """As when Tab comes to a word below the screen, to which the browser scrolls bit by bit."""
    page = visit(chain, width=400)
    word, tip = page.locator("#overview [data-tip='update cosine']").first, page.locator("#tip")
    word.focus()
    page.wait_for_function(BESIDE)
    assert tip.inner_text() == GLOSSARY["update cosine"]
    page.set_viewport_size({"width": 400, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.wait_for_function(BESIDE)
    page.set_viewport_size({"width": 1400, "height": 3000})
    page.wait_for_function(BESIDE)


def test_every_word_with_dots_is_in_the_glossary(chain, visit):
    page = visit(chain, "#groups")
    tips = page.locator("[data-tip]").evaluate_all("all => all.map((e) => e.dataset.tip)")
    assert len(tips) > 30 and set(tips) <= set(GLOSSARY) | {"finding"}


def test_badges_name_the_reason_and_differ_in_word_sign_and_colour(chain, visit):
    """A group may have both, so neither is a rank."""
    page = visit(chain, "#groups")
    looks = {}
    for kind, reason in (("best", "high reward"), ("worst", "good pushed down")):
        badge = page.locator(f"#table .badge.{kind}").first
        assert badge.inner_text() == reason and reason in GLOSSARY
        looks[kind] = badge.evaluate(
            "e => [getComputedStyle(e, '::before').content, getComputedStyle(e).color, "
            "getComputedStyle(e).backgroundColor]"
        )
    assert all(one != other for one, other in zip(looks["best"], looks["worst"], strict=True))


def test_a_band_is_whole_or_there_are_bars(tmp_path, visit):
    """Of three steps the one in the middle has 19 problems, and so no interval."""
    rows = [
        {"prompt": f"p{g}", "completion": f"a {s % 2} {s} {g}", "reward": float((s + g) % 3 == 0), "step": step}
        for step, count in enumerate((24, 19, 24))
        for g in range(count)
        for s in range(4)
    ]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    page = visit(path, "#trend")
    for n, one in enumerate(data_of(path)["trend"]):
        own = one["series"][0]
        known = [low for mean, low in zip(own["mean"], own["low"], strict=True) if mean is not None]
        chart = page.locator(".chart").nth(n)
        whole = None not in known
        assert chart.locator("polygon.band").count() == whole
        assert chart.locator("line.whisker").count() == (0 if whole else sum(low is not None for low in known))
    assert page.locator(".chart").first.locator("line.whisker").count() == 2


def test_marks_of_an_axis_are_round_and_hold_all_values(chain, visit):
    page = visit(chain, "#trend")
    chart = page.locator(".chart").nth(0)
    marks = [text for text in chart.locator("text").all_text_contents() if text != "training step"]
    values = [float(mark) for mark in marks if not mark.isdigit() or mark in "01"]
    series = data_of(chain)["trend"][0]["series"][0]
    assert min(values) <= min(series["low"]) and max(values) >= max(series["high"])
    assert all(re.fullmatch(r"-?\d+(\.\d)?", mark) for mark in marks)


def test_figures_are_dark_in_the_dark_alone(chain, visit):
    light = "getComputedStyle(document.querySelector('.gallery img')).filter"
    page = visit(chain, "#figures", scheme="dark")
    assert page.evaluate(light).startswith("invert")
    page.locator("#theme").click()
    assert page.evaluate(light) == "none"
    assert visit(chain, "#figures").evaluate(light) == "none"


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    out = tmp_path_factory.mktemp("hundred")
    rows = [
        {"uid": f"g{g}", "completion": f"so {s % 3} then {s % 12} and {s} ends", "reward": float(s % 7 == 0)}
        for g in range(2)
        for s in range(100)
    ]
    return page_of(folder_of(log_of(out / "log.jsonl", rows), out / "log.prm"))


CUT = """() => [...document.querySelectorAll('.icicle .words')].filter((e) => e.checkVisibility()).filter((words) => {
  const box = words.parentElement.getBoundingClientRect();
  const line = document.createRange(); line.selectNodeContents(words);
  return line.getClientRects()[0]?.bottom > box.bottom + 1; }).length"""


def test_a_group_of_a_hundred_is_seen_whole_and_made_larger(hundred, visit):
    page = visit(hundred, "#groups")
    high = "document.querySelector('.icicle').getBoundingClientRect().height"
    usual = page.evaluate(high)
    page.locator("#zoom-fit").click()
    assert page.evaluate(high) <= 660 < usual and page.locator("#zoom-says").inner_text() == "35 %"
    assert page.evaluate(CUT) == 0
    alone = page.locator("[role=treeitem]").evaluate_all(
        "all => all.filter((e) => e.getBoundingClientRect().height < 11 && e.textContent).length"
    )
    assert alone == 0
    for _ in range(8):
        page.locator("#zoom-in").click(force=True)
    assert page.locator("#zoom-in").is_disabled() and page.evaluate(high) == pytest.approx(4 * usual, rel=0.01)
    page.locator("[role=treeitem][tabindex='0']").focus()
    page.keyboard.press("0")
    assert page.evaluate(high) == pytest.approx(usual)
    assert page.evaluate("document.activeElement.getAttribute('role')") == "treeitem"
    page.keyboard.press("-")
    assert page.locator("#zoom-says").inner_text() == "70 %"
    page.locator("#canvas").hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    assert page.locator("#zoom-says").inner_text() == "100 %" and page.evaluate(CUT) == 0


def test_what_stands_below_a_large_tree_is_of_its_group_too(hundred, visit):
    page = visit(hundred, "#groups")
    parts = [f"#{part}" for part in ("columns", "diff", "scatter-plot")]
    old = "(parts) => parts.forEach((part) => document.querySelector(part).firstElementChild.dataset.old = 'true')"
    page.wait_for_function(
        "(parts) => parts.every((part) => document.querySelector(part)?.firstElementChild)", arg=parts
    )
    page.evaluate(old, parts)
    title = page.locator("#tree-title").inner_text()
    page.keyboard.press("j")
    page.wait_for_function("(title) => document.getElementById('tree-title').textContent !== title", arg=title)
    page.wait_for_function("() => !document.querySelector('[data-old]')")
    page.keyboard.press("]")
    assert page.locator("#columns .on-path").count() > 1


@without_figures()
def test_the_method_stands_beside_the_name(tmp_path):
    rows = [{"uid": "g", "completion": f"a {s}", "reward": float(s)} for s in range(2)]
    folder = read_folder(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    (run,) = folder.summary["source"]["runs"]
    folder.summary["source"]["methods"] = {run: "λ-GRPO, p = 1 <b>"}
    assert '<span class="method">trained with λ-GRPO, p = 1 &lt;b&gt;</span></h1>' in report(folder)
