"""A log whose rows name step, key and sample says the same in any order, cut into any batches and files."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm import ReadOptions, analyze
from grpo_prm.logs import chunks
from grpo_prm.logs.grouping import steps


def a_log(seed, *, text=False, uneven=False, masked=False):
    """Some runs and steps, few prompts in some of them; rewards of thirds, whose sums round; with log-probabilities.

    With `masked` the id 2 is what the completions read, so that runs of it are observations.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for run in ("b", "a"):
        for step in range(12):
            for prompt in rng.permutation(12)[: rng.integers(2, 9)].tolist():
                k = 3 if uneven and prompt == 3 else 4
                for sample in range(k):
                    ids = rng.integers(0, 3, rng.integers(1, 7)).tolist()
                    row = {"run": run, "step": step, "group_id": f"g{prompt}", "sample": sample}
                    row |= {"prompt": f"what is {prompt}?", "reward": float(rng.integers(0, 4)) / 3}
                    if text:
                        row["completion"] = " ".join(["one", "two", "three"][n] for n in ids)
                    else:
                        row |= {"tokens": ids, "logprobs": (-rng.random(len(ids))).tolist()}
                        row |= {"trainer_logprobs": (-rng.random(len(ids))).tolist()}
                    if masked:
                        row["mask"] = [n != 2 for n in ids]
                    rows.append(row)
    return rows


def without_run(rows):
    """One of the runs, as a log that does not name it."""
    return [{name: value for name, value in row.items() if name != "run"} for row in rows if row["run"] == "a"]


def summary_of(folder, files):
    """summary.json of a log in some files, without their names."""
    folder.mkdir()
    for number, rows in enumerate(files):
        (folder / f"part{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = analyze(folder, reading=ReadOptions(run="log")).summary
    del summary["source"]["files"]
    return json.dumps(summary)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_order_batches_and_files_change_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("order")
    rows = a_log(data.draw(st.integers(0, 9)), text=data.draw(st.booleans()), uneven=data.draw(st.booleans()))
    rows = rows if data.draw(st.booleans()) else without_run(rows)
    wanted = summary_of(folder / "sorted", [rows])
    shuffled = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(len(rows)).tolist()
    order = data.draw(st.sampled_from([shuffled, list(range(len(rows)))[::-1], list(range(len(rows)))]))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(rows) - 1), max_size=3))), len(rows)]
    files = [[rows[n] for n in order[begin:end]] for begin, end in itertools.pairwise(cuts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", size := data.draw(st.sampled_from([500, 20_000, 1 << 20])))
        patch.setattr(chunks, "TEXT", size)
        patch.setattr(steps, "CHUNK", data.draw(st.sampled_from([2_000, 1 << 20])))
        patch.setattr(steps, "RANGE", data.draw(st.sampled_from([1, 10_000, 1 << 20])))
        assert summary_of(folder / "other", files) == wanted
