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


def test_the_lowest_versions_that_are_tested_are_those_that_are_promised():
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floors = dict(line.lower().split(">=") for line in promised)
    pins = (ROOT / "constraints-lowest.txt").read_text().lower().splitlines()
    tested = dict(line.split("==") for line in pins if not line.startswith("#"))
    assert [name for name, floor in floors.items() if tested[name] not in (floor, f"{floor}.0")] == []


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


def test_no_public_name_is_that_of_a_module():
    """`from . import x` inside the package puts the module in the name's place, as soon as anything imports it."""
    import grpo_prm

    modules = {path.stem for path in (ROOT / "grpo_prm").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {"analysis", "compare", "export", "report", "tree"} <= modules
    assert modules & set(grpo_prm.__all__) == set()


def test_public_names_stay_what_they_are_when_modules_are_imported():
    code = (
        "import grpo_prm, pkgutil, importlib\n"
        "before = {name: getattr(grpo_prm, name) for name in grpo_prm.__all__}\n"
        "for module in pkgutil.iter_modules(grpo_prm.__path__, 'grpo_prm.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)\n"
        "assert {name: getattr(grpo_prm, name) for name in grpo_prm.__all__} == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_the_same_for_python_and_for_type_checkers():
    import grpo_prm

    (block,) = (node for node in ast.parse((ROOT / "grpo_prm" / "__init__.py").read_text()).body
                if isinstance(node, ast.If))  # fmt: skip
    typed = {
        (alias.asname or alias.name): (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == grpo_prm._PUBLIC
    assert sorted([*typed, "__version__"]) == grpo_prm.__all__


def test_analysis_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import grpo_prm, pkgutil\n"
        "from importlib import import_module\n"
        "layers = 'analysis api compare core export figures logs models report tasks text tree'.split()\n"
        "for layer in layers:\n"
        "    package = import_module(f'grpo_prm.{layer}')\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if module.name not in ('grpo_prm.core.loss', 'grpo_prm.tree.app'):\n"
        "            import_module(module.name)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
