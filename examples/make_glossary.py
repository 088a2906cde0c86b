"""The page of words, docs/glossary.md, and what hovers over them in the site: `python make_glossary.py ..`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from grpo_prm.analysis.findings import CODES
from grpo_prm.text.glossary import FURTHER, GLOSSARY

HEAD = """# Glossary

Every word of ours on the screen, in the report and in the figures, with a sentence, and more where one does not do. The
words build on each other, so read from the top. Hover over a word in the report to see its sentence, on these pages
where it stands first; in a terminal `grpo-prm explain WORD` prints all of it.
The mathematics is in [the definitions](definitions.md), every statistic with its range in [the numbers](numbers.md).

| word | what it is |
|---|---|
"""
# Words of a badge or a symbol, which mean other things in a sentence.
COMMON = {"random", "example", "problem", "k", "p", "draw", "luck", "close", "range", "unseen", "copy"}
HOVERS = "[project.markdown_extensions.abbr.glossary]\n"


def page() -> str:
    """The page: a table of words and sentences."""
    rows = ((word, " ".join((sentence, *FURTHER.get(word, ())))) for word, sentence in GLOSSARY.items())
    return HEAD + "".join(f"| {_shown(word)} | {_cell(text)} |\n" for word, text in rows)


def hovers() -> str:
    """The last table of zensical.toml: terms of words alone, but for codes, which have pages, and `COMMON`.

    On a page docs/first_use.js leaves each of them once, or `group` and `token` would be everywhere.
    """
    terms = (word for word in GLOSSARY if re.fullmatch(r"\w+([ -]\w+)*", word) and word not in {*CODES, *COMMON})
    return HOVERS + "".join(f"{_quoted(term)} = {_quoted(GLOSSARY[term])}\n" for term in terms)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a string of JSON is one of TOML


def _shown(word: str) -> str:
    return f"**[{word}](findings/{word}.md)**" if word in CODES else f"**{_cell(word)}**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(root: Path) -> None:
    """Write both."""
    config = root / "zensical.toml"
    before, _, _ = config.read_text(encoding="utf-8").partition(HOVERS)
    config.write_text(before + hovers(), encoding="utf-8")
    (root / "docs" / "glossary.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
