"""What pages of the docs show of commands, by running them again: `python make_docs.py ../docs/tutorial.md ...`.

In such a page a fenced block of `console` holds commands, each after `$ `, and what they print; one of `python` holds
code. They run one after the other in an empty folder that has `examples/`. An image after a comment with a path, as in
`<!-- a.prm/figures/group_tree.png -->`, is that file of the folder.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

EXAMPLES = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^<!-- (\S+\.png) -->\n!\[[^\]]*\]\(([^)]+)\)", re.MULTILINE)
# Of a terminal of 80 columns; seconds depend on the machine, so nothing that is shown may tell them.
TERMINAL = {"PATH": "", "COLUMNS": "80", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main(pages: list[Path]) -> None:
    """Write each page again with what its commands print now, and its pictures."""
    for page in pages:
        with TemporaryDirectory() as folder:
            text = shown(page.read_text(encoding="utf-8"), Path(folder))
            for made, place in PICTURE.findall(text):
                (page.parent / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(folder) / made, page.parent / place)
        page.write_text(text, encoding="utf-8")


def shown(text: str, folder: Path) -> str:
    """The page as its commands and its code make it, run in a folder that is empty so far."""
    (folder / "examples").symlink_to(EXAMPLES)

    def again(block: re.Match[str]) -> str:
        kind, inside = block.groups()
        if kind == "python":
            run([sys.executable, "-c", inside], folder)
            return block[0]
        commands = re.findall(r"^\$ (.*)$", inside, re.MULTILINE)
        return "```console\n" + "".join(f"$ {command}\n{printed(command, folder)}" for command in commands) + "```"

    return BLOCK.sub(again, text)


def printed(command: str, folder: Path) -> str:
    """What a command prints; `grpo-prm` and `python` are those of this Python."""
    program, *arguments = shlex.split(command, comments=True)
    start = {"grpo-prm": [sys.executable, "-m", "grpo_prm"], "python": [sys.executable]}[program]
    lines = run([*start, *arguments], folder).strip("\n").splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def run(command: list[str], folder: Path) -> str:
    """The standard output of a command that ends well."""
    done = subprocess.run(  # noqa: S603 - commands of our own pages
        command, capture_output=True, check=False, cwd=folder, encoding="utf-8", env=TERMINAL
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} ends with {done.returncode}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
