"""`grpo-prm analyze` as a user meets it: a process, its streams, its folder and its exit code."""

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import polars as pl
import pytest
from grpo_prm_cli.screen import _apart
from typed import run

from grpo_prm.files import UMASK

NUMBERS = (
    *("source", "counts", "reward", "overlap", "baseline", "informativeness", "credit", "prm", "defects", "sharing"),
    *("teaching", "logprobs", "notes", "verdict"),
)


def rows(groups=3, k=4, reward=lambda p, i: i % 2):
    for p in range(groups):
        for i in range(k):
            yield {
                "step": 1,
                "uid": f"p{p}",
                "prompt": f"{p}?",
                "completion": f"so {p} is {i // 2} {i}",
                "reward": reward(p, i),
            }


def write(path, some):
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return path


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "log.jsonl", rows())


def piped(*arguments, cwd, stdin):
    command = [sys.executable, "-m", "grpo_prm", *map(str, arguments)]
    environment = {"PATH": "", "COLUMNS": "80"}
    return subprocess.run(
        command, capture_output=True, check=False, encoding="utf-8", cwd=cwd, env=environment, stdin=stdin
    )


def chats():
    """Four completions of two prompts that call a tool in four ways and get two answers."""
    for p, i in ((p, i) for p in range(2) for i in range(4)):
        roles = (("assistant", f"call {i}"), ("tool", f"answer {i // 2}"), ("assistant", f"so {p}"))
        chat = [{"role": role, "content": content} for role, content in roles]
        yield {"step": 1, "prompt": f"{p}?", "completion": chat, "reward": float(i > 1)}


@pytest.mark.slow
def test_states_are_told_where_they_are_asked_for(tmp_path, log):
    """Each answer of the tool is read by two; a log of texts alone has nothing of it."""
    write(tmp_path / "chats.jsonl", chats())
    done = run("analyze", "chats.jsonl", "--share", "state", "--no-figures", cwd=tmp_path)
    printed = " ".join(done.stdout.split())
    assert done.returncode == 0 and "4 of 4 states are read by two completions or more." in printed
    assert re.search(r"What do equal states say\? [\d.]+ % of a completion is shared with another by state", printed)
    assert len(pl.read_parquet(tmp_path / "chats.prm" / "states.parquet")) == 4
    none = run("analyze", log.name, "--share", "state", "--no-figures", cwd=tmp_path)
    assert none.returncode == 0 and "Nothing by states: no token is out of the loss" in " ".join(none.stdout.split())
    assert not len(pl.read_parquet(tmp_path / "log.prm" / "states.parquet"))


@pytest.mark.parametrize("command", ["analyze", "tree"])
def test_the_divisor_of_the_logged_advantages_is_said(tmp_path, command):
    """Every command that shows A divides as the log does."""
    log = write(tmp_path / "log.jsonl", (row | {"advantage": row["reward"] - 0.5} for row in rows()))
    fewer = ["--no-figures"] if command == "analyze" else []
    done = run(command, log.name, *fewer, cwd=tmp_path)
    said = "Advantages are r - mean, without division, as logged: --std none."
    assert done.returncode == 0 and said in done.stderr
    assert said not in run(command, log.name, *fewer, "--std", "sample", cwd=tmp_path).stderr


@pytest.mark.slow
def test_the_page_and_the_folder(log, tmp_path):
    done = run("analyze", log.name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "Note: Columns: group = uid.\n")
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "grpo-prm tree" not in line)
    assert "\x1b" not in done.stdout and " \n" not in done.stdout
    assert " \n" not in run("inspect", log.name, cwd=tmp_path).stdout
    assert "12 completions in 3 groups of 4" in done.stdout and len(done.stdout.splitlines()) <= 16
    assert "Where does it hurt?" not in done.stdout
    names = {path.name for path in (tmp_path / "log.prm").iterdir()}
    tables = {
        f"{name}.parquet"
        for name in (
            *(
                "groups",
                "completions",
                "process_steps",
                "training",
                "baseline",
                "samples",
                "permutations",
                "subsamples",
                "decided",
                "texts",
            ),
        )
    }
    assert names == tables | {"summary.json", "rejects.jsonl", "figures", ".grpo-prm.json"}
    figures = {path.suffix for path in (tmp_path / "log.prm" / "figures").iterdir()}
    assert figures == {".pdf", ".png", ".csv", ".txt", ".tex"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "log.prm" / "figures").iterdir()}
    assert modes == {0o666 & ~UMASK} and (tmp_path / "log.prm").stat().st_mode & 0o777 == 0o777 & ~UMASK


def test_json_prints_the_summary_and_nothing_else(log, tmp_path):
    done = run("analyze", log, "--json", "--no-figures", "--out", "here", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (tmp_path / "here" / "summary.json").read_text("utf-8")
    assert tuple(json.loads(done.stdout))[1:] == NUMBERS
    assert not (tmp_path / "here" / "figures").exists()


def test_the_commands_for_the_worst_groups_work(tmp_path):
    log = write(tmp_path / "log.jsonl", rows(reward=lambda p, i: int(i != 1)))
    page = run("analyze", log.name, "--std", "none", "--no-figures", "--full", cwd=tmp_path).stdout
    _, worst = page.split("Worst groups")
    command = next(line for line in worst.splitlines() if "grpo-prm tree" in line).split()[1:]
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "◀ suppressed good" in done.stdout and "--std none" in page


def test_a_worst_group_that_is_named_by_a_hash_shows_its_prompt(tmp_path):
    some = [row | {"prompt": "What \n is\x1b[2J " + 20 * "the sum " + row["prompt"]} for row in rows(groups=1)]
    log = write(tmp_path / "log.jsonl", [row | {"reward": int(i != 1)} for i, row in enumerate(some)])
    named = run("analyze", log.name, "--no-figures", "--full", cwd=tmp_path).stdout
    assert "good tokens pushed down:\n" in named and "What is" not in named
    write(log, [{k: v for k, v in json.loads(line).items() if k != "uid"} for line in log.read_text().splitlines()])
    hashed = " ".join(run("analyze", log.name, "--no-figures", "--full", cwd=tmp_path).stdout.split())
    start = ("What is\x1b[2J " + 20 * "the sum ")[:60].rstrip().replace("\x1b", r"\x1b")
    assert f"good tokens pushed down; prompt: {start}… grpo-prm tree log.prm --group 1:" in hashed


@pytest.mark.slow
def test_an_analysis_is_no_log_and_says_where_it_comes_from(log, tmp_path):
    run("analyze", log.name, "--no-figures", cwd=tmp_path)
    for command in (["inspect", "log.prm"], ["analyze", "log.prm"], ["convert", "log.prm", "out.parquet"]):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 3 and done.stdout == ""
        assert done.stderr == (
            "error: log.prm: an analysis, not a log; it was made from log.jsonl."
            " Look into it with grpo-prm tree log.prm, or name the log.\n"
        )
    assert run("tree", "log.prm", cwd=tmp_path).returncode == 0
    (tmp_path / "log.prm" / "summary.json").write_text("[]")
    assert "made from rollouts. Look" in run("inspect", "log.prm", cwd=tmp_path).stderr


def test_standard_input(log, tmp_path):
    with log.open() as file:
        done = piped("analyze", "-", "--no-figures", "--json", cwd=tmp_path, stdin=file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["groups"] == 3
    assert (tmp_path / "stdin.prm" / "summary.json").is_file()


def test_inspect_reads_standard_input(log, tmp_path):
    with log.open() as file:
        done = piped("inspect", "-", "--json", cwd=tmp_path, stdin=file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["groups"] == 3


def test_convert_never_writes_over_its_log(log, tmp_path):
    before = log.read_bytes()
    done = run("convert", log.name, f"./{log.name}", cwd=tmp_path)
    assert done.returncode == 2 and "is the log itself. Name another file last." in done.stderr
    assert log.read_bytes() == before


def test_rejected_rows_are_listed_and_strict_says_so(log, tmp_path):
    log.write_text(
        log.read_text() + '{"step": 1, "uid": "p0", "prompt": "0?", "completion": "x", "reward": "\\u001b[2J"}\n'
    )
    assert run("analyze", log, "--no-figures", cwd=tmp_path).returncode == 0
    done = run("analyze", log, "--no-figures", "--strict", cwd=tmp_path)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("error: 1 row was rejected.")
    assert (tmp_path / "log.prm" / "summary.json").is_file()  # what could be read is there all the same
    reject = json.loads((tmp_path / "log.prm" / "rejects.jsonl").read_text())
    assert (reject["file"], reject["line"], reject["field"]) == (str(log), 13, "reward")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.jsonl"], 3, "error: nowhere.jsonl: no such file."),
        (["log.jsonl", "--out", "log.jsonl"], 2, "log.jsonl: is a file. Give --out the name of a folder."),
        (["log.jsonl", "--out", "log.jsonl/sub"], 2, "cannot be written (File exists). Give --out another folder."),
        (["log.jsonl", "--columns", "reward=skore"], 2, "skore"),
        (["log.jsonl", "--advantage", "logged"], 2, "The log has no advantage for some completions."),
        (["log.jsonl", "--std", "mean"], 2, "mean"),
        ([], 2, "Missing argument"),
    ],
)
def test_a_fault_is_said_in_words_and_leaves_nothing_behind(log, tmp_path, arguments, code, message):
    before = sorted(tmp_path.iterdir())
    done = run("analyze", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and sorted(tmp_path.iterdir()) == before


def test_no_group_of_two(tmp_path):
    log = write(tmp_path / "log.jsonl", rows(groups=5, k=1))
    done = run("analyze", log, cwd=tmp_path)
    assert done.returncode == 3 and not (tmp_path / "log.prm").exists()
    assert "log.jsonl: no group has two completions or more" in done.stderr
    assert "--columns group=NAME" in done.stderr


def test_debug_shows_the_traceback(tmp_path):
    done = run("--debug", "analyze", "nowhere.jsonl", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_what_a_log_is_called_cannot_command_the_terminal(tmp_path):
    done = run("analyze", "no\x1b[2Jwhere.jsonl", cwd=tmp_path)
    assert done.returncode == 3 and "\x1b" not in done.stderr and r"no\x1b[2Jwhere.jsonl" in done.stderr


@pytest.mark.slow
def test_an_older_analysis_is_replaced_and_files_of_others_are_kept(log, tmp_path):
    run("analyze", log, cwd=tmp_path)
    (tmp_path / "log.prm" / "mine.txt").write_text("mine")
    write(log, rows(groups=2))
    assert run("analyze", log, "--no-figures", cwd=tmp_path).returncode == 0
    assert len(pl.read_parquet(tmp_path / "log.prm" / "groups.parquet")) == 2
    assert (tmp_path / "log.prm" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "log.prm" / "figures").exists()  # they were of the older analysis


def test_ctrl_c_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "grpo_prm", "analyze", "-", "--out", str(tmp_path / "out")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        process.stdin.writelines(json.dumps(row) + "\n" for row in rows())  # and the end does not come
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        while process.poll() is None and time.monotonic() < deadline:  # an import may swallow the first
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):  # a second one too early would stop the tidying up
                process.wait(10)
        errors = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted: nothing is left half written" in errors and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_bug_of_ours(log, tmp_path):
    command = f"{sys.executable} -m grpo_prm analyze {log} --json --no-figures --out {tmp_path / 'out'} | true"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["analyze", "--help"], ["tree", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys, atexit\n"
        f"sys.argv = ['grpo-prm', *{arguments!r}]\n"
        "heavy = {'torch', 'polars', 'numpy', 'scipy', 'matplotlib', 'transformers', 'tokenizers', 'orjson'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "from grpo_prm_cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout
    assert done.stderr == "HEAVY []\n"


def test_a_prompt_is_shown_from_where_it_parts_from_the_one_that_is_most_like_it():
    long = "You are an expert. " * 5
    one, other = (f"{long}{who} bakes cakes. {5 * 'How many are left? '}" for who in ("Meena 12", "Trey 7"))
    assert _apart(one, [one, other]).startswith("…Meena 12 bakes") and _apart(one, [one, other]).endswith("…")
    assert _apart(one, [one, "Who?", other.replace("Trey 7", "Meena 15")]).startswith("…12 bakes")
    for prompt in (one, f"{long}1 + 1?", "x" * 500, "y" * 59 + " 1"):
        assert len(_apart(prompt, [f"{prompt}.", prompt[:-1], "x" * 499 + "z"])) <= 62
    assert _apart(f"{long}1 + 1?", [f"{long}1 + 2?"]).endswith("1 + 1?")  # what parts them stands at the end
    assert _apart("What is 1?", [long]) == "What is 1?"
    assert _apart(long, [long, "You are a clerk."]) == _apart(long, []) == f"{long[:60].rstrip()}…"
