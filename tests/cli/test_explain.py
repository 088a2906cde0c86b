"""`grpo-prm explain`: plain text of the width of the terminal, from the package alone and without what is heavy."""

import subprocess
import sys

import pytest
from grpo_prm_cli.main import app
from typer.testing import CliRunner

from grpo_prm.analysis.findings import CODES
from grpo_prm.text.explain import words


def printed(*arguments):
    done = CliRunner().invoke(app, ["explain", *arguments], env={"COLUMNS": "70"})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("code", CODES)
def test_a_finding_is_plain_text(code):
    text = printed(code)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 70 and f"Code: `{code}`." in text
    assert {"What it is", "How it is measured", "What to do", "When it is a false alarm"} <= set(lines)
    # No mark of Markdown, and no page that is not in the package.
    assert not any(mark in text for mark in ("](", "**", "##", ".md", "docs/"))
    assert "()" not in text and " ." not in text


def test_a_link_keeps_its_words_and_a_pointer_to_another_page_is_left_out():
    assert "(dynamic sampling, arXiv 2503.14476)" in " ".join(printed("teaches_nothing").split())
    assert "An estimate from the rewards alone, with a 95 % interval" in " ".join(printed("low_reliability").split())


def test_a_word_may_be_several_arguments():
    assert printed("step", "reward") == printed("step reward")
    assert printed("step", "reward").startswith("step reward R(λ)\n\nThe mean reward of the completions that share")


def test_a_plural_is_its_word():
    assert printed("decisions") == printed("decision") != printed("surprisal at decisions")


def test_without_a_word_everything_is_listed():
    text = " ".join(printed().split())
    assert all(f"- {code}: " in text for code in CODES) and all(word in text for word in words())


def test_a_word_that_there_is_not_ends_with_2_and_nothing_heavy_is_imported():
    code = (
        "import sys; from grpo_prm_cli.entry import main; sys.argv = ['grpo-prm', 'explain', 'relability']\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'matplotlib', 'transformers', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 2 and done.stdout == "[]\n"
    assert done.stderr.startswith("error: nothing explains 'relability'. Did you mean reliability")
