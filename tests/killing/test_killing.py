"""What `make kills` tries at many moments of all commands, at a few of a quick one."""

import os
import signal

import pytest
from killing.cases import CASES
from killing.moments import attempt, ready

SHARES = {"SIGKILL": (0.4, 0.9), "SIGTERM": (0.3, 0.95), "SIGHUP": (0.9,), "SIGINT": (0.1, 0.8)}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return ready(CASES["convert"], tmp_path_factory.mktemp("convert"))


@pytest.mark.parametrize("name", SHARES)
def test_ended_at_any_moment_no_output_is_lost_and_nothing_is_left(prepared, name):
    for share in SHARES[name]:
        assert attempt(prepared, signal.Signals[name], share).faults == []


def test_an_output_that_is_neither_old_nor_new_is_found(prepared):
    torn = prepared._replace(old={"": "another"}, new={"": "and another"})
    assert "the output is neither the old one nor the new one" in attempt(torn, signal.SIGTERM, 0.5).faults


def test_what_is_left_beside_the_output_is_found(prepared, monkeypatch):
    def run(folder, *_):
        (folder / "tmp" / "litter").touch()
        return 128 + signal.SIGTERM, ""

    monkeypatch.setattr("killing.moments._run", run)
    assert attempt(prepared, signal.SIGTERM, 0.5).faults == ["left: tmp/litter"]
