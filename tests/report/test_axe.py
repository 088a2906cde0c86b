"""axe-core finds nothing serious or critical in the page: every tab, wide and narrow, light and dark."""

from importlib.resources import files

import pytest
from report.pages import address

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => [one.id, one.impact, ...one.nodes.slice(0, 5).map((node) => node.html.slice(0, 120))]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing_serious(chain, visit, scheme, width):
    page = visit(chain, address(chain, sample=3), width=width, scheme=scheme)
    page.evaluate(AXE)  # by the debugger, which the policy of the page does not bind
    page.locator("summary", has_text="More filters").click()
    faults = {}
    for tab in ("groups", "overview", "trend", "figures", "reading"):
        page.locator(f".top a[data-tab={tab}]").click()
        faults[tab] = page.evaluate(RUN)
    page.locator("#help-open").click()
    faults["help"] = page.evaluate(RUN)
    assert {tab: found for tab, found in faults.items() if found} == {}
