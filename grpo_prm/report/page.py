"""The page put together: what the templates are filled with, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..analysis.tables import Tables
from ..text.amounts import amount
from ..text.cells import Rows
from ..text.wording import MADE, sections
from ..version import __version__
from .answers import answers
from .cautions import cautions
from .embed import embed, shown
from .groups import group_columns
from .pictures import pictures
from .trees import fitted, trees
from .trend import trend

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = (
    *("data", "hash", "theme", "dom", "trend", "groups", "layout", "explorer", "panel", "aligned"),
    *("running", "start"),
)
BYTES = 4_800_000  # of a page, as far as texts can give way
LEAST_TEXT = 200_000  # bytes of text even so
IDLE = 10_000  # milliseconds without use until the page of a run that goes on loads itself


def report(folder: Tables, tokenizer: str | None = None, running: datetime | None = None) -> str:
    """The report of an analysis as one HTML page that needs nothing else and asks no network.

    Args:
        folder: What `analyze` wrote.
        tokenizer: Of the log, to cut texts exactly at the borders of tokens.
        running: Of a run that goes on: the time, in UTC. The page says so, and loads itself again.

    Returns:
        The page. Below `BYTES` for a log of 100,000 completions: every group as numbers, the sampled ones with their
        text, the longest of which are cut in the middle.

    Raises:
        InputError: The samples are not those of the process steps.
        UsageError: The tokenizer cannot be opened.
    """
    sampled = trees(folder, tokenizer)
    context = _context(folder, sampled, running)
    # Texts get what the page leaves of `BYTES`, so it is rendered without them first.
    without_texts = len(_render(context, [{**tree, "texts": []} for tree in sampled]).encode())
    return _render(context, fitted(sampled, max(LEAST_TEXT, BYTES - without_texts)))


def _render(context: dict[str, Any], sampled: list[dict[str, Any]]) -> str:
    data = context["data"] | {"trees": sampled}
    cut = sum(1 for tree in sampled for text in tree["texts"] if isinstance(text, list))
    template = _environment().get_template("page.html")
    return template.render(**{**context, "data": embed(data), "texts_cut": cut})


def _context(folder: Tables, sampled: list[dict[str, Any]], running: datetime | None) -> dict[str, Any]:
    source = folder.summary["source"]
    style, script = _style(), _script()
    # The parts of a run that goes on are many files, and none of them is its name.
    named = source["runs"] if running else [Path(file).name for file in source["files"]]
    return {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "title": ", ".join(named[:2]) or "rollouts",
        "summary": folder.summary,
        "made": [MADE[name] for name in source["tokens_from"].split(", ") if name in MADE],
        "sections": [(title, [_part(part) for part in body]) for title, body in sections(folder.summary)],
        "running": running,
        "answers": answers(folder, sampled, running=running is not None),
        "cautions": cautions(folder),
        "pictures": pictures(folder),
        "trees": len(sampled),
        "sampled": folder.samples["group"].n_unique(),
        "folder": "not saved" if folder.path is None else str(folder.path),
        "version": __version__,
        "data": {
            "unit": source["unit"],
            "groups": group_columns(folder.groups),
            "trend": trend(folder.training),
            **({"running": IDLE} if running else {}),
        },
    }


def _part(part: str | Rows) -> dict[str, Any]:
    return {"table": part} if isinstance(part, Rows) else {"text": part}


def _style() -> Markup:
    return Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - ours


def _script() -> Markup:
    parts = [(TEMPLATES / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return Markup("\n".join(['"use strict";', "(() => {", *parts, "})();", ""]))  # noqa: S704 - ours


def _policy(style: str, script: str) -> str:
    """Content security policy: this style, this script, pictures inside the page, and no sink that takes markup."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _environment() -> Environment:
    """Templates in which every value is made printable and escaped, whether or not the template remembers."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=True, finalize=_finalize,
    )  # fmt: skip
    environment.filters["amount"] = amount
    return environment


def _finalize(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
