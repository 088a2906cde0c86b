"""For every reader: names and roles, contrast, narrow screens, paper, and how soon something is seen."""

from pathlib import Path

import pytest
from report.pages import folder_of, log_of, page_of

from grpo_prm.figures import FIGURES

CHECK = Path(__file__).with_name("names.js").read_text(encoding="utf-8")
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["#completion=3", "#group=1"])
def test_names_roles_and_contrast(chain, visit, scheme, address):
    page = visit(chain, address, scheme=scheme)
    if address != "#group=1":
        assert page.evaluate(CHECK) == []
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_the_page_is_never_wider_than_the_screen(chain, visit, width):
    page = visit(chain, "#completion=3&process=4", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator("#histogram button").all()[:2]:
        button.click()
    page.locator("#clear").click()
    page.locator("#table .has-text").nth(1).click()
    page.locator("#step-1").click(position={"x": 3, "y": 3})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_new_width_is_used(chain, visit):
    page = visit(chain)
    wide = page.locator(".icicle").bounding_box()["width"]
    page.locator("[role=treeitem][tabindex='0']").focus()
    before = page.evaluate("document.activeElement.id")
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_timeout(400)
    page.wait_for_function("() => 0 < (document.querySelector('.icicle')?.getBoundingClientRect().width ?? 0)")
    narrow = page.evaluate("document.querySelector('.icicle').getBoundingClientRect().width")
    assert narrow < wide and page.evaluate("document.activeElement.id") == before
    canvas = page.locator(".canvas")
    assert canvas.evaluate("e => e.scrollWidth - e.clientWidth") <= 1


def test_on_paper_are_the_summary_and_the_tree_without_controls(chain, visit):
    page = visit(chain, "#completion=3", scheme="dark")
    page.emulate_media(media="print")
    for seen in ("#summary", "#canvas", "#panel", "#whole"):
        assert page.locator(seen).is_visible()
    for hidden in (".top", "#groups", "#trend", ".controls", "#figures", "#aligned"):
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
    page = visit(many, width=width)
    page.locator(f"input[value={scale}]").check()
    cut = """() => [...document.querySelectorAll('.icicle .value')].filter((v) => v.checkVisibility()).filter((v) => {
      const inner = v.getBoundingClientRect(), box = v.closest('[role=treeitem]').getBoundingClientRect();
      return inner.right > box.right + 1 || inner.bottom > box.bottom + 1; }).length"""
    assert page.evaluate(cut) == 0
    assert page.locator(".icicle .value").evaluate_all("all => all.filter((v) => !v.checkVisibility()).length") > 0
    boxes = page.locator("[role=treeitem]").evaluate_all("all => all.map((box) => box.getBoundingClientRect().width)")
    lengths = page.locator("[role=treeitem]").evaluate_all("all => all.map((box) => box.ariaLabel.includes(', 0 '))")
    assert min(wide for wide, empty in zip(boxes, lengths, strict=True) if not empty) >= 12


def test_text_on_every_colour_can_be_read(many, visit):
    assert visit(many, "#completion=20").evaluate(CONTRAST) == []


def test_something_is_seen_within_a_second(tmp_path, visit):
    """A page of the size limit: texts fill it, and the first paint does not wait for them."""
    rows = [
        {"uid": f"g{g}", "prompt": f"p{g}", "completion": f"{'word ' * 20000}{g} {s}", "reward": float(s % 2)}
        for g in range(40)
        for s in range(3)
    ]
    for row in rows:
        row["completion"] = f"{row['reward']}{row['completion'][-1]} {row['completion']}"
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    assert 4_000_000 < path.stat().st_size < 5_000_000
    page = visit(path)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1000
