"""For every reader: names and roles, contrast, narrow screens, paper, and how soon something is seen."""

from pathlib import Path

import numpy as np
import pytest
from report.pages import address, folder_of, log_of, page_of, text_of

from grpo_prm.analysis.options import Options
from grpo_prm.figures import FIGURES

CHECK = Path(__file__).with_name("names.js").read_text(encoding="utf-8")
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tab", ["overview", "groups", "trend", "figures", "reading"])
def test_names_roles_and_contrast(chain, visit, scheme, tab):
    page = visit(chain, address(chain, sample=3) if tab == "groups" else f"#{tab}", scheme=scheme)
    if tab == "groups":
        assert page.evaluate(CHECK) == []
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_the_page_is_never_wider_than_the_screen(chain, visit, width):
    page = visit(chain, address(chain, sample=3, process=4), width=width)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    page.locator("summary", has_text="More filters").click()
    for button in page.locator("#histogram button").all()[:2]:
        button.click()
    assert page.evaluate(wide) <= width
    page.locator("#clear").click()
    page.locator("#table .has-text").nth(1).click()
    page.locator("#step-1").click(position={"x": 3, "y": 3})
    assert page.evaluate(wide) <= width
    for tab in page.locator(".top a[data-tab]").all():
        tab.click()
        assert page.evaluate(wide) <= width


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_no_text_is_under_eleven_pixels(chain, visit, width):
    page = visit(chain, address(chain, sample=3), width=width)
    small = """() => [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility()
      && parseFloat(getComputedStyle(e).fontSize) < 11
      && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => e.outerHTML.slice(0, 80))"""
    for tab in page.locator(".top a[data-tab]").all():
        tab.click()
        assert page.evaluate(small) == []


def test_list_and_group_are_seen_together_and_scroll_by_themselves(chain, visit):
    page = visit(chain, address(chain))
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    for pane in ("#rows", "#detail"):
        page.locator(pane).evaluate("e => e.scrollTo(0, 1e6)")
        assert page.locator(pane).evaluate("e => e.scrollTop") > 0
        assert page.locator("#search").is_visible() and page.locator("#rows").bounding_box()["y"] > 0
    boxes = [page.locator(pane).bounding_box() for pane in ("#rows", "#detail")]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + 1
    page.set_viewport_size({"width": 700, "height": 900})  # as 1400 at 200 % zoom: below one another
    boxes = [page.locator(pane).bounding_box() for pane in ("#rows", "#detail")]
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"] + 1


def test_a_new_width_is_used(chain, visit):
    page = visit(chain, "#groups")
    wide = page.locator(".icicle").bounding_box()["width"]
    page.locator("[role=treeitem][tabindex='0']").focus()
    before = page.evaluate("document.activeElement.id")
    page.set_viewport_size({"width": 1100, "height": 900})
    page.wait_for_timeout(400)
    page.wait_for_function("() => 0 < (document.querySelector('.icicle')?.getBoundingClientRect().width ?? 0)")
    narrow = page.evaluate("document.querySelector('.icicle').getBoundingClientRect().width")
    assert narrow < wide and page.evaluate("document.activeElement.id") == before
    canvas = page.locator(".canvas")
    assert canvas.evaluate("e => e.scrollWidth - e.clientWidth") <= 1


def test_on_paper_are_the_summary_and_the_tree_without_controls(chain, visit):
    page = visit(chain, address(chain, sample=3), scheme="dark")
    page.emulate_media(media="print")
    for seen in ("#overview", "#summary", "#canvas", "#panel", "#whole"):
        assert page.locator(seen).is_visible()
    for hidden in (".top nav", ".list", "#trend", ".controls", "#figures", "#aligned"):
        assert not page.locator(hidden).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    # The tree is drawn anew for a new width, and for a moment there is none.
    page.wait_for_function("() => 0 < (document.querySelector('.icicle')?.getBoundingClientRect().width ?? 0)")
    assert page.evaluate("document.querySelector('.icicle').getBoundingClientRect().width") < 700


def test_without_scripts_the_summary_is_there(chain, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(chain.resolve().as_uri())
    text = page.locator("main").inner_text()
    assert "suppressed-good" in text and "scripts switched off" in text
    assert page.locator("#figures img").count() == len(FIGURES)
    context.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A group with steps of one token beside long ones, and with rewards of every size."""
    out = tmp_path_factory.mktemp("many")
    rows = [
        {"uid": f"g{g}", "completion": "".join(f"w{n} " for n in range(5 * s)) + f"end{s}", "reward": s**2 / 10}
        for g in range(2)
        for s in range(24)
    ]
    for row in rows[:3]:
        row["completion"] = "w0 " + "far " * 40_000 + row["completion"]
    return page_of(folder_of(log_of(out / "log.jsonl", rows), out / "log.prm"))


@pytest.mark.parametrize("scale", ["linear", "sqrt"])
@pytest.mark.parametrize("width", [400, 1400])
def test_a_number_is_never_cut_off_and_every_box_can_be_hit(many, visit, scale, width):
    """Boxes too narrow for a number show its sign alone."""
    page = visit(many, "#groups", width=width)
    page.locator(f"input[value={scale}]").check()
    cut = """() => [...document.querySelectorAll('.icicle .value')].filter((v) => v.checkVisibility()).filter((v) => {
      const inner = v.getBoundingClientRect(), box = v.closest('[role=treeitem]').getBoundingClientRect();
      return inner.right > box.right + 1 || inner.bottom > box.bottom + 1; }).length"""
    assert page.evaluate(cut) == 0
    signs = page.locator(".icicle .sign").evaluate_all("all => all.map((sign) => sign.textContent.length)")
    assert 1 in signs and (max(signs) > 1 or width == 400)
    page.emulate_media(media="print")
    assert page.evaluate(cut) == 0
    page.emulate_media(media="screen")
    boxes = page.locator("[role=treeitem]").evaluate_all("all => all.map((box) => box.getBoundingClientRect().width)")
    lengths = page.locator("[role=treeitem]").evaluate_all("all => all.map((box) => box.ariaLabel.includes(', 0 '))")
    assert min(wide for wide, empty in zip(boxes, lengths, strict=True) if not empty) >= 12


def test_text_on_every_colour_can_be_read(many, visit):
    assert visit(many, address(many, sample=20)).evaluate(CONTRAST) == []


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A page of the size limit: texts that cannot be packed well fill it."""
    out = tmp_path_factory.mktemp("full")
    rng = np.random.default_rng(0)
    words = ["".join(map(chr, rng.integers(97, 123, n))) for n in rng.integers(3, 9, 40_000)]
    text = lambda n: " ".join(words[at] for at in rng.integers(0, len(words), n))  # noqa: E731
    rows = [
        {"uid": f"g{g}", "prompt": text(9), "completion": text(1500), "reward": float(s % 2)}
        for g in range(220)
        for s in range(4)
    ]
    folder = folder_of(log_of(out / "log.jsonl", rows), out / "log.prm", options=Options(keep_text="all"))
    path = page_of(folder, figures=True)
    assert 4_500_000 < len(text_of(path).encode()) < 5_000_000
    return path


def test_something_is_seen_within_a_second_and_a_group_opens_at_once(chain, full, visit):
    """The first paint does not wait for the texts, and a group unpacks its own block alone."""

    def paint(path):
        first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        return visit(path, alone=True).evaluate(first)

    # Others may share the processors of this machine: then a small page is slow too.
    assert min(paint(full) for _ in range(3)) < max(1000, 2 * min(paint(chain) for _ in range(3)))
    opening = lambda path: visit(path, "#groups").evaluate(OPENINGS)  # noqa: E731
    assert opening(full) < max(100, 2 * opening(chain))


# Milliseconds from the key to the drawn group, the least of eight groups.
OPENINGS = """async () => {
  const took = [];
  for (let n = 0; n < 8; n += 1) {
    const title = document.getElementById("tree-title"), before = title.textContent, began = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
    while (title.textContent === before) await new Promise((go) => setTimeout(go, 1));
    took.push(performance.now() - began);
  }
  return Math.min(...took);
}"""
