"""A file or a folder is whole or not there at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from kills import kill_at

from grpo_prm.errors import UsageError
from grpo_prm.files import UMASK, atomic, atomic_folder, clear_away


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
    (tmp_path / ".model.old.empty").mkdir()  # of one that was killed before it moved anything
    (tmp_path / ".mine").mkdir()
    clear_away(tmp_path)
    assert (place / "weights").read_text() == ("old" if moment < 2 else "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "model"]
