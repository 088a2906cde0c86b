"""Letters of any script: a font that has them, widths in that font, a visible sign where none has, type 42 in PDF."""

import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from re import DOTALL, findall

import matplotlib as mpl
import pytest
from figures.synthetic import log, rollouts
from figures.test_figures import assert_legible
from matplotlib import font_manager
from matplotlib.text import Text

from grpo_prm.errors import FigureWarning
from grpo_prm.figures import VENUES, captions, figure_tables, group_tree, save
from grpo_prm.figures import letters as of
from grpo_prm.figures.letters import MISSING, drawable, font_of, fonts_now, text_width, warn_of_missing
from grpo_prm.figures.tree_labels import KEYED, LINE, labels
from grpo_prm.figures.venues import FALLBACKS, rc_settings

CHINESE = "答案是六"
HAS_CHINESE = bool(rc_settings()["font.family"][1:])
needs_chinese = pytest.mark.skipif(not HAS_CHINESE, reason="no font of FALLBACKS is installed")


def tree(texts, tokens=((1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 6), (7,)), **columns):
    analysis = log(groups=30)
    analysis.samples = rollouts("base", 3, tokens, completion=texts, **columns)
    return figure_tables(analysis, select=["group_tree"])["group_tree"]


@pytest.mark.parametrize("venue", VENUES)
def test_the_font_of_the_venue_is_first_and_fallbacks_are_installed_ones(venue):
    family = rc_settings(VENUES[venue])["font.family"]
    assert family[0] == VENUES[venue].font and "DejaVu Sans" in family
    names = {*font_manager.get_font_names()}
    assert set(family) <= names and set(family[2:]) <= {*FALLBACKS[VENUES[venue].font]}


@pytest.mark.parametrize("venue", ["column", "icml"])
def test_boxes_and_rewards_are_in_the_font_of_the_venue(venue):
    axes = group_tree(tree(["so 3=3;7", "so 3=3;8", "so 3=4;", "no"]), venue=venue)
    texts = [text for text in axes.figure.findobj(Text) if text.get_text().strip()]
    assert {text.get_fontfamily()[0] for text in texts} == {VENUES[venue].font}


@needs_chinese
@pytest.mark.parametrize("venue", ["column", "icml"])
def test_chinese_is_drawn_and_no_type_3_font_is_in_the_pdf(venue, tmp_path):
    table = tree([f"{CHINESE}1", f"{CHINESE}2", "so 3=4;", "no"], group_key=CHINESE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = group_tree(table, venue=venue).figure
        written = save({"group_tree": table}, tmp_path, ["pdf", "png"], venue=venue)
    shown = " ".join(text.get_text() for text in figure.findobj(Text))
    assert CHINESE[0] in shown and MISSING not in shown and "?" not in shown
    assert_legible(figure)
    pdf = written[0].read_bytes()
    streams = findall(rb"FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream", pdf, DOTALL)
    everything = pdf + b"".join(zlib.decompress(stream) for stream in streams)
    # No other font than those of TrueType: the letters of others are outlines.
    assert b"/Type3" not in everything and b"CIDFontType0C" not in everything and b"CIDFontType2" in everything
    assert b"CJK" not in everything


@needs_chinese
def test_widths_are_those_of_the_font_that_draws():
    with mpl.rc_context(rc_settings()):
        assert font_of("中", fonts_now()) != font_of("a", fonts_now())
        assert text_width("中", 10) == pytest.approx(10, abs=0.5)  # as wide as high
        wide = text_width("m", 10)
    with mpl.rc_context(rc_settings(VENUES["icml"])):
        assert text_width("m", 10) != wide


def test_a_letter_that_no_font_has_is_seen_warned_of_and_said(monkeypatch):
    texts = ["a\U0001f9e07", "a\U0001f9e08", "so 3=4;", "no"]
    monkeypatch.setattr(of, "font_of", lambda c, fonts: None if ord(c) > 0x1F000 else fonts[0])
    table = tree(texts, ((1, 2, 3), (1, 2, 4), (5,), (6,)))
    said = r"1 letter that no installed font has \(U\+1F9E0\): □ in the figure. Install"
    with pytest.warns(FigureWarning, match=said):
        axes = group_tree(table)
    shown = " ".join(text.get_text() for text in axes.figure.findobj(Text))
    assert f"a{MISSING}" in shown and "?" not in shown
    said = captions({"group_tree": table}, {"base": log().summary}, "token")["group_tree"]
    assert "□ stands for a letter that no font here has; base:" in said
    plain = captions({"group_tree": tree(["ab", "ac", "d", "e"])}, {"base": log().summary}, "token")["group_tree"]
    assert MISSING not in plain


def test_control_characters_are_seen_and_nobody_is_warned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_missing(["a\x1b[31m\u202e\n\t"])
    assert drawable("a\x1b\u202e\n") == f"a{MISSING * 2}⏎"


def test_a_warning_is_one_line_on_the_command_line():
    code = (
        "from grpo_prm_cli.warned import say_warnings; say_warnings(); import warnings;"
        "from grpo_prm.errors import FigureWarning; warnings.warn('no font', FigureWarning)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert done.stderr == "warning: no font\n"


# ---------------------------------------------------------------- labels that fit, or a key


def test_a_label_is_all_of_its_text_or_a_number_of_the_key():
    table = tree(
        ["short " + "long " * 30 + "7", "short " + "long " * 30 + "8", "no", "x"], ((1, 2), (1, 3), (4,), (5,))
    )
    steps = table.filter(box="step")
    made = labels(steps, 20.0, 40.0)
    for box, label in zip(steps.iter_rows(named=True), made, strict=True):
        assert label.text in ("", box["text"]) or label.key == box["text"]
        assert "…" not in label.text
    assert [label.text for label in made if label.key] == ["1"]
    assert not any(label.text or label.key for label in labels(steps, LINE / 4, 40.0))  # rows too low
    axes = group_tree(table)
    (key,) = [legend for legend in axes.figure.legends if legend.get_texts()[0].get_text().startswith("short")]
    assert key.get_window_extent().y1 <= axes.get_window_extent().y0  # below the tree
    assert_legible_key(axes.figure, key)
    assert axes.figure.get_figheight() > group_tree(tree(["ab", "ac", "d", "e"])).figure.get_figheight()


def assert_legible_key(figure, key):
    """All of the key is inside the figure, and no line lies on another."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in key.get_texts()]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(not one.padded(-0.5).overlaps(other.padded(-0.5)) for i, one in enumerate(boxes) for other in boxes[:i])


def test_a_key_has_few_lines_shared_steps_first():
    k = 12
    texts = ["start " * 20 + f"{chr(97 + n) * (40 + n)}" for n in range(k)]
    table = tree(texts, tuple((1, 2, 3, 10 + n) for n in range(k)), reward=[float(n % 2) for n in range(k)])
    made = labels(table.filter(box="step"), 12.0, 30.0)
    keyed = [label for label in made if label.key]
    assert len(keyed) == KEYED and {label.text for label in keyed} == {str(n) for n in range(1, KEYED + 1)}
    assert any(label.key.startswith("start") for label in keyed)


def test_no_hash_is_in_the_title():
    axes = group_tree(tree(["so 3=3;7", "so 3=3;8", "so 3=4;", "no"], group_key="89a4d66ae092"))
    assert axes.get_title(loc="left") == "training step 3, k = 4"
