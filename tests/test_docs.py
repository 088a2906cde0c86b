"""README and docs show what the commands print, and their code runs."""

import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import typed
from grpo_prm_cli import drawing
from report.pages import without_figures

import grpo_prm

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown(command):
    """The indented block of the README after the sentence that names the command, without the indent."""
    after = README[README.index(f"`{command}`") :]
    block = re.search(r"\n\n((?:    .*\n|\n)+)", after).group(1)
    return [line[4:].rstrip() for line in block.strip("\n").splitlines()]


@pytest.fixture
def nothing_drawn(monkeypatch):
    """Figures take most of the time of a command, and say nothing that it prints: tests/cli/test_plot.py draws them."""
    drawer = SimpleNamespace(draw=lambda folder: {})
    monkeypatch.setattr(drawing, "drawer", lambda wanted: nullcontext(drawer))


def printed(command, folder):
    done = typed.run(*command.split()[1:], cwd=folder)
    assert done.returncode == 0, done.stderr
    return [line.rstrip() for line in done.stdout.strip("\n").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.mark.slow
def test_the_readme_shows_what_the_commands_print(folder, nothing_drawn):
    commands = re.findall(r"`(grpo-prm (?:analyze examples|tree chain)[^`]*)`", README)
    assert [command.split()[1] for command in commands] == ["analyze", "analyze", "tree"]
    for command in commands:
        assert shown(command) == printed(command, folder)


def python_of(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@without_figures()  # the folder has them
def test_the_code_of_the_readme_runs_and_prints_what_it_shows(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code, *more = python_of(ROOT / "README.md")
    names = {}
    exec(code, names)  # noqa: S102 - our own text
    out = capsys.readouterr().out
    text = README[README.index(code) :]
    block = re.search(r"prints\n\n((?:    .*\n)+)", text).group(1)
    assert [line[4:] for line in block.splitlines()] == out.splitlines()
    assert (folder / "overlap.pdf").is_file() and (folder / "chain.html").is_file()
    assert (folder / "chain.prm" / "figures" / "overlap_over_training.pdf").is_file()
    for code in more:
        exec(code, names)  # noqa: S102 - our own text
    assert [row.tolist() for row in names["g"].sizes] == [[3, 2, 1], [3, 2, 1], [3, 1]]


def test_the_code_of_the_page_on_python_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    for code in python_of(ROOT / "docs" / "python.md"):
        exec(code, names)  # noqa: S102 - our own text


def test_the_code_of_the_page_on_trainers_of_ones_own_records_what_is_analysed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in python_of(ROOT / "docs" / "trainers" / "your-own.md"):
        exec(code, names)  # noqa: S102 - our own text
    depth = float(capsys.readouterr().out)
    assert grpo_prm.analyze("run/rollouts").summary["overlap"]["path_depth"]["mean"] == depth > 0


def test_step_rewards_along_each_completion(folder, tmp_path, monkeypatch, capsys):
    """The code of docs/output.md gives every completion its steps, in a row, from 0 to its length."""
    analysis = grpo_prm.analyze(ROOT / "examples" / "chain.jsonl")
    (tmp_path / "demo.prm").mkdir()
    for name in ("process_steps", "completions"):
        getattr(analysis, name).sink_parquet(tmp_path / "demo.prm" / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    names = {}
    page = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1), names)  # noqa: S102 - our own text
    paths = names["paths"].sort("group", "sample", "start", "end").collect()  # a root may be empty
    whole = paths.group_by("group", "sample", maintain_order=True).agg(
        length=(pl.col("end") - pl.col("start")).sum(), end=pl.col("end").last(), reward=pl.col("reward").last(),
        terminal=pl.col("size").last() == 1,
    )  # fmt: skip
    completions = analysis.completions.sort("group", "sample").collect()
    assert whole["length"].to_list() == whole["end"].to_list() == completions["length"].to_list()
    alone = whole["terminal"]
    assert whole.filter(alone)["reward"].to_list() == completions.filter(alone)["reward"].to_list()
    capsys.readouterr()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_the_verdicts_of_the_page_of_results():
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    rows = [line for line in README.splitlines() if "](docs/results.md#" in line and line.startswith("|")]
    verdicts = [line for line in page.splitlines() if line.startswith("| [") and "](#" in line]
    assert verdicts and [row.replace("](docs/results.md#", "](#") for row in rows] == verdicts


HEADINGS = ["Switch it on", "Commands", "What a row and a group are", "Rollouts", "Refused", "Tested"]


@pytest.mark.parametrize("page", ["ms-swift", "nemo-rl", "openrlhf", "prime-rl", "slime", "tinker", "verl"])
def test_pages_of_trainers_answer_the_same_questions_in_the_same_order(page):
    text = (ROOT / "docs" / "trainers" / f"{page}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == HEADINGS
    assert f"](trainers/{page}.md)" in (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
