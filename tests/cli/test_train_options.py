"""`grpo-prm train`: options become settings, a run's end becomes what a person reads; the run itself is a fake here."""

import json
import subprocess
import sys

import pytest
from grpo_prm_cli import main as cli
from grpo_prm_cli.train import PANELS

import grpo_prm.train.loop as loop
from grpo_prm.core.interval import Interval
from grpo_prm.train.config import make_config, to_yaml
from grpo_prm.train.events import Event
from grpo_prm.train.settings import NAMES

NOTHING = Interval(None, None, None, 0)


def run_python(code, **more):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, encoding="utf-8", **more)


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Runs the command in an empty folder; gives exit code and the settings that the fake run got."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    got = []
    ends = {
        "before": Interval(0.25, 0.2, 0.3, 512),
        "after": Interval(0.9531, 0.93, 0.97, 512),
        "skipped": 0,
        "failed": 0,
    }

    def run(config, watch, *, resume=False):
        got.append((config, resume))
        folder = tmp_path / config.out
        folder.mkdir(exist_ok=True)
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 0, "reward": 0.5}) + "\n")
        (folder / "model").mkdir(exist_ok=True)
        watch(Event("note", text="so \x1b[2J it is"))
        watch(Event("step", 1, 1, {"reward": 0.5}))
        if "raises" in ends:
            raise ends["raises"]
        return loop.Result(folder.relative_to(tmp_path), ends["before"], ends["after"], ends["skipped"], ends["failed"])

    monkeypatch.setattr(loop, "train", run)

    def command(*arguments, **more):
        ends.update(more)
        monkeypatch.setattr(sys, "argv", ["grpo-prm", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *(got[-1] if got else (None, None))

    return command


@pytest.mark.slow
def test_without_an_option_it_is_what_the_task_prefers(trained, capsys, tmp_path):
    assert trained() == (0, make_config(), False)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "held-out accuracy: 0.25 [0.2, 0.3] of 512 prompts before, 0.953 [0.93, 0.97] of 512 prompts after training",
        "run folder: lambda1-chain.run (trained model in model/, curves in figures/)",
        "next: grpo-prm analyze lambda1-chain.run",
    ]
    assert [line.split(maxsplit=1) for line in err.splitlines()[:7]] == [
        ["task", "chain"],
        ["method", "λ-GRPO, p = 1"],
        ["p", "1"],
        ["seed", "0"],
        ["device", "cpu"],
        ["threads", "1 (a small model: the same digits, however busy the machine is)"],
        ["steps", "150"],
    ]
    assert err.splitlines()[7:] == [
        "run folder  lambda1-chain.run",
        r"note: so \x1b[2J it is",
        "step 1/1: reward 0.500",
    ]
    assert {path.suffix for path in (tmp_path / "lambda1-chain.run" / "figures").iterdir()} == {".pdf", ".png", ".csv"}


def test_options_become_settings(trained):
    said = "--lambda 0.5 --weights parent --no-ratio-in-kl --mask-truncated --max-new-tokens 9 --seed 3 --out a.run"
    code, config, _ = trained(*said.split())
    fields = {"power": 0.5, "weights": "parent", "ratio_in_kl": False, "mask_truncated": True, "max_new_tokens": 9}
    assert (code, config) == (0, make_config({**fields, "seed": 3, "out": "a.run"}))


def test_several_rewards_and_a_model(trained, capsys):
    said = ["--model", "m", "--data", "d.jsonl", "--reward", "exact", "--reward", "format*0.5"]
    code, config, _ = trained(*said, before=NOTHING, after=NOTHING, skipped=2)
    assert (code, config.reward, config.out, config.task) == (0, ("exact", "format*0.5"), "lambda1-m.run", None)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "2 optimizer steps were skipped: loss or gradient was not finite" and len(out) == 3


def test_options_overrule_the_file(trained, tmp_path):
    (tmp_path / "run.yaml").write_text("lambda: 0.25\nmatch_norm: true\nsteps: 3\n")
    _, config, _ = trained("--config", "run.yaml", "--no-match-norm", "--steps", "4")
    assert (config.power, config.match_norm, config.steps) == (0.25, False, 4)


@pytest.mark.parametrize("said", [[], ["--out", "a.run"]])
def test_a_run_goes_on_by_its_own_settings(trained, tmp_path, said):
    folder = tmp_path / (said[1] if said else "lambda1-chain.run")
    folder.mkdir()
    began = make_config({"power": 0.25, "steps": 7, "out": "elsewhere.run"})
    (folder / "config.yaml").write_text(to_yaml(began))
    code, config, resume = trained("--resume", *said, "--steps", "9")
    assert (code, resume, config.out) == (0, True, folder.name)
    assert (config.power, config.steps) == (0.25, 9)


def test_of_an_own_model_too(trained, tmp_path):
    (tmp_path / "a.run").mkdir()
    own = {"model": "m", "data": "d", "reward": "exact", "out": "a.run", "threads": 2}  # as a run records them
    (tmp_path / "a.run" / "config.yaml").write_text(to_yaml(make_config(own)))
    code, config, _ = trained("--resume", "--out", "a.run", "--keep", "5")
    assert (code, config) == (0, make_config({**own, "keep": 5}))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["--task", "chian"], "error: No task is called chian; there are chain"),
        (["--group-size", "1"], "error: --group-size is 1, but must be 2 or more. Change it."),
        (["--match-scale", "--weights", "parent"], "error: A matched control trains with p = 0"),
        (["--weights", "parents"], "'parents' is not one of"),
        (["--config", "no.yaml"], "error: no.yaml: cannot be read"),
        (["--lamda", "1"], "No such option: --lamda (Possible options: --lambda, --lora, --vllm)"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_loaded(trained, capsys, said, message):
    assert trained(*said) == (2, None, None)
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in error


def test_interrupted_it_says_how_to_go_on(trained, capsys, tmp_path):
    trained("--out", "my run", raises=SystemExit(130))
    assert "go on with" not in capsys.readouterr().err  # there is nothing yet
    (tmp_path / "my run" / "config.yaml").write_text("")
    trained("--out", "my run", raises=SystemExit(130))
    assert "go on with: grpo-prm train --resume --out 'my run'\n" in capsys.readouterr().err


def test_a_dry_run_trains_nothing(trained, monkeypatch, capsys):
    import grpo_prm.train.dry_run as module

    monkeypatch.setattr(module, "dry_run", lambda config, _: f"p is {config.power}\n")
    assert trained("--dry-run", "--lambda", "2") == (0, None, None)
    assert capsys.readouterr().out == "p is 2.0\n"


def test_every_setting_has_an_option_in_a_panel():
    listed = [name for names in PANELS.values() for name in names.split()]
    assert sorted(listed) == sorted(NAMES)


def test_help_names_every_option_and_imports_no_torch():
    code = (
        "import sys\nfor name in ('torch', 'transformers', 'numpy', 'polars', 'matplotlib', 'yaml'):\n"
        "    sys.modules[name] = None\n"
        "from grpo_prm_cli.main import main; sys.argv[1:] = ['train', '--help']; main()"
    )
    environment = {"COLUMNS": "200", "PATH": ""}
    done = run_python(code, env=environment)
    assert done.returncode == 0, done.stderr
    for name in NAMES.values():
        assert f"--{name.replace('_', '-')} " in done.stdout
    assert "|λ|^-p" in done.stdout and "(default: process-set)" in done.stdout and "[" not in done.stdout.split("╭")[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "transformers", "yaml"])
def test_a_missing_extra_is_said_in_one_line(name, tmp_path):
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    code = (
        f"import sys; sys.modules[{name!r}] = None\nfrom grpo_prm_cli.main import main\n"
        "sys.argv[1:] = ['train', '--config', 'run.yaml']; main()"
    )
    done = run_python(code, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    install = "pip install 'grpo-prm[train]' (in a checkout: pip install '.[train]')"
    assert done.stderr == f"error: this command needs {name}. Install it: {install}\n"
