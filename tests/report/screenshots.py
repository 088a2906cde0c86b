"""Pictures of report pages: every part, in three widths, light and dark, in Chromium and in Firefox.

    python tests/report/screenshots.py a.prm/report.html b.prm/report.html OUT     # to look at
    python tests/report/screenshots.py --docs docs/figures     # the few that the docs show (`make screenshots`)

The first writes OUT/NAME_PART_WIDTH_SCHEME.png, each as long as its part.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from report.browsers import chromium, chromium_program, firefox_program
from report.firefox import READY, firefox
from report.pages import address, data_of, folder_of, page_of

WIDTHS, SCHEMES, HIGH = (1400, 800, 400), ("light", "dark"), 900
EXAMPLES = Path(__file__).parents[2] / "examples"
# Pixels that the part which is open would take if nothing of it had to be scrolled.
LONG = """(() => {
  const detail = document.getElementById("detail"), top = document.querySelector(".top").offsetHeight;
  const apart = detail.checkVisibility() && getComputedStyle(detail).overflowY === "auto";
  return Math.ceil(apart ? top + detail.scrollHeight : document.documentElement.scrollHeight);
})()"""


class Part(NamedTuple):
    """A part of the page: its name in the file, its address, and a script that brings it about."""

    name: str
    where: str
    act: str = "null"


def parts(page: Path) -> list[Part]:
    """Every tab, and the group with a path, filters, hits, a tip; the list of keys."""
    head = data_of(page)["trees"][0]
    path = address(page, head["group"], sample=head["completions"]["sample"][0])
    tabs = [Part(name, f"#{name}") for name in ("overview", "trend", "figures", "reading")]
    search = 'document.querySelector("details.wide").open = true'
    word = 'document.querySelector("#facts .term")'
    tip = f'{word}.scrollIntoView({{ block: "center" }}), {word}.focus()'
    return [
        *tabs,
        Part("group", address(page, head["group"])),
        Part("path", path),
        Part("filters", f"{address(page, head['group'])}?query=the&reward=0..1", search),
        Part("tip", address(page, head["group"]), tip),
        Part("keys", "#overview", 'document.getElementById("help-open").click()'),
    ]


def in_chromium(pages: list[Path], widths: list[int], schemes: list[str], out: Path) -> None:
    """Write the pictures of Chromium."""
    with chromium(chromium_program()) as browser:
        for path in pages:
            for width in widths:
                for scheme in schemes:
                    context = browser.new_context(viewport={"width": width, "height": HIGH}, color_scheme=scheme)
                    tab = context.new_page()
                    for part in parts(path):
                        tab.set_viewport_size({"width": width, "height": HIGH})
                        tab.goto("about:blank")
                        tab.goto(path.resolve().as_uri() + part.where)
                        tab.wait_for_selector("html[data-ready]")
                        tab.evaluate(f"() => {{ {part.act}; }}")
                        if part.name not in ("tip", "keys"):
                            tab.set_viewport_size({"width": width, "height": max(HIGH, tab.evaluate(LONG))})
                        tab.wait_for_timeout(300)
                        keep(tab.screenshot(), file_of(out, path, part, width, scheme))
                    context.close()


def in_firefox(pages: list[Path], widths: list[int], schemes: list[str], out: Path) -> None:
    """Write the pictures of Firefox; there is no dark system, so the button of the page is used."""
    with tempfile.TemporaryDirectory() as profile, firefox(firefox_program(), profile, limit=1800) as tab:
        for path in pages:
            for width in widths:
                for scheme in schemes:
                    for part in parts(path):
                        tab.resize(width, HIGH)
                        tab.evaluate("about:blank", "null")
                        tab.evaluate(path.resolve().as_uri() + part.where, READY)
                        dark = 'document.getElementById("theme").click()' if scheme == "dark" else "null"
                        tab.evaluate(None, f"({dark}, {part.act}, null)")
                        if part.name not in ("tip", "keys"):
                            tab.resize(width, max(HIGH, tab.evaluate(None, LONG)))
                        tab.evaluate(None, "new Promise((go) => setTimeout(() => go(null), 300))")
                        keep(tab.picture(), file_of(out, path, part, width, scheme))


def file_of(out: Path, page: Path, part: Part, width: int, scheme: str) -> Path:
    """Name of a picture; of a page in a folder as `analyze` makes it by that folder."""
    return out / f"{page.resolve().parent.stem}_{part.name}_{width}_{scheme}.png"


def keep(picture: bytes, path: Path) -> None:
    """Write a picture in 256 colours, which is a third of the bytes and looks the same."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


# Name of a picture of the docs: log, part, width, height, scheme.
DOCS = {
    "report_tree": ("chain.jsonl", "group", 1400, 900, "light"),
    "report_dark": ("smollm2.jsonl.gz", "overview", 1400, 900, "dark"),
    "report_narrow": ("chain.jsonl", "group", 400, 900, "light"),
}


def for_docs(out: Path) -> None:
    """Write the pictures of the docs. What a page says of folders is said as in a folder with the examples."""
    out = out.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), chromium(chromium_program()) as browser:
        Path("examples").symlink_to(EXAMPLES)
        logs = {log for log, *_ in DOCS.values()}
        folders = {log: folder_of(f"examples/{log}", Path(f"{log.split('.')[0]}.prm")) for log in logs}
        pages = {log: page_of(folder, figures=True) for log, folder in folders.items()}
        for name, (log, part, width, height, scheme) in DOCS.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            where = next(one.where for one in parts(pages[log]) if one.name == part)
            tab.goto(pages[log].resolve().as_uri() + where)
            tab.wait_for_selector("html[data-ready]")
            keep(tab.screenshot(), out / f"{name}.png")
            tab.close()


def main() -> None:
    """Read the options."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("--browser", choices=["chromium", "firefox"], default="chromium")
    said.add_argument("--width", type=int, action="append", help="pixels (default: 1400, 800 and 400)")
    said.add_argument("--scheme", choices=SCHEMES, action="append", help="(default: both)")
    said.add_argument("--docs", action="store_true", help="the pictures of the docs")
    said.add_argument("pages", nargs="*", type=Path, metavar="REPORT.html")
    said.add_argument("out", type=Path)
    given = said.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.docs:
        for_docs(given.out)
    else:
        take = in_firefox if given.browser == "firefox" else in_chromium
        take(given.pages, given.width or WIDTHS, given.scheme or SCHEMES, given.out)


if __name__ == "__main__":
    main()
