"""The page by keyboard alone: keys from anywhere but fields, the list of them, the order of Tab."""

from playwright.sync_api import expect
from report.pages import address, data_of


def test_j_and_k_go_through_the_list_and_brackets_through_the_completions(chain, visit):
    page = visit(chain, address(chain))
    names = page.locator("#table tbody button").all_inner_texts()
    at = names.index(page.locator("#tree-title").inner_text().removeprefix("Group "))
    for key, step in (("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(page.locator("#tree-title")).to_have_text(f"Group {names[at + step]}")
    tree = next(t for t in data_of(chain)["trees"] if address(chain, t["group"]) == page.evaluate("location.hash"))
    order = tree["completions"]["sample"]
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert page.url.endswith(f"/{order[1]}") and page.locator("#along").input_value() == str(order[1])
    page.keyboard.press("[")
    assert page.url.endswith(f"/{order[0]}")


def test_j_turns_the_page_of_the_list_and_keeps_the_filters(chain, visit):
    page = visit(chain, "#groups?show=mixed")
    page.locator("#table tbody button").last.click()
    page.locator("#table tbody tr").last.and_(page.locator("[aria-current]")).wait_for()
    page.keyboard.press("j")
    expect(page.locator("#page")).to_have_text("2 of 4")
    assert page.locator("#table tbody tr").first.get_attribute("aria-current") == "true" and "show=mixed" in page.url


def test_keys_write_in_fields_and_do_nothing_else_there(chain, visit):
    page = visit(chain)
    page.keyboard.press("/")
    page.wait_for_function("() => document.activeElement.id === 'search'")
    before = page.locator("#tree-title").inner_text()
    page.keyboard.type("jk?/[]")
    assert page.locator("#search").input_value() == "jk?/[]" and page.locator("#tree-title").inner_text() == before
    assert not page.locator("#help").is_visible()
    page.locator("#which").focus()
    page.keyboard.press("j")
    assert page.locator("#tree-title").inner_text() == before
    page.locator("#regex").focus()  # a box writes nothing
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_the_list_of_keys_opens_and_closes(chain, visit):
    page = visit(chain)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible() and page.locator("#help kbd").count() >= 8
    page.keyboard.press("j")
    assert page.locator("#overview").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.locator("#help-open").click()
    page.locator("#help-close").click()
    assert not page.locator("#help").is_visible()


def test_everything_is_reached_with_tab(chain, visit):
    """From the top of the page into the tree of a group, without a mouse and without a trap."""
    page = visit(chain, "#groups")
    seen = []
    for _ in range(90):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.dataset.tab || document.activeElement.role"
            )
        )
        if seen[-1] == "panel" or page.evaluate("document.activeElement.closest('.canvas') !== null"):
            break
    assert [one for one in ("search", "regex", "which") if one in seen] == ["search", "regex", "which"]
    assert page.evaluate("document.activeElement.closest('.canvas') !== null")
