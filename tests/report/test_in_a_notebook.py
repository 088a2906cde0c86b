"""What a notebook shows, in a browser: read on light and on dark ground, on a narrow cell, and nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import grpo_prm

GROUNDS = {"light": ("#1b1f24", "#ffffff"), "dark": ("#e6e9ed", "#111111"), "jupyter dark": ("#ffffff", "#212121")}
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
CONTRAST = Path(__file__).with_name("tinted.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown():
    """A card and a tree of a log that would run a script."""
    rows = [
        {"uid": SCRIPT, "prompt": f"? {SCRIPT}", "completion": f"{SCRIPT} {n % 2} {'a' * 300} {n}", "reward": n % 3 / 2}
        for n in range(6)
    ]
    analysis = grpo_prm.analyze(rows)
    return analysis._repr_html_() + analysis.tree(f"-:{SCRIPT}")._repr_html_()


@pytest.mark.parametrize("ground", GROUNDS)
def test_it_is_read_on_every_ground_and_in_a_narrow_cell(ground, shown, visit, tmp_path):
    color, background = GROUNDS[ground]
    page = tmp_path / "cell.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8>"
        f"<body style='color: {color}; background: {background}; font: 14px sans-serif'><p>ours</p>{shown}",
        encoding="utf-8",
    )
    for width in (1000, 380):
        opened = visit(page, width=width, ready=False)  # fails on a dialog, an error or a request
        opened.evaluate("document.querySelector('details').open = true")
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ratios = opened.evaluate(CONTRAST)
        assert len(ratios) > 60 and [one for one in ratios if one[0] < 4.5] == []
        assert opened.evaluate("document.scripts.length") == 0
        assert opened.evaluate("getComputedStyle(document.querySelector('p')).marginTop") != "0px"  # not ours to style
