"""`examples/train_prm.py` in miniature: it trains, it ranks, and its counts are those of the definition."""

import importlib.util
import re
import runpy
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path

import polars as pl
import pytest

from grpo_prm.logs.rollouts import load, save

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="training needs transformers")


@pytest.mark.slow
def test_it_trains_and_ranks(tmp_path, monkeypatch, capsys):
    log = load(EXAMPLES / "chain.jsonl").filter(pl.col("group") < 24)
    save(log, tmp_path / "few.jsonl")
    command = [sys.executable, str(EXAMPLES / "train_prm.py"), "--log", "few.jsonl", "--folds", "2", "--epochs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", command[1:])
    runpy.run_path(command[1], run_name="__main__")
    assert capsys.readouterr().out == done.stdout  # one seed, one answer
    assert int(done.stdout.split()[0]) == pairs_of(log)
    shares = re.findall(r"^(\w+) +(0\.\d+) \[(0\.\d+), ([01]\.\d+)\]", done.stdout, re.MULTILINE)
    assert [name for name, *_ in shares] == ["model", "length", "checker"]
    assert all(float(low) <= float(share) <= float(high) for _, share, low, high in shares)
    assert float(shares[2][1]) > 0.6  # who can do the task ranks better than chance
    assert [p.name for p in tmp_path.iterdir()] == ["few.jsonl"]


def pairs_of(log):
    """Sibling steps of two members or more with different mean reward, by comparing prefixes."""
    number = 0
    for (_,), rows in log.group_by("group"):
        tokens, rewards = rows["tokens"].to_list(), rows["reward"].to_list()
        steps = {}
        for mine in tokens:
            sets = [frozenset(j for j, t in enumerate(tokens) if t[: n + 1] == mine[: n + 1]) for n in range(len(mine))]
            path = [frozenset(range(len(tokens))), *sets]  # the root may be empty
            steps |= {inner: above for above, inner in pairwise(path) if inner != above and len(inner) > 1}
        means = {members: sum(rewards[j] for j in members) / len(members) for members in steps}
        number += sum(steps[a] == steps[b] and abs(means[a] - means[b]) > 1e-9 for a, b in combinations(steps, 2))
    return number
