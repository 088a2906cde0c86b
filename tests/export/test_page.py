"""docs/export.md names every field and every count, and its code runs."""

import re
from pathlib import Path

import polars as pl

from grpo_prm.export import FORMATS, ExportOptions, export
from grpo_prm.export.run import COUNTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def test_every_field_and_every_count_is_named(tmp_path):
    named = set(re.findall(r"`([\w.\[\]/-]+)`", PAGE)) | {
        part for dotted in re.findall(r"`([\w.\[\]]+)`", PAGE) for part in dotted.split(".")
    }
    assert set(COUNTS) <= named and set(FORMATS) <= named
    for to in ("spans", "tokens"):
        out = tmp_path / f"out{FORMATS[to].suffix}"
        export(ROOT / "examples" / "chain.jsonl", out, to)
        table = pl.read_parquet(out) if to == "tokens" else pl.read_ndjson(out, infer_schema_length=None)
        assert set(table.columns) <= named


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL).group(1)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - our own text
    rows, labels = map(int, capsys.readouterr().out.split())
    assert 0 < rows < labels and ExportOptions().min_members == 2
