"""`grpo-prm tree` as a user meets it: a process, its streams and its exit code."""

import json
import subprocess
import sys

import pytest
import typed

GOOD = {"step": 3, "uid": "p7", "prompt": "2+2=\x1b[31m"}
ROWS = [(["2", "+", "2", "=", "4"], 1), (["2", "+", "3", "=", "5"], 0), (["2", "+", "3", "=", "4"], 0), (["2"], 0)]


@pytest.fixture
def log(tmp_path):
    lines = [{**GOOD, "completion": "".join(words) + "\x1b[2J", "reward": r} for words, r in ROWS]
    lines += [{**row, "uid": "flat", "prompt": "other", "reward": 1} for row in lines]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(*arguments, **env):
    return typed.run("tree", *arguments, **{"COLUMNS": "100", **env})


def test_a_group_by_name_in_a_pipe_is_plain_text(log):
    done = run(log, "--group", "3:p7")
    assert done.returncode == 0 and done.stderr == ""
    assert "\x1b" not in done.stdout and "group p7: 4 completions" in done.stdout and r"\x1b[2J" in done.stdout


def test_json_is_a_list_of_groups_and_nothing_else(log):
    done = run(log, "--group", "3:flat", "--group", "log:3:p7", "--json")
    assert done.returncode == 0 and done.stdout.rstrip("\n").isprintable()
    flat, group = json.loads(done.stdout)
    assert (flat["group_key"], flat["zero_variance"], group["group_key"]) == ("flat", True, "p7")
    assert group["steps"][0]["size"] == 4


def test_no_such_group_and_both_ways_to_choose_are_wrong_usage(log):
    done = run(log, "--group", "3:p8")
    assert done.returncode == 2 and "No group is called 3:p8" in done.stderr and "3:p7" in done.stderr
    assert run(log, "--group", "3:p7", "--worst", 1).returncode == 2


@pytest.mark.slow
def test_the_worst_group_is_the_default_and_none_is_said(log, tmp_path):
    assert run(log).stdout == run(log, "--worst", 1).stdout
    flat = tmp_path / "flat.jsonl"
    flat.write_text("".join(line + "\n" for line in log.read_text().splitlines()[4:]))
    done = run(flat)
    assert done.returncode == 0 and "No group has a suppressed-good token" in done.stdout


def test_colour_is_used_when_asked_for_and_never_with_no_color(log):
    assert "\x1b[" in run(log, "--group", "3:p7", FORCE_COLOR="1").stdout
    plain = run(log, "--group", "3:p7", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[36m" not in plain and "\x1b[31m" not in plain


def test_a_terminal_of_another_encoding_gets_the_tree_all_the_same(log):
    command = [sys.executable, "-m", "grpo_prm", "tree", str(log), "--group", "3:p7"]
    done = subprocess.run(command, capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii", "COLUMNS": "90"})
    assert done.returncode == 0 and b"p7" in done.stdout, done.stderr.decode()


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from grpo_prm_cli.main import main; sys.argv[1:] = ['tree', '--help']\n"
        "try: main()\nexcept SystemExit: print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "polars", "numpy", "matplotlib"} & set(loaded)


@pytest.mark.slow
def test_a_folder_is_shown_as_it_was_analysed(log, tmp_path):
    out = tmp_path / "log.prm"
    assert typed.run("analyze", log, "--std", "none", "--no-figures", "--out", out).returncode == 0
    (group,) = json.loads(run(out, "--group", "3:p7", "--json").stdout)
    assert sorted({round(end["advantage"], 9) for step in group["steps"] for end in step["ends"]}) == [-0.25, 0.75]
    (sample,) = json.loads(run(out, "--group", "3:p7", "--json", "--std", "sample").stdout)
    assert max(end["advantage"] for step in sample["steps"] for end in step["ends"]) == pytest.approx(1.5, abs=1e-3)
    done = run(out, "--group", "3:p8")
    assert done.returncode == 2 and "for the rest name the log itself" in done.stderr
    assert "name the log itself" not in run(log, "--group", "3:p8").stderr
