"""`grpo-prm compare` as a user meets it."""

import csv
import json
import re

import pytest
import typed
from compare.invented import folder, log


def run(*arguments, cwd, **environment):
    return typed.run(*arguments, cwd=cwd, **{"COLUMNS": "120", **environment})


@pytest.fixture
def two(tmp_path):
    folder(tmp_path / "a.prm", log(run="$a_1", k=6))
    folder(tmp_path / "b.prm", log(run="b\x1b[31m", seed=3))
    return tmp_path


@pytest.mark.slow
def test_the_page_and_the_folder(two):
    done = run("compare", "a.prm", "b.prm", cwd=two)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout and "b\\x1b[31m" in done.stdout and "minus $a_1 [95 %]" in done.stdout
    assert "24 training steps in common" in done.stdout and "not about new ones" in done.stdout
    assert "other k" in done.stdout and "pass@4" in done.stdout
    out = two / "a-b.compare"
    assert {p.name for p in out.iterdir()} == {
        "comparison.json",
        "comparison.csv",
        "comparison.tex",
        "figures",
        "steps.csv",
    }
    assert {p.suffix for p in (out / "figures").iterdir()} == {".pdf", ".png", ".csv", ".txt"}
    caption = (out / "figures" / "run_comparison.txt").read_text()
    kept = json.loads((out / "comparison.json").read_text())
    with (out / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        value = kept["statistics"][row["statistic"]][row["run"]]["mean"]
        assert float(row["mean"]) == value if value is not None else row["mean"] == ""
    reward = kept["statistics"]["reward"]["b\x1b[31m"]
    assert f"b\\x1b[31m minus $a_1 {reward['difference']:+.3g} [" in caption and "nan" not in caption
    table = (out / "comparison.tex").read_text()
    assert r"\$a\_1" in table and r"\toprule" in table and "\x1b" not in table
    assert not re.search(r"(?<!\$)-\d", table.split(r"\midrule")[1])  # every minus sign is one
    assert {line.count("&") for line in table.splitlines() if line.endswith(r"\\")} == {3}


@pytest.mark.slow
def test_json_and_a_second_time(two):
    (two / "x").mkdir()
    (two / "x" / "mine.txt").write_text("mine")
    once = run("compare", "a.prm", "b.prm", "--json", "--out", "x", cwd=two)
    again = run("compare", "a.prm", "b.prm", "--json", "--out", "x", "--level", "0.9", cwd=two)
    assert once.returncode == again.returncode == 0 and again.stderr == ""
    assert json.loads(again.stdout)["reach"]["level"] == 0.9
    assert (two / "x" / "comparison.json").read_text() == again.stdout  # not the older one
    assert (two / "x" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_what_is_no_folder_is_said(two):
    done = run("compare", "a.prm", "none", cwd=two)
    assert done.returncode == 3 and "none: not a folder of grpo-prm analyze" in done.stderr and done.stdout == ""
    done = run("compare", "a.prm", cwd=two)
    assert done.returncode == 2 and "holds one run" in done.stderr
    done = run("compare", "a.prm", "b.prm", "--format", "pdf,doc", cwd=two)
    assert done.returncode == 2 and "doc" in done.stderr
    done = run("compare", "a.prm", "b.prm", "--out", "a.prm", cwd=two)
    assert done.returncode == 2 and "holds an analysis" in done.stderr
    done = run("compare", "a.prm", "b.prm", "--level", "nan", cwd=two)
    assert done.returncode == 2 and "finite" in done.stderr
    assert sorted(p.name for p in two.iterdir()) == ["a.prm", "b.prm"]


def widths(page):
    return max(map(len, page.splitlines()))


@pytest.mark.slow
def test_many_runs_fit_the_screen_and_say_who_is_tied(tmp_path):
    names = ["grpo.run", "match-norm1-qwen2.5-1.5b-openrs-seed1.run", "c", "d", "e"]
    for n, name in enumerate(names):
        made = log(run=name, seed=n, prompts=4, success=lambda step, rng, n=n: (0.2, 0.5, 0.5, 0.5, 0.9)[n])
        folder(tmp_path / f"{n}.prm", made, methods={name: "GRPO, gradient as long as that of λ-GRPO with p = 1"})
    runs = [f"{n}.prm" for n in range(5)]
    wide = run("compare", *runs, cwd=tmp_path, COLUMNS="100").stdout
    narrow = run("compare", *runs, cwd=tmp_path, COLUMNS="80").stdout
    assert widths(wide) <= 100 and widths(narrow) <= 80
    assert "tokens per" in wide and "tokens per" not in narrow and "17 more statistics" in narrow
    for page in (wide, narrow):
        assert re.search(r"^1 +e .* 1 *$", page, re.MULTILINE) and re.search(
            r"^5 +grpo.run .* 5 *$", page, re.MULTILINE
        )
        assert len(re.findall(r"2 to 4 +\d, \d$", page, re.MULTILINE)) == 3
        assert re.search(r"\d pairs told apart \(p ≤ .05 after Holm over\s+all 10 pairs\)", page)
    three = run("compare", *runs[:3], cwd=tmp_path, COLUMNS="100").stdout
    assert "minus grpo.run [95 %]" in three and widths(three) <= 100


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["80", "90", "100"])
def test_no_range_is_cut_off_beside_long_names(tmp_path, columns):
    names = ["verl_some_gsm8k_tool_step2_k16.run", "other_game_of_24_gpt4_cot_k100.run"]
    for n, name in enumerate(names):
        folder(tmp_path / f"{n}.prm", log(run=name, seed=n, prompts=4, k=(6, 4)[n]))
    page = run("compare", "0.prm", "1.prm", cwd=tmp_path, COLUMNS=columns).stdout
    rows = [line for line in page.splitlines() if re.search(r" [-+]?[\d.]+ \[[-+]?\d", line)]
    assert len(rows) >= 3 and all(re.fullmatch(r".*\[[-+.\d]+, [-+.\d]+\].*", line) for line in rows), page


@pytest.mark.slow
def test_metrics_by_name(two):
    (two / "a.jsonl").write_text('{"step": 0, "reward": 0.25, "x": 1}\n{"step": 23, "reward": 0.5}\n')
    named = ["--metrics", "$a_1=a.jsonl"]
    done = run("compare", "a.prm", "b.prm", *named, cwd=two)
    assert re.search(r"reward,\n? *step 23|reward, step 23", done.stdout) and "2 of 24 steps of the log" in done.stdout
    assert "With --metric also: x." in done.stdout
    done = run("compare", "a.prm", "b.prm", *named, "--metric", "y", cwd=two)
    assert done.returncode == 2 and "At hand are reward, x" in done.stderr
    done = run("compare", "a.prm", "b.prm", "--metrics", "a.jsonl", cwd=two)
    assert done.returncode == 2 and "not a pair" in done.stderr
    done = run("compare", "a.prm", "b.prm", "--rank", "luck", cwd=two)
    assert done.returncode == 2 and "no statistic" in done.stderr
