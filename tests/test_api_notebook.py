"""An analysis and a tree in a notebook: HTML that says what the numbers say, and of which a log changes nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

import grpo_prm
from grpo_prm.api.boxes import STEPS
from grpo_prm.api.markup import STYLE
from grpo_prm.text.printable import printable
from grpo_prm.tree.printed import LEVELS

CHAIN = Path(__file__).parents[1] / "examples" / "chain.jsonl"
ALLOWED = {
    "div": {"class", "style"}, "style": set(), "p": set(), "b": set(), "dl": set(), "dt": set(), "dd": set(),
    "figure": set(), "img": {"src", "alt"}, "figcaption": set(), "details": set(), "summary": set(), "table": set(),
    "thead": set(), "tbody": set(), "tr": set(), "th": set(), "td": set(), "ul": set(), "li": {"class"},
    "span": {"class"}, "code": set(),
}  # fmt: skip
TINT = r"background: rgba\(\d+, \d+, \d+, 0\.\d{1,2}\)"
VOID = {"img"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    inside: list[Element | str] = field(default_factory=list)

    def all(self, name, kind=None):
        """Elements inside, in the order of the page."""
        for one in self.inside:
            if isinstance(one, Element):
                if one.name == name and kind in (None, one.attributes.get("class")):
                    yield one
                yield from one.all(name, kind)

    def text(self):
        return "".join(one if isinstance(one, str) else one.text() for one in self.inside)


class Parsed(HTMLParser):
    """HTML as a tree; what is not closed in order is an error, as is all that is not allowed."""

    def __init__(self, page):
        super().__init__()
        self.open = [Element("page", {})]
        self.feed(page)
        self.close()
        assert [one.name for one in self.open] == ["page"]

    def handle_starttag(self, name, attributes):
        assert {key for key, _ in attributes} <= ALLOWED[name]
        one = Element(name, dict(attributes))
        assert re.fullmatch(TINT, one.attributes.get("style", "background: rgba(0, 0, 0, 0.00)"))
        assert re.fullmatch(
            r"data:image/png;base64,[A-Za-z0-9+/=]+", one.attributes.get("src", "data:image/png;base64,=")
        )
        self.open[-1].inside.append(one)
        self.open += [one] if name not in VOID else []

    def handle_endtag(self, name):
        assert self.open.pop().name == name

    def handle_data(self, data):
        self.open[-1].inside.append(data)


def parsed(page):
    return Parsed(page).open[0]


@pytest.fixture(scope="module")
def chain():
    return grpo_prm.analyze(CHAIN)


def test_what_a_notebook_asks_for(chain):
    for one in (chain, chain.tree("40:p0802")):
        assert one._repr_mimebundle_(include=None, exclude=None) == {
            "text/plain": repr(one),
            "text/html": one._repr_html_(),
        }


def test_the_picture_of_a_card_is_a_figure_with_its_caption(chain, tmp_path):
    (figure,) = parsed(chain._repr_html_()).all("figure")
    (image,), (caption,) = figure.all("img"), figure.all("figcaption")
    drawn = chain.plot("overlap_over_training", venue="web")._repr_png_()
    of_card = Image.open(BytesIO(b64decode(image.attributes["src"].partition(",")[2])))
    assert np.array_equal(np.asarray(of_card), np.asarray(Image.open(BytesIO(drawn))))
    chain.save(tmp_path / "chain.prm")
    said = (tmp_path / "chain.prm" / "figures" / "overlap_over_training.txt").read_text().strip()
    assert image.attributes["alt"] == caption.text() == said


def test_a_log_of_one_step_shows_its_groups():
    rows = [
        {"uid": n, "completion_ids": [1, s % 2, s], "reward": float(s == n % 4)} for n in range(6) for s in range(4)
    ]
    page = parsed(grpo_prm.analyze(rows)._repr_html_())
    assert "Share of the groups" in next(page.all("figcaption")).text()


def test_every_number_is_behind_a_click(chain):
    (numbers,) = parsed(chain._repr_html_()).all("details")
    depth = chain.summary["overlap"]["path_depth"]
    row = next(row for row in numbers.all("tr") if row.text().startswith("path depth"))
    shown = f"{depth['mean']:.3g} [{depth['low']:.3g},\u00a0{depth['high']:.3g}]"
    assert shown in [cell.text() for cell in row.all("td")]


def boxes(items, before=()):
    """Every box with those around it, outermost first."""
    for item in items:
        (box,) = (one for one in item.inside if isinstance(one, Element) and one.name == "div")
        yield (*before, box)
        for further in item.inside:
            if isinstance(further, Element) and further.name == "ul":
                yield from boxes([one for one in further.inside if list(one.all("div"))], (*before, box))


def top(page):
    """The items of the outermost list."""
    return next(page.all("ul")).inside


def values(box):
    """A, R, completions and tokens as they are written."""
    numbers = next(box.all("div", "numbers")).text()
    found = re.match(r"A (\S+) · R (\S+) · ([\d,]+) completions? · ([\d,]+) tokens?", numbers)
    return float(found[1]), float(found[2]), int(found[3]), int(found[4])


@pytest.mark.parametrize("name", ["40:p0802", "0:p0003"])
def test_a_box_is_the_completions_that_begin_with_its_text(name, chain):
    """By the definition, out of the file: which completions share a beginning, their mean reward and advantage."""
    step, key = name.split(":")
    rows = [json.loads(line) for line in CHAIN.read_text().splitlines()]
    rows = [row for row in rows if row["step"] == int(step) and row["group_key"] == key]
    seen, colours = set(), set()
    for path in boxes(top(parsed(chain.tree(name)._repr_html_()))):
        texts = [next(box.all("div", "text")).text() for box in path]
        begin = "".join("" if text.startswith("(") else text for text in texts)
        some = [row for row in rows if row["completion"].startswith(begin)]
        advantage, reward, size, _ = values(path[-1])
        assert size == len(some) and reward == pytest.approx(fmean(row["reward"] for row in some), abs=5e-4)
        assert advantage == pytest.approx(fmean(row["advantage"] for row in some), abs=6e-4)
        kind = path[-1].attributes["class"]
        assert kind == ("box raised" if advantage > 0 else "box lowered" if advantage < 0 else "box")
        seen.add(begin)
        colours.add(kind)
    assert {row["completion"] for row in rows} <= seen and len(seen) > 8 and len(colours) >= 2


def test_a_large_group_is_bounded_and_says_so():
    rows = [{"uid": 0, "completion_ids": [n % 10, n], "reward": float(n % 10 == 3)} for n in range(300)]
    tree = grpo_prm.analyze(rows).tree("-:0")
    page = parsed(tree._repr_html_())
    shown, steps = list(boxes(top(page))), len(tree.groups[0]["steps"])
    assert len(shown) == STEPS < steps == 311
    assert f"Shown are the {STEPS} of {steps} process steps that most completions share" in page.text()
    left = [int(n) for n in re.findall(r"… and (\d+) more steps? from here", page.text())]
    assert sum(left) == steps - STEPS
    assert sorted(values(path[-1])[2] for path in shown)[-11:] == [30] * 10 + [300]  # the shared ones are all there


def test_a_deep_tree_stays_on_the_page():
    rows = [{"uid": 0, "completion_ids": [5] * n + [6], "reward": float(n % 2)} for n in range(1, 30)]
    page = parsed(grpo_prm.analyze(rows).tree("-:0")._repr_html_())
    depths = [len(path) - 1 for path in boxes(top(page))]
    levels = [int(n) for n in re.findall(r"· level (\d+)", page.text())]
    assert sorted(levels) == sorted(depth for depth in depths if depth > LEVELS) and max(levels) > 20
    assert len(list(page.all("li", "deep"))) == len(levels)


nasty = st.text(st.sampled_from(list("<>&\"'`=/ {}()%;:\\abcstyle\x00\x1b\u202e\u2028\n\r\t\ud800😀")), max_size=30)
ends = st.sampled_from(["</div></style><script>alert(1)</script>", "'><img src=x onerror=alert(1)>", "&lt;b&gt;", ""])


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))  # each is an analysis
@given(nasty, nasty, nasty, ends)
def test_nothing_that_a_log_says_is_markup(run, key, text, end):
    """Only the elements and attributes that are ours, and every text as it was, but for what steers."""
    run, key, text = (f"x{one}{end}".encode("utf-8", "replace").decode() for one in (run, key, text))
    completions = [f"{text} {n % 2} {n}" for n in range(4)]
    rows = [
        {"run": run, "uid": key, "prompt": f"? {text}", "completion": one, "reward": float(n == 2)}
        for n, one in enumerate(completions)
    ]
    analysis = grpo_prm.analyze(rows)
    (name,) = analysis.groups["group_key"]
    tree = analysis.tree(f"-:{name}")
    card, page = parsed(analysis._repr_html_()), parsed(tree._repr_html_())
    assert f".tree({f'-:{name}'!r})" in card.text() or not analysis.summary["defects"]["worst_groups"]["examples"]
    assert f"{printable(run)}, group {printable(key)}" in page.text()
    whole = {"".join(next(box.all("div", "text")).text() for box in path) for path in boxes(top(page))}
    assert {printable(one) for one in completions} <= {one.replace("(nothing is shared by all)", "") for one in whole}
    for one in (card, page):
        assert not set("\x00\x1b\u202e\u2028") & set(one.text())


def test_the_style_is_of_nothing_else_in_the_notebook(chain):
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{[^{}]*\}", STYLE) for one in rule.split(",")]
    assert len(selectors) > 15 and all(re.match(r"div\.grpo-prm( |$)", one) for one in selectors)
    assert not re.search(r"url|@import|expression|position|!important", STYLE)
    page = chain._repr_html_()
    assert page.startswith("<div class='grpo-prm'>") and page.endswith("</div>")
    assert 20_000 < len(page) < 200_000


def test_nothing_of_ipython_is_imported():
    code = (
        "import sys\nsys.modules['IPython'] = None\nimport grpo_prm\n"
        "rows = [{'uid': 0, 'completion_ids': [1, n], 'reward': n % 2} for n in range(4)]\n"
        "a = grpo_prm.analyze(rows)\nassert a._repr_mimebundle_() and a.tree('-:0')._repr_mimebundle_()\n"
        "assert not {'matplotlib.pyplot', 'ipykernel', 'traitlets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
