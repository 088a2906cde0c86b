"""How long a group takes to open in Chromium: from the click until it is painted, and of that on the processor.

    python tests/report/opening.py a.prm/report.html b.prm/report.html

Fifty groups of the first page of the list, in an order drawn once, each clicked as a reader would. `until painted` is
by the clock of the page, from the click to the task after the frame that shows the group; what else the machine does
is in it. `processor` is the time that the main thread of the page computed meanwhile: script, style, layout and paint.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from report.browsers import chromium, chromium_program

GROUPS = 50
# Opens the group of a button; milliseconds until the task after the frame in which its heading stands there.
OPEN = """(at) => new Promise((done) => {
  const button = document.querySelectorAll("#table tbody .name button")[at];
  const title = document.getElementById("tree-title");
  const wanted = `Group ${button.textContent}`, begin = performance.now();
  const say = () => scheduler.postTask(() => done(performance.now() - begin), { priority: "user-blocking" });
  const look = () => title.textContent === wanted ? requestAnimationFrame(say) : setTimeout(look);
  button.click();
  look();
})"""


def opened(tab, session) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds until each group is painted, and of the processor, shape (groups,) each."""
    count = tab.locator("#table tbody .name button").count()
    order = np.random.default_rng(0).permutation(np.arange(1, count))[:GROUPS].tolist()  # the first one is open
    clock, computed = [], []
    for at in order:
        before = task(session)
        clock.append(tab.evaluate(OPEN, at))
        computed.append(1000 * (task(session) - before))
        tab.wait_for_timeout(100)  # the next groups are unpacked while somebody reads
    return np.array(clock), np.array(computed)


def task(session) -> float:
    """Seconds that the main thread has computed."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "ThreadTime")


def main() -> None:
    """Measure the pages that are given."""
    with chromium(chromium_program()) as browser:
        for page in map(Path, sys.argv[1:]):
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            session = tab.context.new_cdp_session(tab)
            session.send("Performance.enable")
            tab.goto(page.resolve().as_uri() + "#groups")
            tab.wait_for_selector("html[data-ready]")
            tab.wait_for_timeout(1000)
            told = zip(("until painted", "processor"), opened(tab, session), strict=True)
            says = ", ".join(f"{what}: median {np.median(ms):.0f} ms, worst {ms.max():.0f} ms" for what, ms in told)
            sys.stdout.write(f"{page}: {says}\n")
            tab.close()


if __name__ == "__main__":
    main()
