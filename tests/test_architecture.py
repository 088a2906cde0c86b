"""The shape of the project: what is packaged, how long files are, what a light installation needs."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("grpo_prm", "cli") for path in (ROOT / folder).rglob("*.py"))


def test_every_folder_with_code_is_packaged():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in SOURCES}
    assert set(packages) == {".".join(folder.parts).replace("cli", "grpo_prm_cli") for folder in folders}


def test_no_file_is_longer_than_400_lines_nor_empty():
    long = {path.name: lines for path in SOURCES if not 1 <= (lines := len(path.read_text().splitlines())) <= 400}
    assert long == {}


def test_every_file_opens_with_its_idea():
    assert [path.name for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_the_package_imports_nothing_until_asked():
    code = "import sys, grpo_prm; print(sorted({'numpy', 'polars', 'torch', 'matplotlib', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_public_names_are_there():
    import grpo_prm

    assert all(getattr(grpo_prm, name) for name in grpo_prm.__all__)
    assert set(grpo_prm.__all__) <= set(dir(grpo_prm))


def test_analysis_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import grpo_prm.analysis, grpo_prm.figures"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
