"""The pages docs/findings/CODE.md, of the texts that `grpo-prm explain CODE` prints: `python make_findings.py ../docs`.

What a page has beside: the part on a log where the finding is true, which stays as it is in the page, and links.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from grpo_prm.analysis.findings import CODES
from grpo_prm.text.explain import finding

SHOWN = re.compile(r"^## On a log where it is true\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
BEFORE = "## What to do\n"
END = "\n[All findings](../findings.md), [the rules behind them](../definitions.md#the-verdict-ours)\n"


def page(code: str, before: str) -> str:
    """The page of a finding.

    Args:
        code: Of the finding.
        before: The page as it is; of a new one at least its part on a log where the finding is true.
    """
    shown = SHOWN.search(before)
    if shown is None:
        raise SystemExit(f"{code}: its page has no part on a log where it is true. Write that part first.")
    return finding(code).replace(BEFORE, shown[0] + BEFORE) + END


def main(docs: Path) -> None:
    """Write all of them."""
    for code in CODES:
        path = docs / "findings" / f"{code}.md"
        path.write_text(page(code, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
