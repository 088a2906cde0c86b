"""The example package: installed as any other, its container, layout and format are used without a word."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"
GROUPS = [
    (f"How much is {n} + {n}?", [(f"It is {n + n + k % 2}.", float(k % 2 == 0)) for k in range(4)]) for n in (1, 2)
]


def quokka(path, groups, damage=b""):
    records = [{"ask": ask, "tries": [{"said": said, "gain": gain} for said, gain in tries]} for ask, tries in groups]
    values = [json.dumps(record).encode() for record in records]
    path.write_bytes(b"quokka 1\n" + b"".join(b"%d:%b" % (len(value), value) for value in values) + damage)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where the package lies once pip has installed it."""
    target, copy = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("plugin") / "plugin"
    shutil.copytree(PLUGIN, copy)  # to install leaves a build folder behind
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(target), str(copy)], capture_output=True, text=True, check=False
    )
    if "No module named pip" in done.stderr:
        pytest.skip("this environment has no pip")
    assert done.returncode == 0, done.stderr
    return target


def inspected(path, installed):
    code = (
        "import sys, json; from grpo_prm.logs import inspect, collect\n"
        "seen, log = inspect(sys.argv[1]), collect(sys.argv[1])\n"
        "print(json.dumps([seen.formats, seen.steps, seen.group_sizes, log.table['reward'].to_list(),"
        " log.rejected['reason'].to_list(), log.counts['rows_read']]))"
    )
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_log_of_another_package_is_read(tmp_path, installed):
    (tmp_path / "parts").mkdir()
    for step in (5, 10):
        quokka(tmp_path / "parts" / f"{step}.quokka", GROUPS, b"99:{" if step == 10 else b"")
    (tmp_path / "run.txt").write_text("5 train parts/5.quokka\n10 train parts/10.quokka\n11 eval parts/gone.quokka\n")
    formats, steps, sizes, rewards, reasons, rows_read = inspected(tmp_path, installed)
    assert formats == ["quokka"] and steps == {"first": 5, "last": 10, "count": 2} and sizes == {"4": 4}
    assert rewards == [1.0, 0.0, 1.0, 0.0] * 4 and reasons == ["cut short"] and rows_read == 17


BROKEN = """
from grpo_prm.logs import Format

def detect(head):
    return 1 / 0

FORMAT = Format("broken", detect)
"""


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("broken = broken:FORMAT", "broken of broken fails with ZeroDivisionError"),
        (
            "broken = broken:FORMTA",
            "The package broken cannot be used: its entry point broken (grpo_prm.formats) fails",
        ),
    ],
)
def test_a_broken_package_is_named(tmp_path, points, message):
    site = tmp_path / "site"
    (site / "broken-1.0.dist-info").mkdir(parents=True)
    (site / "broken.py").write_text(BROKEN)
    (site / "broken-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (site / "broken-1.0.dist-info" / "entry_points.txt").write_text(f"[grpo_prm.formats]\n{points}\n")
    (tmp_path / "log.jsonl").write_text('{"group": 1, "tokens": [1], "reward": 1}\n' * 2)
    code = "import sys; from grpo_prm.logs import collect; collect(sys.argv[1])"
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log.jsonl")], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 1 and message in done.stderr
