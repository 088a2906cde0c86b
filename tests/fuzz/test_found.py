"""What fuzzing found, each as the smallest log that showed it."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import polars as pl
import pytest

from grpo_prm.errors import GrpoPrmError, InputError
from grpo_prm.logs import ReadOptions, collect, inspect

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


def read_or_refused(path, options=None):
    """The log, None where it is refused with a message that ends."""
    try:
        inspect(path, options)
        log = all_counted(collect(path, options))
    except GrpoPrmError as error:
        if len(str(error)) > 2000:
            raise ValueError("a message without end") from error
        return None
    return log


def test_settings_beside_a_log_that_are_nested_without_end(tmp_path):
    """json raises RecursionError, which is no ValueError."""
    row = {
        "id": 0,
        "prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}],
        "reward": 0.0,
        "task": "t",
    }
    written(tmp_path / "results.jsonl", [{**row, "id": i, "reward": float(i)} for i in range(2)])
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


HUGE = [1e300, -1e300]


@pytest.mark.parametrize("written_as", ["jsonl", "parquet", "csv", "array"])
def test_rewards_whose_squares_are_infinite(tmp_path, written_as):
    """The deviation of a group overflowed, and its advantages were 0."""
    values = [{**row, "reward": reward} for row, reward in zip(rows(6), [0.0, 1.0, *HUGE, 0.0, 1.0], strict=True)]
    path = tmp_path / f"a.{written_as.replace('array', 'json')}"
    if written_as == "jsonl":
        written(path, values)
    elif written_as == "array":
        path.write_text(json.dumps(values))
    else:
        table = pl.DataFrame(values)
        table.write_parquet(path) if written_as == "parquet" else table.write_csv(path)
    log = all_counted(collect(path))
    assert log.table["reward"].to_list() == [0, 1, 0, 1]
    assert log.rejected["reason"].to_list() == [f"too large a number to compute with ({h:.3g})" for h in HUGE]


def test_a_sum_of_rewards_whose_square_is_infinite(tmp_path):
    values = [{**row, "bonus": 10.0 if i < 2 else 0.0} for i, row in enumerate(rows())]
    path = written(tmp_path / "a.jsonl", values)
    log = all_counted(collect(path, ReadOptions(reward="reward+1e200*bonus")))
    assert log.table["reward"].to_list() == [0, 1] and len(log.rejected) == 2


def test_advantages_and_parts_whose_squares_are_infinite(tmp_path):
    values = [{**row, "advantage": a, "reward_form": a} for row, a in zip(rows(), [1.0, -1.0, *HUGE], strict=True)]
    log = all_counted(collect(written(tmp_path / "a.jsonl", values)))
    assert log.table["advantage"].to_list() == [1, -1, None, None] and len(log.table) == 4


@pytest.mark.filterwarnings("error")
def test_rewards_of_trl_whose_squares_are_infinite(tmp_path):
    table = pl.DataFrame(rows()).rename({"reward": "f"}).with_columns(advantage=pl.Series([-1.0, 1.0, -1.0, 1.0]))
    table.with_columns(f=pl.Series([0.0, 1.0, *HUGE])).write_parquet(tmp_path / "completions_00001.parquet")
    log = all_counted(collect(tmp_path))
    assert log.table["reward"].null_count() == 4 and any("Rewards are null" in note for note in log.notes)


def test_turns_of_verl_without_their_prompts(tmp_path):
    values = [
        {
            "input": "q",
            "output": f"a{i}{turn}",
            "gts": None,
            "score": float(i),
            "step": 1,
            "uid": f"89214f37_{i}_{turn}",
        }
        for i in range(2)
        for turn in range(2)
    ]
    path = written(tmp_path / "1.jsonl", values)
    log = collect(path, ReadOptions(columns={"prompt": "-"}))
    assert log.table["completion"].to_list() == collect(path).table["completion"].to_list()
    assert "prompt" not in log.table.columns or log.table["prompt"].null_count() == 2


def test_lists_in_a_prompt_of_ids(tmp_path):
    """Atropos counted prompts by a tuple of what the ids are."""
    group = {"tokens": [[[1], 5], [[1], 6]], "masks": [[-100, 5], [-100, 6]], "scores": [0.0, 1.0]}
    group |= {"advantages": None, "ref_logprobs": None, "messages": None, "group_overrides": {}, "overrides": None}
    with pytest.raises(InputError, match="tokens: expected whole numbers, got a list; none of the 4 rows"):
        collect(written(tmp_path / "groups.jsonl", [group] * 2))
    right = group | {"tokens": [[1, 5], [1, 6]]}
    assert all_counted(collect(written(tmp_path / "mixed.jsonl", [group, right]))).counts["rows_read"] == 4


def test_thousands_of_rewards_are_looked_at_once(tmp_path, monkeypatch):
    """The columns that tell groups apart were sought again for every column that may be the reward."""
    from grpo_prm.logs.columns import evidence

    calls = []
    sought = evidence._trusted_keys
    monkeypatch.setattr(evidence, "_trusted_keys", lambda *given: calls.append(1) or sought(*given))
    values = [
        {"prompt": "q", "completion": f"a{i}"} | {f"reward_{n}": (i * n) % 7 for n in range(50)} for i in range(8)
    ]
    assert "--columns reward=NAME" in refusal(written(tmp_path / "a.jsonl", values))
    assert 1 <= len(calls) < 5


LEVELS = 1000  # that the JSON parser reads; Python's stack holds not many more


@pytest.mark.parametrize("field", ["prompt", "group", "completion", "info"])
@pytest.mark.parametrize("opens", ["[", '{"a":', '{"role":"user","content":'])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_values_that_nest_deeply(tmp_path, field, opens, kind):
    """Whoever walked through them ended with RecursionError."""
    deep = opens * LEVELS + "1" + ("]" if opens == "[" else "}") * LEVELS
    path = tmp_path / f"a.{kind}"
    for number in (4, 2):  # of rows that nest; the others are read
        lines = [json.dumps({**row, field: "DEEP"} if i < number else row) for i, row in enumerate(rows(2 + number))]
        text = "\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]"
        path.write_text(text.replace('"DEEP"', deep))
        log = read_or_refused(path)
        assert number == 4 or len(log.table) >= 2


@pytest.mark.parametrize("name", ["x" * 300, "\ud800", "a\x00b", "a\nb"])
def test_shards_whose_names_no_file_has(tmp_path, name):
    """Asking for such a file is an OSError, and half of a surrogate pair cannot be printed."""
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    (tmp_path / "dataset_info.json").write_text("{}")
    assert "does not list the files" in refusal(tmp_path).encode().decode()


def test_a_trace_that_nests_without_end(tmp_path):
    """msgspec raises RecursionError, which is no error of its own."""
    said = [
        {"message": {"role": role, "content": "q"}, "sampled": sampled, "token_ids": [7], "mask": [sampled]}
        for role, sampled in (("user", False), ("assistant", True))
    ]
    said[1]["parent"] = 0
    episodes = [
        {
            "id": f"e{i}",
            "task": {"key": "p"},
            "group": {"id": "g"},
            "traces": [{"id": f"t{i}", "nodes": said, "rewards": {"r": float(i)}}],
        }
        for i in range(2)
    ]
    path = written(tmp_path / "traces.jsonl", episodes)
    path.write_text(path.read_text() + '\n{"id": "e2", "errors":' + "[" * 100_000)
    assert len(read_or_refused(tmp_path).rejected) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(10**30000, "an integer of", id="int"),
        ({(1, 2): 3}, "a key that is a tuple"),
        ({b"a": 1}, "a key that is a bytes"),
    ],
)
def test_a_pickle_of_what_no_json_holds(tmp_path, value, said):
    values = [{**row, "extra": value} for row in rows()]
    assert said in refusal(torch_file(tmp_path / "a.pt", pickle.dumps(values, protocol=4)))


def test_a_pickle_of_tuples_sets_and_keys_that_are_numbers(tmp_path):
    values = [
        {"group": i // 2, "completion_ids": (1, 2 + i), "reward": float(i % 2), 3: {None: {1}}, "e": bytearray(b"a")}
        for i in range(4)
    ]
    log = all_counted(collect(torch_file(tmp_path / "a.pt", pickle.dumps(values, protocol=5))))
    assert log.table["tokens"].to_list() == [[1, 2], [1, 3], [1, 4], [1, 5]]


def test_ids_with_a_list_among_them(tmp_path):
    """The pad was counted over ids that are no numbers."""
    values = [{"group": i // 2, "completion_ids": [5, 6 + i, 7, 0, 0, 0], "reward": i % 2} for i in range(8)]
    values[3]["completion_ids"] = [5, 6, [7], 0, 0, 0]
    log = all_counted(collect(written(tmp_path / "a.jsonl", values)))
    assert len(log.rejected) == 1 and len(log.table) == 7


@pytest.mark.parametrize("field", ["step", "prompt_idx"])
def test_a_key_of_open_instruct_that_is_a_list(tmp_path, field):
    """It was looked up in a dict as it stands."""
    row = {"step": 1, "prompt_tokens": [1], "response_tokens": [2, 3], "request_info": {}}
    values = [{**row, "prompt_idx": i // 2, "reward": float(i % 2), "response_tokens": [2, i]} for i in range(6)]
    values[5][field] = [1, 1]
    path = written(tmp_path / "run_rollouts_000000.jsonl", values)
    log = all_counted(collect(path))
    assert log.format == "open-instruct" and len(log.rejected) == 1 and len(log.table) == 5


def test_a_column_that_is_called_by_a_whole_row(tmp_path):
    """The message that lists the columns had no end."""
    path = written(tmp_path / "a.jsonl", [{"reward": 1.0, "completion": "a", "[" * 3000: 1}])
    said = refusal(path, ReadOptions(keep=("x",)))
    assert "there is no column x; there are reward, completion, [[[" in said and len(said) < 400


def test_ids_with_a_fraction_and_a_number_beyond_all_among_them(tmp_path):
    """The number was written as a float, which it cannot be."""
    values = [{"group": i // 2, "completion_ids": [5, 6 + i], "reward": i % 2} for i in range(6)]
    values[3]["completion_ids"] = [5, 5e-324, 10**400]
    log = all_counted(collect(written(tmp_path / "a.jsonl", values)))
    assert len(log.rejected) == 1 and "expected whole numbers" in log.rejected["reason"][0] and len(log.table) == 5
