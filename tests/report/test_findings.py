"""Every finding stands on the first screen, and one click leads to what shows it; on logs of known truth."""

import json

import pytest
from report.pages import folder_of, page_of

from grpo_prm.analysis.findings import CODES, EXAMPLES
from grpo_prm.analysis.options import Options
from grpo_prm.report.answers import SECTIONS
from grpo_prm.selftest.logs import LOGS

# A log that must have the finding.
LOG_OF = {
    "teaches_nothing": "constant", "copies": "copies", "boilerplate": "boilerplate", "low_reliability": "noise",
    "phantom_advantage": "format_only", "sampler_gap": "stale_sampler", "mixed_prompts": "mixed_prompts",
    "unmasked_tool_output": "tool_output",
}  # fmt: skip

SEEN = """e => e === document.activeElement && e.getBoundingClientRect().top >= 0
  && e.getBoundingClientRect().bottom <= innerHeight"""


@pytest.fixture
def page(code, tmp_path, visit):
    """The report of such a log, at its first screen, and its summary."""
    log = LOGS[LOG_OF[code]](groups=48)
    log.rows.write_ndjson(tmp_path / "log.jsonl")
    path = page_of(folder_of(tmp_path / "log.jsonl", tmp_path / "log.prm", options=Options(outcome=log.outcome)))
    return visit(path), json.loads((path.parent / "summary.json").read_text())


@pytest.mark.parametrize("code", CODES)
def test_a_finding_is_one_click_from_what_shows_it(code, page):
    page, summary = page
    found = next(one for one in summary["verdict"]["findings"] if one["code"] == code)
    line = page.locator("#overview .finding").filter(has=page.locator(".finding-code", has_text=code))
    assert line.is_visible() and page.viewport_size["height"] > line.bounding_box()["y"]
    line.locator("a.go").click()
    if code in EXAMPLES:
        page.locator("#facts .badge.finding").wait_for()
        opened = page.locator("#tree-title").inner_text().removeprefix("Group ")
        assert opened in page.locator("#table tr[aria-current] .name").inner_text()
        asked = page.locator("#facts .prompt summary")
        word = "One of 2 prompts in this group: " if code == "mixed_prompts" else "Prompt: "
        assert not asked.count() or asked.inner_text().startswith(word)
        assert asked.count() or code != "mixed_prompts"
        # A second click: all groups that it is about.
        page.locator("#which").select_option(code)
        assert page.locator("#found").inner_text().startswith(f"{found['groups']} of {summary['counts']['groups']} ")
        assert page.locator("#table tr[aria-current]").count() == 1
    else:
        title = page.locator(f"[data-title='{SECTIONS[code]}']")
        page.wait_for_function(SEEN, arg=title.element_handle())
