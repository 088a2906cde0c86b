"""What fuzzing found, each as the smallest log that showed it."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import ReadOptions, collect

DEEP = "[" * 3000


def rows(n=4, **more):
    """Rows of two groups, which are read without a note."""
    return [
        {"prompt": f"q{i // 2}", "completion": f"answer {i}", "reward": float(i % 2), "step": 1, **more}
        for i in range(n)
    ]


def written(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, values)))
    return path


def all_counted(log):
    assert log.counts["rows_read"] == len(log.table) + len(log.rejected)
    return log


def torch_file(path, data):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("name/data.pkl", data)
    return path


def refusal(path, options=None):
    with pytest.raises(GrpoPrmError) as caught:
        collect(path, options)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def test_settings_beside_a_log_that_are_nested_without_end(tmp_path):
    """json raises RecursionError, which is no ValueError."""
    row = {
        "example_id": 0,
        "prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}],
        "reward": 0.0,
        "task": "t",
    }
    written(tmp_path / "results.jsonl", [row, {**row, "reward": 1.0}])
    for settings in (DEEP, '{"num_examples": 1e999, "rollouts_per_example": 2}'):
        (tmp_path / "metadata.json").write_text(settings)
        assert len(all_counted(collect(tmp_path)).table) == 2


def test_texts_that_begin_like_a_chat_and_nest_without_end(tmp_path):
    deep = '[{"role"' + DEEP
    path = written(tmp_path / "a.jsonl", [{**row, "prompt": deep, "completion": deep} for row in rows()])
    assert all_counted(collect(path)).table["completion"].to_list() == [deep] * 4
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion,reward\n" + f"q,{DEEP},1\nq,a,0\n")
    assert len(all_counted(collect(path)).table) == 2


def test_a_prompt_that_is_switched_off(tmp_path):
    """A format that groups by the prompt as well read it from rows that had none."""
    row = {"task_id": 1, "prompt": "q", "completion": "a", "reward": 1.0, "seqlen": 3, "prompt_len": 1}
    row |= {"head_version": 1, "tail_version": 1}
    path = written(tmp_path / "0.jsonl", [row, {**row, "reward": 0.0}])
    assert len(all_counted(collect(path, ReadOptions(columns={"prompt": "-"}))).table) == 2


class Calls:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("many", ["list", "dict", "bytes", "array"])
def test_a_pickle_that_copies_what_it_holds(tmp_path, many):
    """Each call made a copy of a long value that stands in the pickle once: 5 MB became 100 GB."""
    values, text = [0] * 2000, "a" * 2000
    if many == "array":
        array = np.zeros(2000, np.int8)
        dtype, data = np.dtype("i1"), array.tobytes()
        reconstruct, arguments, _ = array.__reduce__()
        copies = [Calls(reconstruct, arguments, (1, (2000,), dtype, False, data)) for _ in range(1000)]
    else:
        import codecs

        call = {
            "list": (list, (values,)),
            "dict": (OrderedDict, (dict.fromkeys(range(2000)),)),
            "bytes": (codecs.encode, (text, "latin1")),
        }[many]
        copies = [Calls(*call) for _ in range(1000)]
    assert "more values than it has bytes" in refusal(torch_file(tmp_path / "a.pt", pickle.dumps(copies, protocol=2)))


def test_an_empty_array_of_numpy(tmp_path):
    """Protocol 2 writes its bytes as a call of `bytes`, which was refused."""
    values = [{**row, "extra": np.zeros(0, np.int64)} for row in rows()]
    log = all_counted(collect(torch_file(tmp_path / "a.pt", pickle.dumps(values, protocol=2))))
    assert log.counts["rows_read"] == 4


def test_an_array_of_lists_without_values(tmp_path):
    """An array of shape (2^40, 0) has no value, and as lists 2^40 of them."""
    array = np.zeros(0, np.int8)
    reconstruct, arguments, _ = array.__reduce__()
    call = Calls(reconstruct, arguments, (1, (1 << 40, 0), np.dtype("i1"), False, b""))
    data = pickle.dumps([call], protocol=2)
    assert "more values than it has bytes" in refusal(torch_file(tmp_path / "a.pt", data))
