"""`grpo-prm doctor`: what it finds of a framework that is there, absent, old, or changed."""

import json
import subprocess
import sys
import types

import pytest
from grpo_prm_cli.main import app
from typer.testing import CliRunner

import grpo_prm.integrations.doctor as module
from grpo_prm.integrations.doctor import SEAMS, Check, doctor


class Point:
    """An entry point."""

    name, value = "grpo_prm", "grpo_prm.integrations.verl"


@pytest.fixture
def verl(monkeypatch):
    """A stand-in with every seam, as version 0.9.1; its modules by name."""
    made = {}
    for where, parameters in SEAMS["verl"].items():
        name, _, path = where.partition(":")
        here = made.setdefault(name, types.ModuleType(name))
        *owners, last = path.split(".")
        for owner in owners:
            here = here.__dict__.setdefault(owner, type(owner, (), {})) if isinstance(here, types.ModuleType) else here
        call = eval(f"lambda {', '.join(parameters.split())}, more=None: None")  # noqa: S307
        setattr(here, last, call)
    registry = types.ModuleType("verl.trainer.ppo.v1.trainer_base")
    registry.TRAINER_REGISTRY = {"sync": object, "lambda_sync": object}
    made |= {registry.__name__: registry, "verl.trainer.ppo.v1": types.ModuleType("verl.trainer.ppo.v1")}
    trial = types.ModuleType("grpo_prm.integrations.verl_trial")
    trial.trial = lambda: "0 between weights and factors."
    made[trial.__name__] = trial
    for name, one in made.items():
        monkeypatch.setitem(sys.modules, name, one)
    monkeypatch.setattr(module, "version", lambda name: "0.9.1")
    monkeypatch.setattr(module, "entry_points", lambda group: [Point()] if group == "verl.plugins" else [])
    monkeypatch.delenv("VERL_USE_EXTERNAL_PLUGINS", raising=False)
    return made


def failed():
    return [check for check in doctor("verl") if check.state == "FAILED"]


def test_a_verl_that_fits_passes_every_check(verl):
    checks = list(doctor("verl"))
    assert {check.state for check in checks} == {"ok"} and len(checks) == 5 + len(SEAMS["verl"])
    assert checks[-1].what == "0 between weights and factors." and not any(check.todo for check in checks)


@pytest.mark.parametrize("framework", ["verl", "trl"])
def test_what_is_not_installed_is_said_with_what_to_type(framework, monkeypatch):
    def absent(name):
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", absent)
    (check,) = doctor(framework)
    assert (
        check.state == "FAILED" and check.what == f"{framework} is not installed here." and "pip install" in check.todo
    )


def test_a_version_that_is_not_tested_is_a_note(verl, monkeypatch):
    monkeypatch.setattr(module, "version", lambda name: "0.10.0")
    checks = list(doctor("verl"))
    assert checks[1] == Check(
        "note",
        "0.10.0 is no version that our tests run on (0.9.1); the checks below say whether it fits.",
        "If one fails: pip install verl==0.9.1",
    )
    assert [check.state for check in checks].count("ok") == len(checks) - 1


def test_no_entry_point(verl, monkeypatch):
    monkeypatch.setattr(module, "entry_points", lambda group: [])
    (check,) = failed()
    assert "no entry point among verl.plugins" in check.what and "--force-reinstall" in check.todo


@pytest.mark.parametrize(
    ("policy", "left_out"), [("none", True), ("other", True), ("other, grpo_prm", False), ("Auto ", False)]
)
def test_the_policy_of_plugins(policy, left_out, verl, monkeypatch):
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", policy)
    assert [check.todo for check in failed()] == ["unset VERL_USE_EXTERNAL_PLUGINS"] * left_out


@pytest.mark.parametrize("broken", ["grpo_prm.integrations.verl", "grpo_prm.integrations.verl_trainer"])
def test_a_trainer_that_is_not_registered_says_why(broken, verl, monkeypatch):
    """verl itself says at DEBUG only that a plugin could not be loaded."""
    del verl["verl.trainer.ppo.v1.trainer_base"].TRAINER_REGISTRY["lambda_sync"]
    monkeypatch.setitem(sys.modules, broken, None)
    monkeypatch.setitem(sys.modules, "grpo_prm.integrations.verl_trainer", sys.modules.get(broken, None))
    (check,) = failed()
    assert check.what.startswith("verl does not know the trainer lambda_sync: ModuleNotFoundError")
    assert broken in check.what


def test_it_does_not_load_the_plugin_for_verl():
    code = "import sys, grpo_prm.integrations.doctor; print('grpo_prm.integrations.verl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_trainers_that_cannot_be_imported_end_it(verl, monkeypatch):
    monkeypatch.setitem(sys.modules, "verl.trainer.ppo.v1", None)
    checks = list(doctor("verl"))
    assert checks[-1].state == "FAILED" and "verl.trainer.ppo.v1 cannot be imported" in checks[-1].what
    assert len(checks) == 4


def test_other_parameters_and_functions_that_are_gone(verl):
    verl["verl.workers.utils.losses"].ppo_loss = lambda config, output: None
    del verl["transfer_queue"].kv_batch_put
    one, other = failed()
    assert one.what == (
        "verl.workers.utils.losses:ppo_loss has (config, output), not (config, model_output, data, dp_group)."
    )
    assert other.what.startswith("transfer_queue:kv_batch_put is not there")
    assert list(doctor("verl"))[-1].what.startswith("transfer_queue")  # no trial of what cannot work


def test_a_trial_that_goes_wrong(verl):
    def trial():
        raise RuntimeError("verl's gradient has the factors [1.0]")

    verl["grpo_prm.integrations.verl_trial"].trial = trial
    (check,) = failed()
    assert check.what == "The trial went wrong: RuntimeError: verl's gradient has the factors [1.0]."


def test_the_command_prints_a_line_a_check_and_how_to_switch_it_on(verl):
    done = CliRunner().invoke(app, ["doctor", "verl"])
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and lines[0] == "ok      verl 0.9.1 is installed."
    assert lines[-1].startswith("13 checks, none failed.") and "trainer.v1.trainer_mode=lambda_sync" in lines[-1]


def test_the_command_says_how_many_failed(verl, monkeypatch):
    monkeypatch.setattr(module, "entry_points", lambda group: [])
    done = CliRunner().invoke(app, ["doctor", "verl"])
    assert done.exit_code == 3 and "FAILED  grpo-prm has no entry point" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 of 13 checks failed: λ-GRPO does not work in verl here."


def test_json_has_every_check(verl):
    done = CliRunner().invoke(app, ["doctor", "verl", "--json"])
    found = json.loads(done.stdout)
    assert found["framework"] == "verl" and found["fits"] is True and len(found["checks"]) == 13
    assert found["checks"][0] == {"state": "ok", "what": "verl 0.9.1 is installed.", "todo": ""}


@pytest.mark.slow
def test_trl_as_it_is_installed_here_fits():
    pytest.importorskip("trl")
    checks = list(doctor("trl"))
    assert [check for check in checks if check.state == "FAILED"] == []
    assert checks[-1].what.startswith("2 steps of a tiny model: 2 gradients went through the λ weights")


@pytest.mark.slow
def test_a_loss_that_passes_the_hook_by_is_found(monkeypatch):
    trl_trial = pytest.importorskip("grpo_prm.integrations.trl_trial")

    def elsewhere(self, model, inputs):
        ids = inputs["prompt_ids"]
        return model(input_ids=ids).logits.log_softmax(-1)[..., 0].mean()

    monkeypatch.setattr(trl_trial.Counted, "_compute_loss", elsewhere)
    assert module._trial("trl").what.startswith("The trial went wrong: UsageError: No gradient went through")
