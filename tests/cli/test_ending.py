"""How a command ends that cannot go on: a signal while it starts, a disk that is full."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from grpo_prm.errors import UsageError
from grpo_prm.full_disk import full_disk
from grpo_prm.stopping import deaf_to_interrupts

CHAIN = Path(__file__).parents[2] / "examples" / "chain.jsonl"
STARTING = """
import os, sys
from grpo_prm_cli.entry import main
class Hit:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Hit())
sys.argv[1:] = ["analyze", {log!r}, "--no-figures"]
main()
"""

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


def python(code, folder=None):
    """A program that is run to its end."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=120)


def run(command, folder, blocks="unlimited"):
    """A command in a folder, whose files may not grow beyond some blocks: of 1,024 bytes in bash, and 512 in sh."""
    line = f"ulimit -f {blocks}; {shlex.quote(sys.executable)} -m grpo_prm {command}"
    return subprocess.run(line, check=False, shell=True, cwd=folder, capture_output=True, text=True)  # noqa: S602


@posix
@pytest.mark.parametrize("module", ["typer", "grpo_prm_cli.main", "polars"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_command_starts_ends_it_with_its_code_and_a_sentence(tmp_path, name, module):
    number = int(getattr(signal, name))
    code = STARTING.format(module=module, number=number, log=str(CHAIN))
    done = python(code, tmp_path)
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr.endswith(": nothing is left half written\n") and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.slow
def test_a_file_that_may_not_grow_is_exit_2_with_a_sentence_and_the_old_output_stays(tmp_path):
    log = shlex.quote(str(CHAIN))
    assert run(f"analyze {log} --no-figures --out a.prm", tmp_path).returncode == 0
    (tmp_path / "old.jsonl").write_text("old")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for command in (
        f"analyze {log} --no-figures --out a.prm",
        f"convert {log} old.jsonl",
        f"export {log} --to spans --out old.jsonl",
        "report a.prm",
        "plot a.prm --out new/plots",
    ):
        done = run(command, tmp_path, blocks=2)  # less than any output
        assert (done.returncode, done.stdout) == (2, ""), (command, done.stderr)
        assert done.stderr.startswith("error: File too large: nothing is left half written"), (command, done.stderr)
        assert done.stderr.count("\n") == 1
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.prm", "old.jsonl"]


def test_a_full_disk_is_known_however_deep_it_lies_and_nothing_else_is_one():
    outer = UsageError("cannot be written")
    outer.__cause__ = OSError(28, "No space left on device")
    assert full_disk(outer) == "No space left on device"
    assert full_disk(OSError("File too large (os error 27)")) == "File too large"  # of polars
    assert full_disk(RuntimeError("PytorchStreamWriter failed writing file data/0")) == "No space left on device"
    assert full_disk(ValueError("No space left on device")) is None  # a text of a log may say so
    assert full_disk(PermissionError(13, "Permission denied")) is None and full_disk(None) is None


WIDE = """
import multiprocessing, resource, sys
from concurrent.futures import ProcessPoolExecutor
import polars as pl
from grpo_prm.full_disk import full_disk

def lazily(path):
    pl.DataFrame(COLUMNS).lazy().sink_parquet(path)

def at_once(path, limit=None):
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    pl.DataFrame(COLUMNS).write_parquet(path)

def say(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        print("transport error" in str(error), full_disk(error))

COLUMNS = {f"column {n}": [n] for n in range(600)}
if __name__ == "__main__":
    path, limits = sys.argv[1], range(1000, 140_000, 3989)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as worker:
        for limit in limits:
            say(worker.submit(at_once, path, limit).result)
    for limit in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        say(lazily, path)
        say(at_once, path)
"""


@posix
@pytest.mark.slow
def test_a_disk_that_is_full_anywhere_in_a_parquet_file_is_one_and_a_damaged_file_is_none(tmp_path):
    (tmp_path / "wide.py").write_text(WIDE)
    command = [sys.executable, "wide.py", "wide.parquet"]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    said = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
    assert {what for _, what in said} == {"No space left on device", "File too large"}, done.stdout
    assert len(said) > 60 and any(unsaid == "True" for unsaid, _ in said)  # polars does not say why
    with pytest.raises(pl.exceptions.ComputeError) as caught:
        raise pl.exceptions.ComputeError("parquet: File out of specification: Invalid thrift: transport error")
    assert full_disk(caught.value) is None  # what is read is damaged


@posix
@pytest.mark.slow
def test_a_full_disk_ends_a_training_with_a_sentence_and_what_is_saved_stays(tmp_path):
    options = "--steps 1 --warm-steps 1 --prompts 2 --eval-prompts 2 --threads 1 --out a.run"
    done = run(f"train {options}", tmp_path, blocks=16)  # less than its weights
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: File too large: nothing is left half written")
    assert (tmp_path / "a.run" / "config.yaml").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".") or path.name.endswith(".safetensors")]


SPAWNING = """
import multiprocessing as mp, os, signal, time
from multiprocessing import util
from grpo_prm.stopping import stop_in_order
if __name__ == "__main__":
    stop_in_order(("SIGTERM",), lambda _: None)
    spawn = util.spawnv_passfds
    def spawn_and_end(*args):
        number = spawn(*args)
        if "spawn_main" in str(args):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # where the signal is heard
        return number
    util.spawnv_passfds = spawn_and_end
    process = mp.get_context("spawn").Process(target=print, args=("whole",))
    process.start()
    process.join()
    while True:
        time.sleep(1)
"""


@posix
def test_a_signal_while_a_worker_is_started_lets_it_start(tmp_path):
    (tmp_path / "spawning.py").write_text(SPAWNING)
    done = subprocess.run(
        [sys.executable, "spawning.py"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")


IN_A_CALLBACK = """
import os, signal, time, weakref
from grpo_prm.stopping import stop_in_order
class Thing: pass
stop_in_order(("SIGTERM",), lambda _: None)
class Table(dict):
    def __delitem__(self, key):
        super().__delitem__(key)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # where the signal is heard
kept, thing = weakref.WeakKeyDictionary(), Thing()
kept.data = Table()
kept[thing] = 1
del thing  # the dictionary is told
while True:
    time.sleep(1)
"""


@posix
def test_a_signal_while_an_object_goes_is_not_lost():
    done = python(IN_A_CALLBACK)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")


INSIDE_POLARS = """
import os, signal, time
from grpo_prm.stopping import stop_in_order
stop_in_order(("SIGTERM",), lambda _: None)
code = "def default():\\n    os.kill(os.getpid(), signal.SIGTERM)\\n    time.sleep(0)"  # where the signal is heard
exec(compile(code, os.path.join("site-packages", "polars", "io", "options.py"), "exec"))
try:
    default()  # as Rust calls it
except SystemExit:
    print("panic")
while True:
    time.sleep(1)
"""


@posix
def test_a_signal_while_polars_opens_a_file_waits():
    done = python(INSIDE_POLARS)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "", "")


@posix
def test_a_process_that_is_started_deaf_never_gets_an_interrupt_and_this_one_does():
    listening = "import sys; sys.stdout.write('on\\n'); sys.stdout.flush()"
    command = [sys.executable, "-c", f"{listening}; sys.stdin.read(); sys.stdout.write('whole')"]
    with deaf_to_interrupts():
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == "on\nwhole" and child.returncode == 0
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # of a job in the background it is ignored
    try:
        with pytest.raises(KeyboardInterrupt), deaf_to_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
