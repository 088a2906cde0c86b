"""The commonest group size, and that every command means the same by it."""

import json
from collections import Counter

import numpy as np
import pytest
from grpo_prm_cli.main import app
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from grpo_prm.core.group_size import modal_size


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([1, 1, 1], 0),
        ([3], 3),
        ([2, 4, 4], 4),
        ([8, 8, 7, 1, 1, 1], 8),  # groups of one never decide
        ([7, 8], 8),  # a group that lost a row
        ([8, 16], 8),  # a prompt that came up twice
        ([4, 6], 6),
        ([8, 2, 8, 2, 5], 2),
        ([2, 3, 6], 2),
        ([3, 4, 6], 3),
    ],
)
def test_the_commonest_size(sizes, expected):
    assert modal_size(sizes) == modal_size(Counter(sizes)) == modal_size(np.array(sizes, int)) == expected
    assert type(modal_size(np.array(sizes, int))) is int


@given(st.lists(st.integers(1, 12)))
def test_the_commonest_size_by_its_definition(sizes):
    several = [size for size in sizes if size > 1]
    tied = [size for size in set(several) if several.count(size) == max(map(several.count, several))]
    dividing = [size for size in tied if max(tied) % size == 0]
    assert modal_size(sizes) == min(dividing, default=0)
    assert modal_size(sizes[::-1]) == modal_size(sizes)


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "expected"), [([4, 6, 4, 6, 1, 1, 1], 6), ([3, 6, 6, 3], 3)])
def test_inspect_and_the_summary_name_one_group_size(tmp_path, sizes, expected):
    log = tmp_path / "log.jsonl"
    rows = [{"uid": g, "tokens": [n % 2, g, n], "reward": n % 2} for g, k in enumerate(sizes) for n in range(k)]
    log.write_text("\n".join(map(json.dumps, rows)))
    seen, summary = (
        json.loads(CliRunner().invoke(app, [command, str(log), "--json", *more]).stdout)
        for command, *more in (["inspect"], ["analyze", "--no-figures", "--out", str(tmp_path / "log.prm")])
    )
    assert seen["group_size"] == summary["counts"]["group_size"]["mode"] == expected
    assert seen["group_sizes"] == {str(k): n for k, n in sorted(Counter(sizes).items())}
