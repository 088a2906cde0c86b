"""The address names what is open: groups and completions by their names; links, back and forward go there."""

import pytest
from playwright.sync_api import expect
from report.pages import address, data_of, folder_of, log_of, name_of, open_group, page_of


def title(page):
    return page.locator("#tree-title")


def test_a_row_opens_its_group_beside_the_list_and_going_back_closes_it(chain, visit):
    page = visit(chain, "#groups")
    first = title(page).inner_text()
    other = page.locator("#table tbody button").nth(7)
    name = other.inner_text()
    other.click()
    expect(title(page)).to_have_text(f"Group {name}")
    assert page.url.endswith(f"#{name}") and page.locator("#table tr[aria-current] button").inner_text() == name
    page.go_back()
    expect(title(page)).to_have_text(first)
    page.go_forward()
    expect(title(page)).to_have_text(f"Group {name}")


def test_an_address_opens_what_it_names(chain, visit):
    group = data_of(chain)["trees"][30]["group"]
    page = visit(chain, address(chain, group, 5, process=2, step=8))
    assert title(page).inner_text() == f"Group {name_of(chain, group)}"
    assert page.evaluate("document.activeElement.id") == "tree-title"
    assert page.locator("#along").input_value() == "5" and page.locator("#of-step").input_value() == "8"
    assert page.locator("#step-2").get_attribute("aria-selected") == "true"
    page.locator("#along").select_option("3")
    assert f"#{name_of(chain, group)}/3?" in page.url


def test_on_a_narrow_screen_a_link_lands_on_the_heading(chain, visit):
    page = visit(chain, address(chain, data_of(chain)["trees"][9]["group"]), width=400)
    top = title(page).bounding_box()["y"]
    assert page.locator(".top").bounding_box()["height"] - 1 <= top < 200


@pytest.mark.parametrize(
    "where",
    ["#9:nothing", "#8:%E0%A4%A", "#0:p0010/99?process=-4", "#0:p0010?process=4000&reward=x..y&show=no", "#%"],
)
def test_an_address_of_nothing_does_no_harm(chain, visit, where):
    page = visit(chain, where)
    if not where.startswith("#0:") and ":" in where:
        assert title(page).inner_text() == "No such group"
        assert "No group of this log" in page.locator("#facts").inner_text()
    page.locator(".top a[data-tab=groups]").click()
    assert page.locator("#table tbody tr").count() == (0 if "x..y" in where else 50) or "show=no" in where


def test_tabs_are_gone_back_from_and_keep_the_open_group(chain, visit):
    group = data_of(chain)["trees"][5]["group"]
    page = visit(chain)
    assert [page.locator(f"#{tab}").is_visible() for tab in ("overview", "groups", "figures")] == [True, False, False]
    open_group(page, chain, group)
    page.locator(".top a[data-tab=trend]").click()
    assert page.url.endswith(f"{address(chain, group)}?tab=trend") and page.locator("#charts").is_visible()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#charts").is_visible() and page.locator(".top a[aria-current]").inner_text() == "Trend"
    page.locator(".top a[data-tab=groups]").click()
    assert title(page).inner_text() == f"Group {name_of(chain, group)}"
    page.go_back()
    page.go_back()
    page.go_back()
    assert page.locator("#overview").is_visible()


ODD = ["a/b:c", "~1 & ?x=#", "100%", "ä 漢", "-", "two", "two", "<b>\u202e"]


def test_odd_names_come_back_from_the_address_and_equal_ones_are_told_apart(tmp_path, visit):
    rows = [
        {"group_id": key, "run": run, "completion": f"c{s} {n}", "reward": float(s)}
        for n, key in enumerate(ODD[:-3] + ODD[-1:])
        for run in ("r:1", "r/2")
        for s in range(3)
    ]
    logs = [
        log_of(tmp_path / f"{n}.jsonl", [r for r in rows if r["run"] == run]) for n, run in enumerate(("r:1", "r/2"))
    ]
    path = page_of(folder_of([str(log) for log in logs], tmp_path / "log.prm"))
    page = visit(path, "#groups")
    addresses = []
    for line in page.locator("#table tbody tr").all():
        line.locator("button").click()
        line.and_(page.locator("[aria-current]")).wait_for()
        addresses.append((page.evaluate("location.hash"), title(page).inner_text()))
    assert len({where for where, _ in addresses}) == len(addresses) == 12
    again = visit(path, "")
    for where, name in addresses:
        again.goto("about:blank")  # so that the page is loaded anew
        again.goto(path.resolve().as_uri() + where)
        again.wait_for_selector("html[data-ready]")
        assert title(again).inner_text() == name


def test_groups_whose_shortened_names_are_equal_have_addresses_of_their_own(tmp_path, visit):
    rows = [
        {"group_id": "k" * 80 + str(n), "completion": f"{n} {s}", "reward": float(s)}
        for n in range(3)
        for s in range(3)
    ]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    assert len(set(data_of(path)["groups"]["columns"]["key"])) == 1
    page = visit(path, "#groups")
    for n in range(3):
        page.locator("#table tbody tr").nth(n).locator("button").click()
        page.locator("#table tbody tr").nth(n).and_(page.locator("[aria-current]")).wait_for()
        where = page.evaluate("location.hash")
        assert where.endswith(("", "~2", "~3")[n])
        again = visit(path, where)
        assert again.locator("#table tr[aria-current]").get_attribute("data-group") == str(n)
