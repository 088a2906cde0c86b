"""Pages that lead to one another: every group with text is in one of them, and opened from any."""

import pytest
from playwright.sync_api import expect
from report.pages import embedded, trees_in, without_figures

from grpo_prm.analysis.folder import read_folder
from grpo_prm.report import INDEX, pages, report


@pytest.fixture(scope="module")
def several(chain, tmp_path_factory):
    """The example in pages of some groups each."""
    out = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch, without_figures():
        for name, value in (("page.BYTES", 0), ("page.LEAST_TEXT", 20_000), ("packing.BLOCK", 10_000)):
            patch.setattr(f"grpo_prm.report.{name}", value)
        for name, text in pages(read_folder(chain.parent)):
            (out / name).write_text(text, encoding="utf-8")
    return out


@without_figures()
def test_every_group_is_in_one_page_as_in_the_page_of_all(several, chain):
    found = {}
    for path in several.iterdir():
        data = embedded(path.read_text(encoding="utf-8"))
        for tree in trees_in(data):
            assert tree["group"] not in found
            found[tree["group"]] = (path.name, tree)
    assert len({name for name, _ in found.values()}) == len(list(several.iterdir())) > 3
    whole = {tree["group"]: tree for tree in trees_in(embedded(report(read_folder(chain.parent))))}
    assert {group: tree for group, (_, tree) in found.items()} == whole
    data = embedded((several / INDEX).read_text(encoding="utf-8"))
    places = {group: page for page, groups in data["elsewhere"]["places"].items() for group in groups}
    assert {group: places.get(group, INDEX) for group in found} == {group: name for group, (name, _) in found.items()}


def test_a_group_of_another_page_is_opened_there_and_back(several, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((several / INDEX).as_uri() + "#groups")
    page.wait_for_selector("html[data-ready]")
    assert "in the other pages" in page.locator("#found").inner_text()
    seen = {INDEX}
    for n in range(0, 50, 7):
        button = page.locator("#table tbody button").nth(n)
        name = button.inner_text()
        button.click()
        expect(page.locator("#tree-title")).to_have_text(f"Group {name}")
        page.wait_for_selector("html[data-ready]")
        assert page.locator("[role=treeitem]").count() > 1
        seen.add(page.url.partition("#")[0].rpartition("/")[2])
    assert len(seen) > 2
    page.go_back()
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#tree-title").inner_text() != f"Group {name}"
    assert faults == []
    context.close()
