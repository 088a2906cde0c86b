"""A real Chromium for the tests of the page; nothing it says on its console, and no request, goes unnoticed."""

import os

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


@pytest.fixture
def visit(browser):
    """Open a page; afterwards fail on anything on its console, any error, violation of the policy, or request."""
    complaints, contexts = [], []

    def visit(path, address="", *, width=1400, scheme="light", ready=True):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("popup", lambda _: complaints.append("popup"))
        url = path.resolve().as_uri()
        page.on("request", lambda request: complaints.append(f"request: {request.url[:200]}")
                if not request.url.startswith(("data:", "blob:", url)) else None)  # fmt: skip
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
        )
        page.goto(url + address)
        if ready:
            page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    return chain_page(tmp_path_factory.mktemp("chain"))
