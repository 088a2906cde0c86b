"""What the page holds of tokens, of lengths and of reward parts, counted a second way from the log itself."""

import json
import math
import re
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.pages import folder_of, log_of

from grpo_prm.analysis.folder import read_folder
from grpo_prm.report.lengths import reward_by_length
from grpo_prm.report.reward_parts import reward_parts
from grpo_prm.report.scales import scales
from grpo_prm.report.trees import _runs, groups_with_text, trees

SAMPLER = [[-0.1, -2.0, -0.5, -1.25], [-0.1, -2.0, -0.25], [-0.1, -0.125, -3.0, -0.0001], [-0.1, -0.125]]
TRAINER = [[-0.2, -1.0, -0.5, -1.0], [-0.2, -1.0, -0.75], [-0.2, -0.25, -2.0, -0.0001], [-0.2, -0.25]]
TOKENS = [[1, 2, 3, 4], [1, 2, 5], [1, 6, 7, 8], [1, 6]]
REWARDS = [1.0, 0.5, 0.0, 0.25]
MASKS = [[1, 1, 0, 1], [1, 1, 1], [1, 0, 0, 1], [1, 0]]
ROWS = [
    {
        "uid": f"g{g}", "step": g, "response_ids": TOKENS[s], "response_mask": MASKS[s], "reward": REWARDS[s],
        "logprobs": SAMPLER[s], "trainer_logprobs": TRAINER[s], "reward/right": float(s == 0),
        "reward/short": 0.1 * (s + g),
    }
    for g in range(3)
    for s in range(4)
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("values")
    return read_folder(folder_of(log_of(out / "log.jsonl", ROWS), out / "log.prm"))


def test_each_completion_has_its_own_values_in_tree_order(folder):
    made = list(trees(folder, groups_with_text(folder).order))
    assert len(made) == 3
    for tree in made:
        values = tree["tokens"]
        assert not values["left"] and values["lengths"] is None  # no text
        for row, sample in enumerate(tree["completions"]["sample"]):
            shown = [0 if abs(p) < 5e-4 else -p for p in SAMPLER[sample]]
            assert values["surprisal"][row] == pytest.approx(shown, rel=6e-3)
            gaps = [t - s for t, s in zip(TRAINER[sample], SAMPLER[sample], strict=True)]
            assert values["gap"][row] == pytest.approx(gaps, rel=6e-3, abs=1e-6)
            flags = [n % 2 == 0 for n, run in enumerate(tree["masks"][row]) for _ in range(run)]
            assert flags == [bool(one) for one in MASKS[sample]]


def test_local_advantage_is_the_step_less_the_one_before(folder):
    for tree in trees(folder, groups_with_text(folder).order):
        steps = tree["steps"]
        for parent, advantage, local in zip(steps["parent"], steps["advantage"], steps["local"], strict=True):
            if parent < 0:
                assert local is None
            else:
                assert local == pytest.approx(advantage - steps["advantage"][parent], abs=1e-5)


def test_scales_end_where_nearly_all_values_lie(folder):
    found = scales(folder)
    sizes = sorted(-p for row in SAMPLER for p in row)
    assert found["surprisal"]["most"] == max(sizes) and found["surprisal"]["limit"] == max(sizes)
    assert found["gap"]["most"] == pytest.approx(1.0)
    steps = folder.process_steps.collect().filter(tokens=0).height
    assert steps > 0  # a step out of the loss is not in the scale
    inside = folder.process_steps.collect().sql("select advantage, local_advantage from self where tokens > 0")
    assert found["credit"]["most"] == pytest.approx(inside["advantage"].abs().max(), rel=5e-3)
    assert found["local"]["most"] == pytest.approx(inside["local_advantage"].abs().max(), rel=5e-3)


def test_cells_of_length_and_reward_hold_every_completion_once(folder):
    found = reward_by_length(folder)
    rows = [(sum(MASKS[s]), ROWS[s]["reward"]) for _ in range(3) for s in range(4)]
    assert found["completions"] == len(rows) == sum(count for *_, count in found["counts"])
    cells = {}
    for length, reward in rows:
        place = []
        for axis, value in ((found["length"], length), (found["reward"], reward)):
            assert axis["low"] < value < axis["high"]
            place.append(math.floor((value - axis["low"]) / (axis["high"] - axis["low"]) * axis["cells"]))
        cells[tuple(place)] = cells.get(tuple(place), 0) + 1
    assert {(a, b): count for a, b, count in found["counts"]} == cells
    assert found["reward"]["values"] == [0, 0.25, 0.5, 1]
    xs, ys = zip(*rows, strict=True)
    assert found["correlation"] == pytest.approx(np.corrcoef(xs, ys)[0, 1], abs=6e-4)


def test_parts_of_the_reward_by_group_and_by_step(folder):
    found = reward_parts(folder)
    assert [part["name"] for part in found["parts"]] == ["right", "short"]
    right, short = found["parts"]
    assert right["means"] == [0.25] * 3 and short["means"] == pytest.approx([0.15, 0.25, 0.35])
    assert short["chart"]["series"][0]["step"] == [0, 1, 2]
    assert short["chart"]["series"][0]["mean"] == pytest.approx([0.15, 0.25, 0.35])


@given(st.lists(st.booleans(), max_size=20))
def test_runs_of_a_mask_add_up_to_it(mask):
    runs = _runs(pl.Series(mask, dtype=pl.Boolean))
    assert [n % 2 == 0 for n, run in enumerate(runs) for _ in range(run)] == mask
    assert all(run > 0 for run in runs[1:])


def test_borders_of_pieces_are_in_units_of_the_browser(tmp_path):
    """A character beyond the first plane is two units to a browser; the texts cut there are the pieces."""
    texts = ["😀 yes, 中文 ok", "😀 yes. no"]
    rows = [{"uid": "g", "completion": text, "reward": float(n)} for n, text in enumerate(texts)]
    folder = read_folder(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    (tree,) = trees(folder, groups_with_text(folder).order)
    for text, lengths in zip(tree["texts"], tree["tokens"]["lengths"], strict=True):
        raw = text.encode("utf-16-le")
        assert 2 * sum(lengths) == len(raw)
        ends = np.cumsum([0, *lengths]) * 2
        pieces = [raw[a:b].decode("utf-16-le") for a, b in pairwise(ends)]
        assert "".join(pieces) == text and all(re.fullmatch(r"\s*\S+|\s+", piece) for piece in pieces)
    assert json.dumps(tree["tokens"]["lengths"])
