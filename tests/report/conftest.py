"""A real Chromium for the tests of the page; nothing it says on its console, and no request, goes unnoticed."""

import os
from typing import Any, NamedTuple

import pytest
from report.browsers import chromium, chromium_program
from report.pages import chain_page

WANTED = "no Chromium on this machine: apt-get install chromium (or install Google Chrome)"


def pytest_collection_modifyitems(items):
    """What opens the page in a browser is slow."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser():
    found = chromium_program()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(WANTED)
        pytest.skip(WANTED)
    with chromium(found) as opened:
        yield opened


class Tab(NamedTuple):
    """A tab of its own context, and what is to be complained of in it."""

    page: Any
    complaints: list[str]

    def leave(self):
        """Leave nothing of a page to the next one."""
        self.page.evaluate("() => { window.name = ''; localStorage.clear(); sessionStorage.clear(); }")
        self.page.goto("about:blank")


@pytest.fixture(scope="session")
def tabs():
    """Tabs that stand empty: a page is opened again in one in half of the time that a new one takes."""
    return []


def new_tab(browser):
    page, complaints = browser.new_context().new_page(), []
    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda _: complaints.append("popup"))
    page.on("request", lambda request: complaints.append(f"request: {request.url}"))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
    )
    return Tab(page, complaints)


@pytest.fixture
def visit(browser, tabs):
    """Open a page; afterwards fail on anything on its console, any error, violation of the policy, or request.

    With `alone` the tab is a new one, and is closed: for what it would keep (a clock, permissions), and for times.
    """
    used, alike = [], ["about:blank", "data:", "blob:"]

    def visit(path, address="", *, width=1400, scheme="light", ready=True, alone=False):
        tab = tabs.pop() if tabs and not alone else new_tab(browser)
        used.append((tab, alone))
        page, url = tab.page, path.resolve().as_uri()
        alike.append(url)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media="null", color_scheme=scheme)
        page.goto(url + address)
        if ready:
            page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    asked = tuple(f"request: {start}" for start in alike)
    complaints = [one[:300] for tab, _ in used for one in tab.complaints if not one.startswith(asked)]
    for tab, alone in used:
        if alone or complaints:
            tab.page.context.close()
        else:
            tab.leave()
            tab.complaints.clear()
            tabs.append(tab)
    assert complaints == []


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    return chain_page(tmp_path_factory.mktemp("chain"))
