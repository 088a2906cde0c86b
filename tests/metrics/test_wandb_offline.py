"""Runs of W&B in offline mode, as its own library writes them, and their frames with every kind of damage."""

import struct
import sys
import zlib

import pytest

from grpo_prm.errors import InputError, UsageError
from grpo_prm.metrics.read import read_metrics
from grpo_prm.metrics.wandb_records import Damage, records


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One run with a step of its own, as verl logs; and two of one id as transformers logs, the second going on."""
    wandb = pytest.importorskip("wandb")
    root = tmp_path_factory.mktemp("wandb")

    def started(where, name):
        (root / where).mkdir(exist_ok=True)
        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        return wandb.init(project="p", id=name, mode="offline", dir=str(root / where), settings=quiet)

    with started("own", "one") as run:
        for step in range(5):
            run.log({"reward": step / 8, "actor": {"kl": step}, "text": "no number", "long": "x" * 40_000}, step=step)
    for first, last, sign in ((1, 5, 1), (3, 4, -1)):
        with started("trainer", "two") as run:
            run.define_metric("train/global_step")
            run.define_metric("*", step_metric="train/global_step", step_sync=True)
            for step in range(first, last + 1):
                run.log({"completions": "a table has a row of its own"})
                logged = {"train/reward": sign * step / 8, "eval/reward": 0.5, "train/epoch": step / 10}
                run.log(logged | {"train/global_step": step})
    return root


def values(found, name="reward"):
    return dict(found.table.filter(metric=name).select("step", "value").iter_rows())


@pytest.mark.slow
def test_the_history_of_an_offline_run(root):
    found = read_metrics(root / "own")
    assert (found.source, found.notes, found.names) == ("W&B", (), ["actor.kl", "reward"])
    assert values(found) == {step: step / 8 for step in range(5)}
    assert values(found, "actor.kl") == {step: step for step in range(5)}
    assert read_metrics(found.files[0]).table.equals(found.table)
    assert read_metrics(found.files[0].parent).table.equals(found.table)


@pytest.mark.slow
def test_the_step_is_the_one_that_the_run_defines_and_a_later_start_replaces(root):
    found = read_metrics(root / "trainer" / "wandb")
    assert found.names == ["epoch", "eval_reward", "reward"]
    assert values(found) == {1: 1 / 8, 2: 2 / 8, 3: -3 / 8, 4: -4 / 8}
    assert found.notes[:2] == ("Steps are those of train/global_step.", "2 starts of one run.")
    assert "Steps 3 to 5 were written more than once" in found.notes[2]


@pytest.mark.slow
def test_several_runs_are_refused_and_named(root, tmp_path):
    both = tmp_path / "wandb"
    both.mkdir()
    for path in (*(root / "own" / "wandb").glob("offline-*"), *(root / "trainer" / "wandb").glob("offline-*")):
        (both / path.name).symlink_to(path)
    with pytest.raises(UsageError, match=r"holds 2 runs of W&B \(one and two\)"):
        read_metrics(both)


@pytest.mark.slow
def test_a_cut_file_is_read_up_to_there(root, tmp_path):
    (path,) = (root / "own").rglob("*.wandb")
    cut = tmp_path / path.name
    cut.write_bytes(path.read_bytes()[:100_000])
    found = read_metrics(cut)
    assert 0 < len(values(found)) < 5 and "cut or damaged after byte" in found.notes[0]


@pytest.mark.slow
def test_without_the_package_a_sentence(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb.proto.wandb_internal_pb2", None)
    with pytest.raises(UsageError, match=r"needs wandb.*pip install wandb"):
        read_metrics(root / "own")


def framed(bodies, block=32768):
    """Frames by the format's own words, one record after the other."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for body in bodies:
        left, first = body, True
        while first or left:
            if (room := block - len(out) % block) < 7:
                out += b"\0" * room
                continue
            part, left = left[: room - 7], left[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not left]
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
    return bytes(out)


# Records that end just before a block does leave room for no piece (6 bytes or fewer), or for an empty one (7).
BODIES = [
    [b"a", b"", b"ccc"],
    [b"x" * 100_000, b"y"],
    *([b"x" * (32768 - 7 - 7 - left), b"tail"] for left in range(10)),
]


@pytest.mark.parametrize("bodies", BODIES)
def test_records_come_back_from_their_frames(tmp_path, bodies):
    path = tmp_path / "run-x.wandb"
    path.write_bytes(framed(bodies))
    assert list(records(path)) == bodies


def test_every_cut_gives_a_beginning_and_says_so(tmp_path):
    bodies = [b"first", b"x" * 70_000, b"last"]
    whole, ends = framed(bodies), [7, *(len(framed(bodies[:n])) for n in (1, 2, 3))]
    path = tmp_path / "run-x.wandb"
    for cut in (7, 8, 14, 19, 20, 30, 32768, 40_000, 65_536, 69_000, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:cut])
        count = sum(end <= cut for end in ends) - 1
        damage = [] if cut in ends else [Damage(ends[count])]
        assert list(records(path)) == bodies[:count] + damage


def test_a_wrong_checksum_and_a_file_of_another_kind(tmp_path):
    path = tmp_path / "run-x.wandb"
    data = bytearray(framed([b"first", b"second"]))
    data[-1] ^= 1
    path.write_bytes(data)
    assert list(records(path)) == [b"first", Damage(7 + 7 + 5)]
    path.write_bytes(b"{}")
    with pytest.raises(InputError, match="no run file of W&B"):
        list(records(path))
