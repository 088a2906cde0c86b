"""A file or a folder is whole or not there at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest
from kills import kill_at

from grpo_prm.errors import UsageError
from grpo_prm.files import UMASK, _beside, atomic, atomic_folder, clear_away, unfinished
from grpo_prm.scratch import NEW, OLD


def test_a_file_appears_whole_with_the_folders_that_it_needs(tmp_path):
    target = tmp_path / "some" / "folder" / "out.json"
    with atomic(target) as part:
        part.write_text("half")
        assert not target.exists() and part.parent == target.parent and part.suffix == ".json"
        assert part.name.startswith(".")  # no glob over *.json reads it
        part.write_text("whole")
    assert target.read_text() == "whole" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_interrupted_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path, old, error):
    target = tmp_path / "out.json"
    if old is not None:
        target.write_text(old)
    with pytest.raises(error), atomic(target) as part:  # noqa: PT012
        part.write_text("half")
        raise error
    assert [path.read_text() for path in tmp_path.iterdir()] == ([] if old is None else [old])


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "out.json"
    target.write_text("old and longer")
    with atomic(target) as part:
        part.write_text("new")
        assert target.read_text() == "old and longer"
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_a_file_that_cannot_be_put_there_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "out.json"
    target.mkdir()
    with pytest.raises(OSError, match=r"out\.json"), atomic(target) as part:
        part.write_text("new")
    assert list(tmp_path.iterdir()) == [target]


def test_two_writers_do_not_meet(tmp_path):
    target = tmp_path / "out.json"
    with atomic(target) as one, atomic(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one" and list(tmp_path.iterdir()) == [target]  # the last to finish


def test_the_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    with atomic(tmp_path / "out.json") as part:
        part.write_text("new")
    plain = tmp_path / "plain"
    plain.write_text("made by open")
    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~UMASK}


def test_to_ask_for_the_umask_leaves_it_as_it_was():
    code = "import os; os.umask(0o027); from grpo_prm.files import UMASK; print(UMASK, os.umask(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(0o027)] * 2


@pytest.mark.parametrize("place", ["file/out.json", "/proc/nothing/out.json"])
def test_where_no_file_can_be_made_that_is_said(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"out\.json: cannot be written"), atomic(tmp_path / place):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_takes_the_place_of_all_of_the_old_one(tmp_path):
    place = tmp_path / "model"
    for content in ("one", "two"):
        with atomic_folder(place) as new:
            (new / content).write_text(content)
        assert [path.name for path in place.iterdir()] == [content]
    assert list(tmp_path.iterdir()) == [place]
    assert stat.S_IMODE(place.stat().st_mode) == 0o777 & ~UMASK


def test_two_writers_of_one_folder_do_not_meet(tmp_path):
    place = tmp_path / "model"
    with atomic_folder(place) as one, atomic_folder(place) as other:
        (one / "weights").write_text("one")
        (other / "weights").write_text("other")
    assert (place / "weights").read_text() == "one" and list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("moment", range(4))
def test_killed_at_any_change_of_names_the_folder_comes_back_whole(tmp_path, moment):
    place = tmp_path / "model"

    def write(content):
        with atomic_folder(place) as new:
            (new / "weights").write_text(content)

    write("old")
    kill_at(moment, lambda: write("new"))
    assert unfinished(tmp_path) == ({place} if moment < 3 else set())
    _beside(place, OLD)  # of one that was killed before it moved anything
    (tmp_path / ".mine").mkdir()
    clear_away(place, alone=True)
    assert (place / "weights").read_text() == ("old" if moment < 2 else "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "model"]


@pytest.mark.parametrize("moment", range(7))
def test_killed_at_any_change_of_names_the_files_of_others_come_back(tmp_path, moment):
    """Each entry of others is in the folder once, after the next writer at the latest, and what is ours is whole."""
    place = tmp_path / "log.prm"

    def write(content):
        clear_away(place, ["ours", "ours too"])
        with atomic_folder(place, ["ours", "ours too"]) as new:
            (new / "ours").write_text(content)

    write("old")
    (place / "ours too").write_text("old")
    (place / "notes.md").write_text("mine")
    (place / "folder").mkdir()
    (place / "folder" / "more").write_text("mine")
    kill_at(moment, lambda: write("new"))
    clear_away(place, ["ours", "ours too"])
    assert (place / "ours").read_text() == ("old" if moment < 2 else "new")
    assert (place / "ours too").exists() == (moment < 2)
    for _ in range(2):
        assert [path.read_text() for path in tmp_path.rglob("notes.md")] == ["mine"]
        assert (place / "notes.md").exists() and (place / "folder" / "more").read_text() == "mine"
        write("newer")
    assert (place / "ours").read_text() == "newer"
    assert not [path for path in tmp_path.iterdir() if f"-{OLD}-" in path.name]


def test_a_file_made_since_is_not_overwritten_by_one_that_comes_back(tmp_path):
    place = tmp_path / "log.prm"
    old = _beside(place, OLD)
    place.mkdir()
    for folder, text in ((old, "before"), (place, "since")):
        (folder / "notes.md").write_text(text)
    clear_away(place, ["ours"])
    assert (place / "notes.md").read_text() == "since" and (old / "notes.md").read_text() == "before"


def test_what_a_live_process_writes_stays_and_what_a_dead_one_left_goes(tmp_path, monkeypatch):
    place = tmp_path / "log.prm"
    alive = _beside(place, NEW)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: done.pid)
        _beside(place, NEW)
        patch.setattr("grpo_prm.scratch.MACHINE", "0" * 8)
        elsewhere = _beside(place, NEW)
    clear_away(place)
    assert set(tmp_path.iterdir()) == {alive, elsewhere}
    clear_away(place, alone=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_signal_left_between_two_statements_goes_when_the_process_ends(tmp_path):
    code = """if True:
        from pathlib import Path
        from grpo_prm.files import NEW, OLD, _beside
        from grpo_prm.scratch import new_scratch, sweep_once
        sweep_once(Path.cwd())
        for kind in (NEW, OLD, OLD):
            last = _beside(Path("log.prm").resolve(), kind)
        (last / "weights").write_text("the only ones")  # being replaced: it may have to come back
        (new_scratch(Path("out.jsonl").resolve()) / "rows").write_text("some")
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert len(left) == 2 and f"-{OLD}-" in left[0] and left[1] == f"{left[0]}/weights"


def test_hidden_files_and_folders_of_others_stay(tmp_path):
    place, mine = tmp_path / "model", [".x.new.y", ".model.old.abcdefgh", ".model.grpo-prm-new-notes"]
    for name in mine:
        (tmp_path / name).mkdir()
    (tmp_path / "._notes.old.txt").write_text("mine")
    made = _beside(place, OLD)
    made.rmdir()
    made.write_text("a file of that name")
    other = _beside(tmp_path / "other", NEW)  # of another folder
    clear_away(place, alone=True)
    assert {path.name for path in tmp_path.iterdir()} == {*mine, "._notes.old.txt", made.name, other.name}


def test_a_link_to_a_folder_stays_one(tmp_path):
    disk, link = tmp_path / "disk" / "model", tmp_path / "run" / "model"
    disk.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to(disk)
    with atomic_folder(link) as new:
        (new / "weights").write_text("new")
    assert link.is_symlink() and [path.name for path in disk.iterdir()] == ["weights"]
    assert list(disk.parent.iterdir()) == [disk] and list(link.parent.iterdir()) == [link]


def test_what_is_replaced_hands_on_its_mode(tmp_path):
    file, folder = tmp_path / "private.json", tmp_path / "private"
    file.write_text("old")
    folder.mkdir()
    file.chmod(0o600)
    folder.chmod(0o700)
    with atomic(file) as part, atomic_folder(folder):
        part.write_text("new")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, folder)] == [0o600, 0o700]


SWAPPED = """
import os, shutil, signal, sys, time
from pathlib import Path
from grpo_prm import files
from grpo_prm.stopping import stop_in_order
remove = shutil.rmtree

def slow(folder, **options):
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(100))  # a signal is heard between two lines
    remove(folder, **options)

stop_in_order(("SIGINT",), lambda number: None)
files.shutil.rmtree = slow
with files.atomic_folder(Path("out")) as new:
    (new / "a.txt").write_text("new")
files.shutil.rmtree = remove
time.sleep(5)
"""


def test_a_signal_while_a_folder_takes_the_place_of_another_waits_and_leaves_nothing(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    done = subprocess.run([sys.executable, "-c", SWAPPED], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "a.txt").read_text() == "new"
