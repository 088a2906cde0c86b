"""What is shown while one waits: a line that moves, with times; in a pipe one plain line of what took its time."""

from __future__ import annotations

import re
import time
from contextlib import suppress

import grpo_prm_cli.progress as progress
import pytest
from grpo_prm_cli.counting import counted
from rich.console import Console
from rich.progress import Progress

from grpo_prm.figures import FIGURES


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def test_a_pipe_gets_one_plain_line_of_what_took_its_time(clock, capsys):
    with progress.working("drawing figures") as move:
        move(3, 10)
        clock[0] += 72
    with progress.progress_bar("reading") as move:
        move(10, 20, 5)
        clock[0] += progress.AFTER
    assert capsys.readouterr() == ("", "drawing figures: took 1:12\nreading: took 0:05\n")


def test_nothing_is_said_of_what_was_short_comes_again_or_failed(clock, capsys):
    with progress.working("writing", told=False):
        clock[0] += 99
    with progress.working("writing"):
        clock[0] += progress.AFTER - 0.1
    with suppress(KeyError), progress.working("writing"):
        clock[0] += 99
        raise KeyError
    assert capsys.readouterr() == ("", "")


def test_a_dumb_terminal_is_a_pipe(clock, capsys, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with progress.working("writing"):
        clock[0] += 9
    assert capsys.readouterr().err == "writing: took 0:09\n"


class Clocked(Progress):
    """A bar that looks at the clock of the test, and draws itself when it is asked to."""

    seconds = 0.0
    last: Clocked

    def __init__(self, *columns, **settings):
        super().__init__(*columns, get_time=lambda: Clocked.seconds, auto_refresh=False, **settings)
        Clocked.last = self

    def frame(self, seconds):
        """What it shows then."""
        Clocked.seconds = seconds
        console = Console(width=100, color_system=None, force_terminal=False)
        with console.capture() as page:
            console.print(self.get_renderable())
        return " ".join(page.get().split())


def test_time_left_where_the_amount_is_known_and_time_gone_where_not(terminal, monkeypatch, capsys):
    monkeypatch.setattr(progress, "Progress", Clocked)
    Clocked.seconds = 0.0
    with progress.working("drawing figures") as move:
        assert Clocked.last.frame(70.0).endswith("drawing figures 0:01:10")
        for seconds, done in ((80.0, 2), (90.0, 4)):  # two in ten seconds, so the other six in thirty
            Clocked.seconds = seconds
            move(done, 10)
        assert Clocked.last.frame(90.0).endswith("drawing figures 4 of 10 0:01:30 0:30 left")
    Clocked.seconds = 0.0
    with progress.progress_bar("reading") as move:
        for seconds, done in ((10.0, 10), (20.0, 60)):
            Clocked.seconds = seconds
            move(done, 100, 100 * done)
        assert re.search(r"^reading .* 60% 6,000 rows, 300 rows/s 0:00:20 0:08 left$", Clocked.last.frame(20.0))
        move(100, 100, 9000)
        assert Clocked.last.frame(30.0).startswith("summing up")
    assert "took" not in capsys.readouterr().err


def test_figures_are_counted_as_their_captions_come(tmp_path, monkeypatch):
    monkeypatch.setattr("grpo_prm_cli.counting.EVERY", 0.01)
    told = []
    with counted(tmp_path / "figures", lambda *amounts: told.append(amounts)):
        (tmp_path / "figures").mkdir()
        for n, name in enumerate(list(FIGURES)[:3], 1):
            (tmp_path / "figures" / f"{name}.pdf").touch()
            (tmp_path / "figures" / f"{name}.txt").touch()
            until = time.monotonic() + 30
            while (n, len(FIGURES)) not in told and time.monotonic() < until:
                time.sleep(0.005)
    told_then = len(told)
    assert sorted(set(told)) == [(1, len(FIGURES)), (2, len(FIGURES)), (3, len(FIGURES))]
    assert len(told) == told_then  # nobody looks any more
