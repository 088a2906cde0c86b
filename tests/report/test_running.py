"""The page of a run that goes on: of all steps until now, written again as they come; the reader keeps the place."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from threading import Timer

import grpo_prm_cli.report as command
import numpy as np
import pytest
from report.pages import data_of, text_of, without_figures

from grpo_prm import files
from grpo_prm.analysis.analyze import analyze
from grpo_prm.logs.recorder import Recorder
from grpo_prm.logs.recording import recorded_table
from grpo_prm.logs.rollouts import save
from grpo_prm.report import report
from grpo_prm.report.running import RunningReport

NOW = datetime(2026, 11, 29, 12, 30, 5, tzinfo=UTC)
K, GROUPS = 4, 12


def put(run, step, seed=0):
    rng = np.random.default_rng([step, seed])
    keys = [f"{step}-{n}" for n in range(GROUPS) for _ in range(K)]
    tokens = rng.integers(0, 2, (GROUPS * K, 6)).tolist()
    table = recorded_table(
        run="r",
        step=step,
        group_keys=keys,
        samples=np.tile(np.arange(K), GROUPS),
        prompts=[f"question <{key}>" for key in keys],
        completions=[" ".join(map(str, row)) for row in tokens],
        tokens=tokens,
        rewards=rng.integers(0, 2, GROUPS * K).astype(float),
        first_group=step * GROUPS,
    )
    (run / "rollouts").mkdir(parents=True, exist_ok=True)
    save(table, run / "rollouts" / f"step_{step:06d}-0.rank0-of-1.parquet")


@pytest.mark.slow
def test_the_page_is_that_of_an_analysis_of_all_steps_until_now(tmp_path):
    run, spill = tmp_path / "run", tmp_path / "spill"
    spill.mkdir()
    running = RunningReport(run, spill=spill)
    assert running.page(NOW) is None
    put(run, 1)
    assert running.page(NOW) is None  # another generation may come
    for last in (2, 3):
        put(run, last)
        folder = run / "rollouts"
        with without_figures():  # those are drawn in the end
            page = running.page(NOW)
            assert page == report(replace(analyze(folder), path=folder), None, NOW)
        assert f"{last} training steps until now" in page and "<title>r: grpo-prm report</title>" in page
        assert "written on 2026-11-29 at 12:30:05 UTC" in page
    assert running.page(NOW) is None  # nothing has come
    Recorder(run / "rollouts").begin(1)
    put(run, 2, seed=1)
    page = running.page(NOW)
    assert page == report(replace(analyze(run / "rollouts"), path=run / "rollouts"), None, NOW)


@pytest.mark.slow
@without_figures()
def test_commands_of_the_page_read_the_rollouts(tmp_path):
    for step in (1, 2):
        put(tmp_path, step)
    page = RunningReport(tmp_path).page(NOW)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    commands = {tree["command"] for tree in data_of(tmp_path / "page.html")["trees"]}
    assert all(command.startswith(f"grpo-prm tree {tmp_path}/rollouts --group ") for command in commands)
    (answers,) = re.findall(r'<dl class="answers">.*?</dl>', page, re.DOTALL)
    assert "<li class=" in answers and "grpo-prm report" not in answers  # this page
    arguments = min(commands).split()[1:]
    done = subprocess.run([sys.executable, "-m", "grpo_prm", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_page_of_an_analysis_says_nothing_of_it_and_stays(chain):
    assert "This run goes on" not in text_of(chain) and "running" not in data_of(chain)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The text of the page of three steps, and of four."""
    run = tmp_path_factory.mktemp("run")
    for step in (1, 2, 3):
        put(run, step)
    running = RunningReport(run)
    with without_figures():
        before = running.page(NOW)
        put(run, 4)
        return before, running.page(NOW)


@pytest.fixture
def pages(texts, tmp_path):
    """The page of three steps as a file, and the text of that of four."""
    path = tmp_path / "page.html"
    path.write_text(texts[0], encoding="utf-8")
    return path, texts[1]


def timed(page):
    """The page with a clock that a test can move on."""
    page.clock.install()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    return page


def test_the_page_loads_itself_and_keeps_its_place(pages, visit):
    path, after = pages
    page = timed(visit(path, alone=True))
    page.locator("a[data-tab=groups]").first.click()
    page.locator("#search").fill("question")
    page.locator("#which").select_option("mixed")
    page.locator("#theme").click()
    page.clock.run_for(1_000)
    page.locator("#table tbody button").nth(2).click()
    title, theme = page.locator("#tree-title").inner_text(), page.evaluate("document.documentElement.dataset.theme")
    page.locator("#detail").evaluate("e => e.scrollTo({ top: 300, behavior: 'instant' })")
    top = page.locator("#detail").evaluate("e => e.scrollTop")
    assert top > 0
    path.write_text(after, encoding="utf-8")
    page.clock.run_for(12_000)
    page.locator(".running", has_text="4 training steps").wait_for(state="attached")
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#detail").evaluate("e => e.scrollTop") == top
    assert page.locator("#search").input_value() == "question" and page.locator("#which").input_value() == "mixed"
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.locator("#tree-title").inner_text() == title and title.removeprefix("Group ") in page.url
    assert "of 48 groups" in page.locator("#found").inner_text()


def test_the_page_waits_while_it_is_used(pages, visit):
    path, after = pages
    page = timed(visit(path, alone=True))
    path.write_text(after, encoding="utf-8")
    page.evaluate("window.here = true")
    for place in range(3):
        page.mouse.move(100 + 20 * place, 100)
        page.clock.run_for(5_000)
    assert page.evaluate("window.here") is True
    page.clock.run_for(12_000)
    page.locator(".running", has_text="4 training steps").wait_for()


def _until(fact, limit=90.0):
    ends = time.monotonic() + limit
    while not fact():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_a_page_that_finds_no_room_is_written_when_there_is_some(tmp_path, monkeypatch):
    full, real = [False], files.atomic

    def atomic(path):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path)

    monkeypatch.setattr(files, "atomic", atomic)
    out = tmp_path / "page.html"
    page = command._Page(out)
    assert page.put(None) is None
    full[0] = True
    with pytest.raises(OSError, match="No space left"):  # nothing is there yet: whoever asked is told at once
        page.put("a")
    full[0] = False
    assert page.put("a") == f"{out}: 1e-06 MB. Open it in a browser: it loads itself again as steps come."
    full[0] = True
    assert page.put("b") == f"{out}: stays as it is (No space left on device). It is tried again."
    assert page.put("c") is None and page.put(None) is None and out.read_text() == "a"
    full[0] = False
    assert page.put(None) is None and out.read_text() == "c"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_command_writes_the_page_as_steps_come_and_ctrl_c_leaves_it(tmp_path):
    run, page = tmp_path / "run", tmp_path / "page.html"
    command = [sys.executable, "-m", "grpo_prm", "report", str(run), "--follow", "--out", str(page)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watchdog = Timer(240, process.kill)
        watchdog.start()
        try:
            assert "waiting for steps" in process.stderr.readline()
            for step in (1, 2):
                put(run, step)
            _until(page.exists)
            assert "Open it in a browser: it loads itself again" in process.stderr.readline()
            put(run, 3)
            _until(lambda: "3 training steps until now" in page.read_text(encoding="utf-8"))
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            watchdog.cancel()
            process.kill()
    assert page.read_text(encoding="utf-8").endswith("</html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]
