"""inspect_ai's zip: packed members of both methods, a run that was stopped, damage."""

import io
import json
import struct
import zipfile
import zlib

import pytest
import zstandard
from logs.containers.records_of import records_of, values_of

from grpo_prm.errors import InputError
from grpo_prm.logs.containers import eval_zip
from grpo_prm.logs.rows.values import Bad

HEADER = {"version": 2, "status": "success", "eval": {"task": "t"}, "results": {"much": "more"}}
SAMPLES = [{"id": n, "epoch": 1, "input": f"q{n}", "events": [1], "events_data": {}} for n in range(3)]


def members(header="header.json"):
    yield "_journal/start.json", {"version": 2, "eval": {"task": "t"}}
    for sample in SAMPLES:
        yield f"samples/{sample['id']}_epoch_1.json", sample
    yield "summaries.json", SAMPLES
    if header:
        yield header, HEADER


def deflated(path, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members(**options):
            archive.writestr(name, json.dumps(value))
    return path


def zstd(path, damage=lambda name, packed: packed, size=len):
    """A zip of method 93, made by hand."""
    out, central = io.BytesIO(), io.BytesIO()
    for name, value in members():
        data, place = json.dumps(value).encode(), out.tell()
        packed = damage(name, zstandard.compress(data))
        fields = struct.pack("<HHHHHLLLHH", 45, 0, 93, 0, 33, zlib.crc32(data), len(packed), size(data), len(name), 0)
        out.write(b"PK\x03\x04" + fields + name.encode() + packed)
        central.write(b"PK\x01\x02\x2d\0" + fields + struct.pack("<HHHLL", 0, 0, 0, 0, place) + name.encode())
    place = out.tell()
    count = len(list(members()))
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, len(central.getvalue()), place, 0)
    path.write_bytes(out.getvalue() + central.getvalue() + end)
    return path


@pytest.mark.parametrize("write", [deflated, zstd])
def test_samples_are_the_records_with_the_settings_of_their_log(tmp_path, write):
    wanted = [
        {"eval": {"task": "t"}, "status": "success", "id": n, "epoch": 1, "input": f"q{n}"} for n in range(len(SAMPLES))
    ]
    assert values_of(write(tmp_path / "a.eval"), "eval_zip") == wanted


def test_a_run_that_was_stopped_has_its_settings_in_the_journal(tmp_path):
    assert [s["eval"] for s in values_of(deflated(tmp_path / "a.eval", header=None), "eval_zip")] == [{"task": "t"}] * 3


def other_bytes(packed):
    """Another text of the same length, which only the checksum tells."""
    return zstandard.compress(zstandard.decompress(packed).replace(b"q1", b"q2"))


@pytest.mark.parametrize("damage", [lambda packed: packed[:-4] + bytes(4), other_bytes])
def test_damage_costs_one_sample(tmp_path, damage):
    def broken(name, packed):
        return damage(packed) if name.startswith("samples/1") else packed

    first, second, third = (record.value for record in records_of(zstd(tmp_path / "a.eval", broken), "eval_zip"))
    assert first["id"] == 0 and third["id"] == 2
    assert isinstance(second, Bad) and "samples/1_epoch_1.json cannot be unpacked" in second.reason


def test_a_sample_that_declares_too_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(eval_zip, "LIMIT", 1 << 20)
    path = zstd(tmp_path / "a.eval", size=lambda _: 1 << 30)
    assert all("is larger than 1 MB" in value.reason for value in values_of(path, "eval_zip"))


def test_a_sample_that_holds_more_than_it_declares(tmp_path):
    path = zstd(tmp_path / "a.eval", size=lambda _: 5)
    assert all("cannot be unpacked" in value.reason for value in values_of(path, "eval_zip"))


def test_a_zip_that_is_cut_short_is_refused(tmp_path):
    whole = deflated(tmp_path / "a.eval").read_bytes()
    (tmp_path / "a.eval").write_bytes(whole[:-30])
    with pytest.raises(InputError, match=r"not a zip that can be read .* Get the whole file"):
        values_of(tmp_path / "a.eval", "eval_zip")
