"""Every public name has an example in its docstring, and it runs."""

import doctest
from pathlib import Path

import pytest

import grpo_prm

NAMES = [name for name in grpo_prm.__all__ if name != "__version__"]
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_public_name_runs(name, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    text = getattr(grpo_prm, name).__doc__
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert example.examples, f"{name} has no example"
    told = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=told.append)
    assert result.failed == 0, "".join(told)
