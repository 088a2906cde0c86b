"""An analysis in a notebook: the three answers, what is in doubt, a figure; every number on a click."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from ..analysis.tables import Tables
from ..text.verdict import changes, findings, knows, no_finding, to_do
from ..text.wording import sections
from .markup import element, framed, pieces, shown, worded
from .presented import METHODS, doubts, origin, worst

NEXT = "Go on with"
VENUE = "web"


def as_html(tables: Tables) -> str:
    """The report card as HTML without script. Its figure is drawn now, which takes about a second.

    Args:
        tables: The analysis.
    """
    summary = tables.summary
    (_, read), *_ = sections(summary)
    todo = [finding.sentence for finding in findings(summary, "")] or [no_finding(summary)]
    answers = [(one.question, [one.short, *one.why]) for one in (knows(summary), changes(summary))]
    numbers = "".join(f"<p><b>{shown(title)}</b></p>{pieces(body)}" for title, body in sections(summary))
    return framed(
        [
            f"<p><b>Analysis of {shown(origin(summary))}</b>: {shown(str(read[0]))}</p>",
            *(worded("p", doubt) for doubt in doubts(summary)),
            _listed([*answers, (to_do(summary["source"]), todo)]),
            _figure(tables),
            f"<details><summary>Every number</summary>{numbers}</details>",
            _listed([(NEXT, [*worst(summary), METHODS])]),
        ]
    )


def _listed(answers: Iterable[tuple[str, list[str]]]) -> str:
    made = (element("dt", title) + "".join(worded("dd", one) for one in body) for title, body in answers)
    return f"<dl>{''.join(made)}</dl>"


def _figure(tables: Tables) -> str:
    """How much completions overlap, over training where there are several steps, with its caption."""
    from .drawing import picture

    name = "overlap_over_training" if tables.summary["source"]["steps"]["count"] > 1 else "overlap_over_groups"
    png, caption = picture(tables, name, VENUE)
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    caption = shown(caption)
    return f"<figure><img src='{source}' alt='{caption}'><figcaption>{caption}</figcaption></figure>"
