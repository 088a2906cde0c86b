"""Files of torch.save: what is read without torch, and that nothing else is: no code runs, no memory is asked for."""

import datetime
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest
from logs.containers.records_of import records_of, values_of

from grpo_prm.errors import InputError
from grpo_prm.logs.containers import plain_pickle, torch_zip
from grpo_prm.logs.containers.pickle_ops import memo_fits
from grpo_prm.logs.refusals import refusal_of_bytes


def zipped(path, data, storages=(), order="little"):
    """A zip as torch writes it, around any pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("name/data.pkl", data)
        archive.writestr("name/byteorder", order)
        for key, values in enumerate(storages):
            archive.writestr(f"name/data/{key}", values)
    return path


def plain(path, value, protocol=2):
    return zipped(path, pickle.dumps(value, protocol=protocol))


def saved(path, value):
    torch = pytest.importorskip("torch")
    torch.save(value, path)
    return path


def test_plain_values_of_torch_itself(tmp_path):
    value = {
        "rollout_id": 3,
        "samples": [{"tokens": [1, 2], "r": 0.5, "t": None, "ok": True, "s": "ä", "d": OrderedDict(a=1)}],
    }
    assert values_of(saved(tmp_path / "3.pt", value), "torch_zip") == [value]
    assert values_of(saved(tmp_path / "4.pt", value["samples"]), "torch_zip") == value["samples"]


def test_tensors_become_lists(tmp_path):
    torch = pytest.importorskip("torch")
    whole = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    kinds = (
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
    )
    value = {
        "turned": whole.T,
        "part": whole[1:, 2:],
        "none": torch.zeros(0),
        "number": torch.tensor(2.5),
        "flags": torch.tensor([True, False]),
        "halves": torch.tensor([0.1, -3.0], dtype=torch.bfloat16),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "size": whole.shape,
        **{str(kind): torch.tensor([1, 2, 3], dtype=kind) for kind in kinds},
    }
    (read,) = values_of(saved(tmp_path / "a.pt", value), "torch_zip")
    assert read == {name: v.tolist() if isinstance(v, torch.Tensor) else list(v) for name, v in value.items()}


@pytest.mark.parametrize("protocol", [2, 4])
def test_numbers_of_numpy_and_dates(tmp_path, protocol):
    value = {
        "scalars": [np.float64(0.1), np.int32(-5), np.bool_(True), np.float32(0.5)],
        "array": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "when": datetime.datetime(2026, 11, 1, 12, 30),
        "set": {1},
    }
    (read,) = values_of(plain(tmp_path / "a.pt", value, protocol), "torch_zip")
    assert read["scalars"] == [0.1, -5, True, 0.5] and [type(v) for v in read["scalars"]] == [float, int, bool, float]
    assert read["array"] == read["fortran"] == [[0, 1, 2], [3, 4, 5]]
    assert read["big"] == [0, 1, 2] and read["when"] == "2026-11-01T12:30:00" and list(read["set"]) == [1]


def test_the_byte_order_of_the_file_is_heeded(tmp_path):
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save(torch.tensor([1.0, 2.0]), buffer)
    data = zipfile.ZipFile(buffer).read("archive/data.pkl")
    path = zipped(tmp_path / "a.pt", data, [np.array([1, 2], ">f4").tobytes()], "big")
    assert values_of(path, "torch_zip") == [1.0, 2.0]


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


TOUCH = "__import__('pathlib').Path({!r}).touch()"
EXPLOITS = [(os.system, "touch {}"), (eval, TOUCH), (exec, TOUCH), (subprocess.call, ["touch", "{}"])]


@pytest.mark.parametrize(("function", "argument"), EXPLOITS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_an_exploit_does_not_run(tmp_path, function, argument, protocol):
    mark = tmp_path / "ran"
    argument = [a.format(mark) for a in argument] if isinstance(argument, list) else argument.format(str(mark))
    data = pickle.dumps({"samples": [Calls(function, argument)]}, protocol=protocol)
    with pytest.raises(InputError, match=rf"it holds \w+\.{function.__name__}, which is not read"):
        values_of(zipped(tmp_path / "a.pt", data), "torch_zip")
    assert not mark.exists()
    pickle.loads(data)  # noqa: S301 - the exploit would have worked
    assert mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"c__builtin__\ngetattr\n(c__builtin__\nlist\nS'append'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x0cgetattr\x93.",
        b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
        b"\x80\x02cnumpy.core.multiarray\nscalar.__globals__\n.",
        b"\x80\x02cgrpo_prm.logs.containers.plain_pickle\nUnpickler\n.",
        b"\x80\x02\x82\x01.",  # a code of the extension registry
        b"\x80\x02cbuiltins\nbytearray\n.",
    ],
)
def test_names_that_are_not_on_the_list(tmp_path, data):
    with pytest.raises(InputError, match=r"a file of torch.save, but"):
        values_of(zipped(tmp_path / "a.pt", data), "torch_zip")


def test_attributes_that_a_pickle_sets_do_not_outlive_it(tmp_path):
    # BUILD with a state of slots on the class that stands for numpy's dtype.
    evil = b"\x80\x02cnumpy\ndtype\nN}X\x0c\x00\x00\x00__setstate__cbuiltins\nlist\ns\x86b."
    with pytest.raises((InputError, AssertionError)):
        assert values_of(zipped(tmp_path / "a.pt", evil), "torch_zip") == []
    assert values_of(plain(tmp_path / "b.pt", [np.float64(1.5)]), "torch_zip") == [1.5]


@pytest.mark.parametrize(
    ("length", "offset", "size", "stride"),
    [
        (4, 0, (10**12,), (0,)),  # one number, expanded to a terabyte
        (4, 0, (10**6, 10**6), (0, 0)),
        (4, 1, (4,), (1,)),
        (4, 0, (2, 2), (4, 1)),
        (4, -1, (2,), (1,)),
        (4, 0, (2,), (-1,)),
        (4, 0, (2,), (1, 1)),
        (5, 0, (5,), (1,)),  # the storage is smaller than it says
        (1 << 40, 0, (1,), (1,)),
    ],
)
def test_tensors_that_declare_more_than_the_file_holds(tmp_path, length, offset, size, stride):
    def number(n):
        return b"J" + n.to_bytes(4, "little", signed=True) if abs(n) < 2**31 else b"\x8a\x08" + n.to_bytes(8, "little")

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + number(length)
        + b"tQ"
    )
    arguments = b"(" + storage + number(offset) + numbers(size) + numbers(stride) + b"\x89Nt"
    data = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R."
    whole = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + (
        b"(" + storage.replace(number(length), number(4)) + number(1) + numbers((3,)) + numbers((1,)) + b"\x89NtR."
    )
    floats = np.arange(4, dtype="<f4").tobytes()
    assert values_of(zipped(tmp_path / "a.pt", whole, [floats]), "torch_zip") == [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match=r"a file of torch.save, but (it holds a tensor|its tensors|its part)"):
        values_of(zipped(tmp_path / "a.pt", data, [floats]), "torch_zip")


def test_lists_that_are_pointed_at_many_times(tmp_path):
    value = [0] * 10
    for _ in range(12):
        value = [value] * 10
    with pytest.raises(InputError, match=r"it holds too many values"):
        values_of(plain(tmp_path / "a.pt", value), "torch_zip")
    value = []
    value.append(value)
    with pytest.raises(InputError, match=r"holds itself"):
        values_of(plain(tmp_path / "a.pt", value), "torch_zip")


def test_a_class_of_another_library_is_named(tmp_path):
    class Pickler(pickle.Pickler):
        def reducer_override(self, one):
            return (datetime.date, (2026, 1, 1)) if isinstance(one, datetime.date) else NotImplemented

    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({"status": datetime.date(2026, 1, 1)})
    with pytest.raises(InputError, match=r"it holds datetime\.date, which is not read, as unpickling it may run code"):
        values_of(zipped(tmp_path / "a.pt", buffer.getvalue()), "torch_zip")


def test_other_pickles_are_refused_unread(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Calls(os.system, f"touch {mark}")))
    with pytest.raises(InputError, match=r"a pickle, which is not read, as it may run code. Save it with torch.save"):
        values_of(tmp_path / "a.pkl", "torch_zip")
    torch = pytest.importorskip("torch")
    torch.save({"a": 1}, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"a pickle, which is not read"):
        values_of(tmp_path / "b.pt", "torch_zip")
    assert not mark.exists()


@pytest.mark.parametrize("ask", [b"r\xff\xff\xff\x7f", b"p4000000000\n", b"r\x00\x01\x00\x00"])
def test_a_memo_that_is_larger_than_the_pickle_is_refused_unread(tmp_path, ask):
    data = b"\x80\x02X\x01\x00\x00\x00a" + ask + b"."
    with pytest.raises(InputError, match="its pickle is damaged, or asks for more memory than it needs"):
        values_of(zipped(tmp_path / "a.pt", data), "torch_zip")
    # The same bytes inside a text ask for nothing.
    assert values_of(plain(tmp_path / "b.pt", [data.decode("latin1"), data]), "torch_zip")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_opcodes_of_any_pickle_are_known(protocol):
    shared = [
        1.5,
        -3,
        1 << 40,
        1 << 3000,
        "ä" * 300,
        b"b" * 300,
        None,
        True,
        (1, 2, 3, 4),
        {"a": {1, 2}},
        Fraction(1, 3),
    ]
    assert memo_fits(pickle.dumps([shared, shared, list(map(str, range(1000)))], protocol))


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
def test_a_pickle_that_is_cut_short(tmp_path, cut):
    data = pickle.dumps({"samples": [{"tokens": list(range(300)), "text": "a" * 100}]}, protocol=2)
    with pytest.raises(InputError, match=r"a file of torch.save, but"):
        values_of(zipped(tmp_path / "a.pt", data[: int(len(data) * cut)]), "torch_zip")


def test_torch_is_not_imported(tmp_path):
    path = plain(tmp_path / "a.pt", {"samples": [1]})
    code = (
        "import sys; from pathlib import Path; from grpo_prm.logs.sources import Source;"
        "from grpo_prm.logs.containers import torch_zip;"
        f"p = Path({str(path)!r}); print([r.value for s in torch_zip.CONTAINER.open(Source(p, 'a', 'r', 1), 1)"
        " for r in s.records], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[{'samples': [1]}] False"


def test_limits_are_heeded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_zip, "LIMIT", 100)
    with pytest.raises(InputError, match=r"its values take more than"):
        values_of(plain(tmp_path / "a.pt", ["a" * 200]), "torch_zip")
    monkeypatch.undo()
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(plain_pickle, "VALUES", 100)
    with pytest.raises(InputError, match=r"its tensors hold more than 100 values, as those of a checkpoint do"):
        values_of(saved(tmp_path / "b.pt", torch.zeros(101)), "torch_zip")
    assert len(records_of(saved(tmp_path / "b.pt", torch.zeros(100)), "torch_zip")) == 100


def test_rollouts_with_tensors_are_no_weights(tmp_path):
    torch = pytest.importorskip("torch")
    text = "layer.weight and param_groups"
    sample = {"train_metadata": None, "response": text, "tokens": torch.tensor([1, 2]), "metadata": {}}
    torch.save({"samples": [sample]}, tmp_path / "1.pt")
    assert refusal_of_bytes((tmp_path / "1.pt").read_bytes(), "1.pt") is None
    torch.save({"layer.weight": torch.ones(2)}, tmp_path / "2.pt")
    assert "weights of a model" in refusal_of_bytes((tmp_path / "2.pt").read_bytes(), "2.pt")
