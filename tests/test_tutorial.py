"""The tutorial notebook runs from its top, shows what is committed, and its prose says what its log says."""

from __future__ import annotations

import importlib.util
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import grpo_prm

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "tutorial.ipynb"
EMBEDDED = r"data:image/png;base64,([A-Za-z0-9+/=]+)"
CLOSE = 2.0  # of 255, on average: another machine draws the edge of a letter otherwise


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run_tutorial", EXAMPLES / "run_tutorial.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.executed(NOTEBOOK)


def texts(notebook):
    """All that is shown but pictures: cell by cell the kinds of outputs and their texts."""
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text": output.get("text")})
            words = {kind: re.sub(EMBEDDED, "", text) for kind, text in data.items() if kind != "image/png"}
            shown.append((cell.id, output.output_type, sorted(data), words))
    return shown


def pictures(notebook):
    data = [output.data for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    coded = [one for bundle in data for one in re.findall(EMBEDDED, bundle.get("text/html", ""))]
    coded += [bundle["image/png"] for bundle in data if "image/png" in bundle]
    return [np.asarray(Image.open(BytesIO(b64decode(one))).convert("RGB"), float) for one in coded]


@pytest.mark.slow
def test_a_new_run_shows_what_is_committed(committed, run):
    assert texts(run) == texts(committed), "python examples/run_tutorial.py"
    assert run.metadata == committed.metadata
    ours, theirs = pictures(run), pictures(committed)
    assert [one.shape for one in ours] == [one.shape for one in theirs] and len(ours) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one - other).mean() < CLOSE < one.std()


def test_outputs_are_whole_and_of_one_run(committed):
    cells = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [sorted(output.get("data", {})) for cell in cells for output in cell.outputs]
    assert kinds.count(["text/html", "text/plain"]) == 3  # the card, a table, a tree
    assert kinds.count(["image/png", "text/plain"]) == 2
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert NOTEBOOK.stat().st_size < 400_000
    assert not re.search(r" at 0x[0-9a-f]+|/tmp/|/home/|<script", NOTEBOOK.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_prose_says_what_the_log_says(committed):
    prose = " ".join(" ".join(cell.source for cell in committed.cells if cell.cell_type == "markdown").split())
    analysis = grpo_prm.analyze(EXAMPLES / "smollm2.jsonl.gz")
    knows, changes = (analysis.summary["verdict"][name] for name in ("knows", "changes"))
    order = knows["leave_pair_out_auc"]
    for said in (
        f"{knows['reliability']['mean']:.3f} of their spread is signal, and the range reaches below zero",
        f"with {knows['reliability']['n']} groups",
        f"in {100 * order['mean']:.0f} % of cases",
        f"chance gives {100 * order['null_low']:.0f} to {100 * order['null_high']:.0f} %",
        f"{100 * (1 - changes['norm']['mean']):.0f} % shorter and turn by {changes['degrees']:.0f} degrees",
    ):
        assert said in prose
    assert knows["reliability"]["low"] < 0 and order["null_high"] < order["mean"]
    silent = {task: int(some["zero_variance"].sum()) for (task,), some in analysis.groups.group_by("task")}
    assert f"Of the 8 groups of `products` {silent['products']} teach nothing, of `simple_equations` " in prose
    assert sorted(silent, key=silent.get)[-2:] == ["simple_equations", "products"]
    (tree,) = analysis.tree("0:p38").groups
    down = next(step for step in tree["steps"] if step["text"] and step["text"].strip() == 'letter "h" appears')
    assert f"(A = {down['advantage']:.3f})" in prose and down["reward"] == 1 / 7
    depth = {size: analysis.subsamples.filter(size=size)["path_depth"].mean() for size in (8, 16)}
    assert depth[8] / depth[16] == pytest.approx(2 / 3, abs=0.03)


def test_links_of_the_notebook_lead_somewhere(committed):
    links = [link for cell in committed.cells for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", cell.source)]
    assert len(links) > 5 and [link for link in links if not (EXAMPLES / link).exists()] == []
