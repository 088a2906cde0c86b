"""verl finds our trainer by itself, by the entry point, and who does not ask for it pays nothing."""

import subprocess
import sys


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, check=True, env={"PATH": "", "HOME": "/tmp", **environment},  # noqa: S108
    )  # fmt: skip
    return done.stdout.split()


LOADED = "print(*sorted(name for name in sys.modules if name.startswith('grpo_prm')))"
NAMES = "from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY; print(*sorted(TRAINER_REGISTRY))"


def test_importing_verl_loads_one_small_module_of_ours_and_nothing_of_verls_trainers():
    code = f"import sys, verl; {LOADED}; print('verl.trainer' in sys.modules)"
    plugin = ["grpo_prm", "grpo_prm.integrations", "grpo_prm.integrations.verl", "grpo_prm.version"]
    assert python(code) == [*plugin, "False"]


def test_the_trainer_is_registered_as_soon_as_verls_own_are():
    others = ["colocate_async", "lambda_sync", "separate_async", "sync"]
    assert python(f"import verl; {NAMES}") == others
    # Another way to the same module: the one that Ray takes when it unpickles the loss in a worker.
    assert python(f"import verl.trainer.ppo.v1.trainer_sync; {NAMES}") == others


def test_whoever_switches_plugins_off_is_left_alone():
    off = {"VERL_USE_EXTERNAL_PLUGINS": "none"}
    assert python(f"import verl; {NAMES}", **off) == ["colocate_async", "separate_async", "sync"]
    # And can name it themselves, here after verl's trainers are imported.
    assert "lambda_sync" in python(f"import verl.trainer.ppo.v1, grpo_prm.integrations.verl; {NAMES}", **off)
