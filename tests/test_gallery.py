"""The page of figures is what its command writes, and its code runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_prm.figures import FIGURES

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_page_is_what_the_command_writes(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "make_gallery.py"), str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    page = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    assert page == (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"), "run make gallery"
    for name in (*FIGURES, *(f"{name}_smollm2" for name in ("overlap_over_groups", "decided", "informativeness"))):
        assert page.count(f"figures/gallery/{name}.png") == 1
        for folder in (tmp_path, ROOT / "docs"):
            image = folder / "figures" / "gallery" / f"{name}.png"
            assert 5_000 < image.stat().st_size < 100_000


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - our own text
    assert (tmp_path / "overlap.svg").read_bytes().startswith(b"<?xml")
