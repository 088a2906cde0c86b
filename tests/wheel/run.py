"""Install the wheel as a user does, in a fresh environment and another folder, and type what the README says first.

    python tests/wheel/run.py DIST

DIST holds what release.py has built: the wheel, made of the sdist. The versions are the lowest that are promised.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
EXAMPLE = "smollm2.jsonl.gz"
GROUPS = 8  # of the log that stands for the user's
NOT_WANTED = ("torch", "transformers", "pytest", "ray")  # what only extras bring


def main() -> None:
    """Run all checks; an AssertionError or a failed command ends them."""
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    (sdist,) = Path(sys.argv[1]).glob("*.tar.gz")
    began = time.process_time(), os.times()
    check_contents(wheel)
    with TemporaryDirectory() as place:
        bin_of = installed(wheel, Path(place, "venv"))
        folder = Path(place, "elsewhere")
        folder.mkdir()
        commands = first_commands((ROOT / "README.md").read_text(encoding="utf-8"))
        for command in commands:
            run(command.split(), folder, bin_of)
        check_written(folder)
    used = time.process_time() - began[0] + os.times().children_user - began[1].children_user
    sys.stdout.write(f"{sdist.name}, {wheel.name}: installed, {len(commands)} commands ran, {used:.0f} s of CPU\n")


def check_contents(wheel: Path) -> None:
    """The example is there once, as it is in examples/; nothing of tests; pictures and links of the README lead out."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        examples = [name for name in names if name.endswith((".gz", ".jsonl"))]
        assert examples == [f"grpo_prm/examples/{EXAMPLE}"], examples
        assert archive.read(examples[0]) == (ROOT / "examples" / EXAMPLE).read_bytes()
        tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
        assert tops == {"grpo_prm", "grpo_prm_cli"}, tops
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert re.findall(r"!\[.*?\]\(https://", text), "no picture"
    assert not re.findall(r"\]\((?!https://|#)", text), "a link that leads nowhere from PyPI"
    assert "\nProject-URL: Repository, https://" in text


def installed(wheel: Path, venv: Path) -> Path:
    """A fresh environment with the wheel and the lowest versions of what it needs; its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(venv / "bin" / "python")]
    lowest = str(ROOT / "constraints-lowest.txt")
    subprocess.run([*pip, "install", "--quiet", "--no-compile", "--constraint", lowest, str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    there = {one["name"].lower() for one in json.loads(subprocess.check_output([*pip, "list", "--format", "json"]))}
    assert "polars" in there and not there.intersection(NOT_WANTED), there
    return venv / "bin"


def first_commands(readme: str) -> list[str]:
    """The commands of the README's first section, in their order, without those that install."""
    section = readme[readme.index("## First minute") :]
    section = section[: section.index("\n## ")]
    lines = re.findall(r"^    (grpo-prm .*)$", section, re.MULTILINE)
    assert lines and lines[0].startswith("grpo-prm demo"), lines
    return [line.partition("#")[0].strip() for line in lines]


def run(command: list[str], folder: Path, bin_of: Path) -> None:
    """Run a command of the environment in a folder, where a small log lies as soon as there is one."""
    sys.stdout.write(f"$ {' '.join(command)}\n")
    sys.stdout.flush()
    environment = {"PATH": f"{bin_of}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
    log = folder / "demo.prm" / EXAMPLE
    if log.exists() and not (folder / "rollouts.jsonl").exists():
        lines = gzip.decompress(log.read_bytes()).splitlines(keepends=True)
        (folder / "rollouts.jsonl").write_bytes(b"".join(lines[: GROUPS * 16]))


def check_written(folder: Path) -> None:
    """Both analyses have their groups, pages and figures."""
    for name, groups in (("demo.prm", 48), ("rollouts.prm", GROUPS)):
        summary = json.loads((folder / name / "summary.json").read_text(encoding="utf-8"))
        assert summary["counts"]["groups"] == groups, summary["counts"]
        assert (folder / name / "report.html").stat().st_size > 100_000
        assert (folder / name / "figures" / "overlap_over_groups.pdf").read_bytes().startswith(b"%PDF")


if __name__ == "__main__":
    main()
