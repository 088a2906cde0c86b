"""What the folder of an analysis is called where the user does not say."""

from pathlib import Path

import pytest
from grpo_prm_cli.naming import default_folder


@pytest.mark.parametrize(
    ("logs", "folder"),
    [
        (["a.jsonl"], "a"), (["dump/"], "dump"), (["a.jsonl.gz"], "a"), (["a.tar.gz"], "a"), (["a.jsonl.xz"], "a"),
        (["lr0.1.jsonl"], "lr0.1"), (["lr0.5.jsonl.gz"], "lr0.5"), (["a.csv.jsonl"], "a.csv"), (["a.json/"], "a"),
        (["v1.2-run.jsonl"], "v1.2-run"), (["run.v2"], "run.v2"), (["."], "work"), ([".."], "above"),
        (["out/completions"], "out"), (["out/rollouts/"], "out"), (["rollouts.jsonl"], "rollouts"),
        (["a.jsonl", "b.jsonl"], "a-b"), (["a.jsonl", "c.jsonl", "b.jsonl"], "a-b"),
        (["x/a.jsonl", "y/a.jsonl"], "a-a"),
        (["-"], "stdin"), (["/dev/stdin"], "stdin"), (["/dev/fd/63"], "stdin"),
        (["runs/*.jsonl"], "runs"), (["*.jsonl"], "work"), (["runs/step_*/x.jsonl"], "runs"),
        (["odd[1].jsonl"], "odd[1]"),
        (["s3://bucket/run/log.jsonl"], "log"), (["https://host/a%20b.jsonl?download=true"], "a b"),
        (["owner/name"], "name"),
        (["s3://bucket/run/completions"], "run"), (["s3://bucket/run/*.jsonl"], "run"), (["file:///x/log.csv"], "log"),
        (["/"], "rollouts"),
    ],
)  # fmt: skip
def test_the_folder_is_called_like_the_log(tmp_path, monkeypatch, logs, folder):
    (tmp_path / "above" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "above" / "work")
    Path("odd[1].jsonl").touch()
    assert default_folder(logs) == Path(f"{folder}.prm")
