"""One self-contained HTML page of an analysis: cautions, summary, trend, groups, the tree of a group, figures.

`page.report` puts it together; `templates/` holds the page, its style and its scripts, which are inlined.
"""

from .page import INDEX, one_page, pages, report

__all__ = ["INDEX", "one_page", "pages", "report"]
