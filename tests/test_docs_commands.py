"""Every command that README and docs tell a reader to type has the real options; what takes seconds is run."""

import glob
import re
import tomllib
from contextlib import nullcontext
from itertools import islice

import pytest
import typer
from docs_commands import NOT_RUN, PAGES, ROOT, commands
from grpo_prm_cli.main import app
from report.pages import without_figures
from typer.testing import CliRunner

from grpo_prm.errors import GrpoPrmError

COMMANDS = commands()
RUN = [command for command in COMMANDS if command.reason is None]
ANALYSES = [command for command in RUN if command.arguments[0] == "analyze"]
# Their figures are those of the first of them, since the logs are alike, or of `demo` and tests/cli/test_plot.py.
DRAWN_ALIKE = [one for one in ANALYSES[1:] if not {"--share", "--baseline-by", "--help"}.intersection(one.arguments)]
PAGES_ALIKE = [one for one in RUN if one.arguments[0] == "report" and "--no-text" not in one.arguments][1:]


def told(command):
    return f"{command.page}: {' '.join(command.arguments)}"


def parsed(command):
    """Has it the options that there are? False: a page names it inside a sentence, and leaves out what it needs."""
    name, *arguments = command.arguments
    if name.startswith("-"):  # grpo-prm --version
        return True
    if command.inline and not arguments:  # the name of a command
        return False
    try:
        typer.main.get_command(app).commands[name].make_context(name, arguments)
    except typer.Exit:  # --help
        return True
    except typer.BadParameter as error:
        if command.inline and str(error).startswith("Missing parameter"):
            return False
        raise
    return True


@pytest.mark.parametrize("command", COMMANDS, ids=told)
def test_the_command_has_the_real_options(command):
    parsed(command)


def test_reasons_are_of_commands_that_there_are():
    """What is left out is left out for a reason that is still needed, and most is not."""
    assert {reason for command in COMMANDS if (reason := command.reason)} == set(NOT_RUN.values())
    assert len(COMMANDS) > 80 and len(RUN) > 45


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder in which everything lies that a page speaks of: short logs, and their analyses."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "examples").symlink_to(ROOT / "examples")
    with (ROOT / "examples" / "chain.jsonl").open(encoding="utf-8") as log:
        short = "".join(islice(log, 2 * 160))
    for name in (
        *("rollouts.jsonl", "after.jsonl", "before.jsonl", "grpo.jsonl", "lambda.jsonl", "agents.jsonl"),
        *("mine.run/rollouts/a.jsonl", "run/rollouts/completions.jsonl", "runs/a.jsonl", "logs/exp_001/a.jsonl"),
        *("lambda0.5-chain.run/rollouts/a.jsonl", "output_dir/rollouts/a.jsonl"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(short, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("selftest", "--write", "known")
        logs = (*(f"{name}.jsonl" for name in ("rollouts", "after", "before", "grpo", "lambda")),)
        for log in (*logs, "examples/chain.jsonl", "examples/smollm2.jsonl.gz"):
            run("analyze", log, "--no-figures")
    return folder


def run(*arguments, codes=(0,)):
    done = CliRunner().invoke(app, [*arguments])
    error = done.exception  # `main` makes a message and an exit code of one of ours
    code = error.exit_code if isinstance(error, GrpoPrmError) else done.exit_code
    assert code in codes, f"{error!r}\n{done.output}"


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN, ids=told)
def test_the_command_runs(command, bench, tmp_path, monkeypatch):
    if not parsed(command):
        return
    for path in bench.iterdir():
        if command.arguments[0] != "analyze" or path.suffix != ".prm":  # else it would replace one of another log
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    arguments = [found for part in command.arguments for found in (sorted(glob.glob(part)) if "*" in part else [part])]
    if command in DRAWN_ALIKE:
        arguments.append("--no-figures")
    with without_figures() if command in PAGES_ALIKE else nullcontext():
        run(*arguments, codes=(0, 6) if "--fail-on" in arguments else (0,))


def test_make_and_pip_are_given_what_there_is():
    phony = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = set(" ".join(phony).split())
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    made, installed = set(), set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        made.update(re.findall(r"(?:^    |`)make ([a-z][\w-]*)", text, re.MULTILINE))
        installed.update(
            name for some in re.findall(r"(?:'|\")(?:\.|grpo-prm)\[([\w,]+)\]", text) for name in some.split(",")
        )
        for script in re.findall(r"^    python (examples/\S+\.py)", text, re.MULTILINE):
            assert (ROOT / script).is_file(), f"{page}: {script}"
    assert {"demo", "test", "docs"} <= made <= targets and {"train", "trl"} <= installed <= extras


OTHERS = re.compile(r"docs/trainers|docs/training\.md")  # pages that name options of other programs too


def test_an_option_that_is_named_in_a_sentence_is_one():
    every = typer.main.get_command(app).commands.values()
    known = {name for one in every for option in one.params for name in (*option.opts, *option.secondary_opts)}
    known |= {"--help", "--version", "--debug", "--extra-index-url"}  # the last is of pip
    for page in PAGES:
        if OTHERS.search(str(page)):
            continue
        named = set(re.findall(r"`(--[a-z][\w-]*)", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page}: {sorted(named - known)}"
