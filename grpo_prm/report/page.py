"""The page put together: what the templates are filled with, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..analysis.findings import EXAMPLES
from ..analysis.tables import Tables
from ..text.amounts import amount, first_of, number
from ..text.cells import Rows
from ..text.glossary import GLOSSARY
from ..text.unbroken import unbroken, whole_options
from ..text.wording import MADE, sections
from ..version import __version__
from .answers import answers, example_groups
from .cautions import cautions
from .commands import tree_of_log
from .embed import embed, shown
from .groups import NAMES, group_columns
from .lengths import reward_by_length
from .packing import Block, blocks, parts, within
from .pictures import pictures
from .reward_parts import reward_parts
from .scales import scales
from .trees import Kept, groups_with_text, trees
from .trend import trend
from .waiting import Show, counted, unseen
from .withheld import TEXT_FIGURES, tree_without_texts, without_texts

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = (
    *("printable", "data", "packed", "names", "choice", "theme", "dom", "glossary", "tabs", "trend", "filters"),
    *("search", "marks", "histogram", "groups", "layout", "measures", "zoom", "explorer", "panel", "tokens"),
    *("words", "diff", "scatter", "aligned", "save", "keys", "running", "start"),
)
STYLES = ("style", "views")
BYTES = 4_800_000  # of a page
LEAST_TEXT = 200_000  # bytes of packed trees, however large the rest of the page is
INDEX = "index.html"  # of a folder of pages
IDLE = 10_000  # milliseconds without use until the page of a run that goes on loads itself


def report(folder: Tables, tokenizer: str | None = None, running: datetime | None = None, *, text: bool = True) -> str:
    """The report of an analysis as one HTML page that needs nothing else and asks no network.

    Args:
        folder: What `analyze` wrote.
        tokenizer: Of the log, to cut texts exactly at the borders of tokens.
        running: Of a run that goes on: the time, in UTC. The page says so, and loads itself again.
        text: With prompts and completions. False: a page to share, without them.

    Returns:
        The page. Below `BYTES` for a log of 100,000 completions: every group as numbers; with their text the groups
        that `samples.parquet` has, the longest of which are cut in the middle if they must, and as many others as there
        is room for.

    Raises:
        InputError: The samples are not those of the process steps.
        UsageError: The tokenizer cannot be opened.
    """
    return one_page(folder, tokenizer, running, text=text).text


class Page(NamedTuple):
    """A page; how many groups of it have their text, and how many have it kept in the folder."""

    text: str
    shown: int
    kept: int


def one_page(
    folder: Tables,
    tokenizer: str | None = None,
    running: datetime | None = None,
    *,
    text: bool = True,
    show: Show = unseen,
) -> Page:
    """`report`, and what had no room in it; `show` tells somebody who waits how far it is."""
    made = _Made.of(folder, tokenizer, running, text, show)
    with show("writing groups") as move:
        packed = counted(made.blocks, len(made.context["order"]), move, made.room)
        part = next(parts(packed, made.room, made.room), [])
    shown = sum(len(block.heads) for block in part)
    return Page(_render(made.context, part), shown, len(made.context["order"]))


def pages(
    folder: Tables, tokenizer: str | None = None, *, text: bool = True, show: Show = unseen
) -> Iterator[tuple[str, str]]:
    """The report as pages that lead to one another, each below `BYTES`: every group that has its text kept is in one.

    Arguments and errors as of `one_page`.

    Yields:
        Name of the file, and the page. The last one, `INDEX`, is as `report` and knows where all groups are.
    """
    made = _Made.of(folder, tokenizer, None, text, show)
    context = made.context | {"pictures": [], "index": INDEX}
    others = max(LEAST_TEXT, BYTES - len(_render(context, []).encode()))
    with show("writing groups") as move:
        lists = parts(counted(made.blocks, len(context["order"]), move), made.room, others)
        first, places = next(lists, []), {}
        for number, part in enumerate(lists, 2):
            name = f"{number}.html"
            places[name] = [head["group"] for block in part for head in block.heads]
            yield name, _render(context, part, {"index": INDEX})
    yield INDEX, _render(made.context, first, {"places": places})


class _Made(NamedTuple):
    """What pages are made of: the context of the template, the bytes that it leaves, and trees to fill them."""

    context: dict[str, Any]
    room: int
    blocks: Iterator[Block]

    @staticmethod
    def of(folder: Tables, tokenizer: str | None, running: datetime | None, text: bool, show: Show) -> _Made:
        of_text, shown = groups_with_text(folder), folder if text else without_texts(folder)
        with show("drawing figures") as move:
            drawn = [one for one in pictures(shown, move) if text or one.name not in TEXT_FIGURES]
        context = _context(shown, of_text, running, text=text) | {"pictures": drawn}
        # Trees get what the page leaves of `BYTES`, so it is rendered without them first.
        room = max(LEAST_TEXT, BYTES - len(_render(context, []).encode()))
        keys = dict(shown.lazy_groups.select("group", "group_key").collect().iter_rows())

        def made(groups: Sequence[int]) -> Iterator[dict[str, Any]]:
            every = trees(folder, groups, tokenizer)
            return every if text else (tree_without_texts(tree, keys[tree["group"]]) for tree in every)

        kept = set(folder.samples["group"])
        order = of_text.order
        named = [group for group in order if group in kept]
        return _Made(context, room, chain(within(list(made(named)), room), blocks(made(order[len(named) :]))))


def _render(context: dict[str, Any], part: Sequence[Block], elsewhere: dict[str, Any] | None = None) -> str:
    heads = [head | {"block": n, "at": at} for n, block in enumerate(part) for at, head in enumerate(block.heads)]
    heads.sort(key=lambda head: head["group"] != context["opens"])  # the page opens with the first
    data = context["data"] | {"trees": heads, "blocks": [block.text for block in part], "elsewhere": elsewhere}
    there = context["order"] if elsewhere else [head["group"] for head in heads]
    template = _environment().get_template("page.html")
    cut = sum(block.cut for block in part)
    return template.render(
        **{
            **context,
            "answers": context["answers"](there),
            "data": embed(data),
            "texts_cut": cut,
            "in_page": len(heads),
        }
    )


def _context(folder: Tables, of_text: Kept, running: datetime | None, *, text: bool) -> dict[str, Any]:
    source = folder.summary["source"]
    style, script = _style(), _script()
    # The parts of a run that goes on are many files, and none of them is its name.
    named = source["runs"] if running else [Path(file).name for file in source["files"]]
    limits = cautions(folder)
    return {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "title": first_of(named, 2) or "rollouts",
        "summary": folder.summary,
        "glossary": GLOSSARY,
        "made": [MADE[name] for name in source["tokens_from"].split(", ") if name in MADE],
        "sections": [(title, [_part(part) for part in body]) for title, body in sections(folder.summary)],
        "running": running,
        "answers": partial(_answers, folder, running=running is not None),
        # The reasons why rows were refused quote them.
        "cautions": limits if text else [one._replace(details=[]) for one in limits],
        "index": None,
        "order": of_text.order,
        "opens": of_text.opens,
        "text": text,
        "folder": "not saved" if folder.path is None else str(folder.path),
        "version": __version__,
        "data": {
            "unit": source["unit"],
            "groups": group_columns(folder.groups),
            "trend": trend(folder.training),
            "glossary": GLOSSARY,
            "methods": source.get("methods", {}),
            "scales": scales(folder),
            "lengths": reward_by_length(folder),
            "parts": reward_parts(folder),
            "text": text,
            "findings": {code: NAMES[EXAMPLES[code]] for code in example_groups(folder)},
            "command": tree_of_log(folder, running=running is not None),
            **({"running": IDLE} if running else {}),
        },
    }


def _answers(folder: Tables, there: Sequence[int], *, running: bool) -> dict[str, Any]:
    return answers(folder, [{"group": group} for group in there], running=running)


def _part(part: str | Rows) -> dict[str, Any]:
    return {"table": part} if isinstance(part, Rows) else {"text": part}


def _style() -> Markup:
    parts = [(TEMPLATES / f"{name}.css").read_text(encoding="utf-8") for name in STYLES]
    return Markup("\n".join(parts))  # noqa: S704 - ours


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


@cache  # so that a template is compiled once
def _environment() -> Environment:
    """Templates in which every value is made printable and escaped, whether or not the template remembers."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=True, finalize=_finalize,
    )  # fmt: skip
    environment.filters |= {"amount": amount, "number": number, "whole": _whole}
    environment.filters["unbroken"] = lambda text: _whole(unbroken(text))
    return environment


def _whole(text: str) -> Markup:
    return Markup(whole_options(str(escape(shown(text)))))  # noqa: S704 - escaped


def _finalize(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
