"""What a log says in odd characters cannot command the terminal that `--json` is shown on."""

import json
import shutil
import unicodedata

import pytest
from grpo_prm_cli.main import app
from typer.testing import CliRunner

import grpo_prm.integrations.doctor as module
from grpo_prm.integrations.doctor import Check

ODD = "\x9b31m\u202e\u200bλ"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    rows = [
        {"step": step, "group": f"{ODD}{group}", "prompt": ODD, "completion": f"{ODD} {n} {n % 2}", "reward": n % 2}
        for step in (1, 2)
        for group in range(3)
        for n in range(4)
    ]
    (folder / f"{ODD}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def shown(folder, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert {c for c in done.stdout if unicodedata.category(c)[0] == "C"} <= {"\n"}
    return json.loads(done.stdout)


def test_no_command_prints_what_a_terminal_obeys(folder):
    log = f"{ODD}.jsonl"
    assert ODD in shown(folder, "inspect", log)["files"][0]
    assert ODD in shown(folder, "analyze", log, "--no-figures", "--out", f"{ODD}.prm")["source"]["files"][0]
    assert ODD in json.dumps(shown(folder, "tree", f"{ODD}.prm", "--group", f"1:{ODD}0"), ensure_ascii=False)
    assert ODD in shown(folder, "export", log, "--to", "spans", "--out", f"{ODD}.out.jsonl")["out"]
    shutil.copytree(folder / f"{ODD}.prm", folder / f"other{ODD}.prm")
    both = shown(folder, "compare", f"{ODD}.prm", f"other{ODD}.prm", "--out", "sweep")
    assert ODD in json.dumps(both, ensure_ascii=False)


def test_nor_does_doctor(folder, monkeypatch):
    monkeypatch.setattr(module, "doctor", lambda _: iter([Check("ok", ODD, "")]))
    assert shown(folder, "doctor", "verl")["checks"][0]["what"] == ODD
