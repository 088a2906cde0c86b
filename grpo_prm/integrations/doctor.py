"""`grpo-prm doctor`: whether λ-GRPO works inside the trainer that is installed here, checked one thing after another.

verl says at DEBUG only that a plugin could not be loaded, and a fused loss passes a gradient hook by in silence. So
each thing that must hold is checked by itself, with what to do where it does not, and last the weights are tried out.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, Literal, NamedTuple

from ..machine import cores, free_cores

Framework = Literal["trl", "verl"]
State = Literal["ok", "note", "FAILED"]
TESTED = {"trl": ("0.29.1", "1.16.0"), "verl": ("0.9.1",)}
INSTALL = {
    "trl": "pip install 'grpo-prm[trl]' (in a checkout: pip install '.[trl]')",
    "verl": "verl needs transformers below 5.11, so in an environment of its own: pip install verl==0.9.1 grpo-prm "
    "(in a checkout: pip install verl==0.9.1 .)",
}
# Named, not imported: verl must load the plugin by itself here, as it must in training.
PLUGIN, TRAINER = "grpo_prm.integrations.verl", "lambda_sync"
POLICY = "VERL_USE_EXTERNAL_PLUGINS"
# What is called or overridden of the framework, with the parameters that it must begin with.
SEAMS: dict[Framework, dict[str, str]] = {
    "verl": {
        "verl.workers.utils.losses:ppo_loss": "config model_output data dp_group",
        "verl.workers.utils.padding:no_padding_2_padding": "tensor data",
        "verl.workers.engine_workers:ActorRolloutRefWorker.set_loss_fn": "self loss_fn",
        "verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync._setup": "self",
        "verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync.fit": "self agent_loop_manager",
        "verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync._compute_advantage": "self batch metrics",
        "transfer_queue:kv_batch_get": "keys partition_id select_fields",
        "transfer_queue:kv_batch_put": "keys partition_id fields",
    },
    "trl": {
        "trl:GRPOTrainer._calculate_rewards": "self inputs prompts completions completion_ids_list",
        "trl:GRPOTrainer._generate_and_score_completions": "self inputs",
        "trl:GRPOTrainer._get_per_token_logps_and_entropies": "self model input_ids attention_mask logits_to_keep",
        "trl:GRPOTrainer.compute_loss": "self model inputs",
        "trl:GRPOTrainer.training_step": "self model inputs",
        "trl:GRPOTrainer.log": "self logs",
    },
}
SWITCH_ON = {
    "trl": "LambdaGRPOTrainer(model, [reward], LambdaGRPOConfig(...), train_dataset=data).train()",
    "verl": "python -m verl.trainer.main_ppo trainer.v1.trainer_mode=lambda_sync algorithm.adv_estimator=grpo ...",
}


class Check(NamedTuple):
    """One thing that was checked.

    Attributes:
        state: `note` is no fault, but nothing that was tested either.
        what: What was found, the number first where there is one.
        todo: What to do about it; empty where nothing is to be done.
    """

    state: State
    what: str
    todo: str = ""


def doctor(framework: Framework) -> Iterator[Check]:
    """Check everything that must hold, in the order in which it is needed; end where nothing more can be checked.

    Args:
        framework: Which trainer.
    """
    try:
        found = version(framework)
    except PackageNotFoundError:
        yield Check("FAILED", f"{framework} is not installed here.", INSTALL[framework])
        return
    yield Check("ok", f"{framework} {found} is installed.")
    yield _tested(framework, found)
    if framework == "verl":
        yield from _plugin()
    at = "verl.trainer.ppo.v1" if framework == "verl" else "trl"
    if fault := _fault(lambda: inspect.getmembers(import_module(at), inspect.isclass)):
        yield Check("FAILED", f"{at} cannot be imported: {fault}.", "Install what it needs, then ask again.")
        return
    if framework == "verl":
        yield _registered()
    if framework == "trl":
        yield _threads()
    seams = [_seam(where, parameters) for where, parameters in SEAMS[framework].items()]
    yield from seams
    if all(seam.state == "ok" for seam in seams):  # else the trial would only fail in worse words
        yield _trial(framework)


def _tested(framework: Framework, found: str) -> Check:
    tested = TESTED[framework]
    if found in tested:
        return Check("ok", f"{found} is a version that our tests run on.")
    which = ", ".join(tested)
    return Check(
        "note",
        f"{found} is no version that our tests run on ({which}); the checks below say whether it fits.",
        f"If one fails: pip install {framework}=={tested[-1]}",
    )


def _plugin() -> Iterator[Check]:
    """Whether verl will find and load our plugin by itself."""
    ours = [point for point in entry_points(group="verl.plugins") if point.value == PLUGIN]
    if not ours:
        yield Check(
            "FAILED",
            "grpo-prm has no entry point among verl.plugins, so verl does not load it.",
            "Install grpo-prm again in this environment: pip install --force-reinstall --no-deps grpo-prm",
        )
        return
    name = ours[0].name
    yield Check("ok", f"The entry point {name} of verl.plugins is {ours[0].value}.")
    # Read as verl reads it when it is imported.
    policy = os.environ.get(POLICY, "auto").strip().lower()
    if policy != "auto" and name not in [one.strip() for one in policy.split(",")]:
        yield Check("FAILED", f"{POLICY} is {policy}, so verl leaves {name} out.", f"unset {POLICY}")


def _registered() -> Check:
    """Whether the trainer has its name with verl, and if not, why."""
    if TRAINER in import_module("verl.trainer.ppo.v1.trainer_base").TRAINER_REGISTRY:
        return Check("ok", f"verl knows the trainer {TRAINER}.")
    tried = (_fault(lambda name=name: import_module(name)) for name in (PLUGIN, f"{PLUGIN}_trainer"))
    fault = next(filter(None, tried), "it did not load the plugin")
    return Check("FAILED", f"verl does not know the trainer {TRAINER}: {fault}.", "See to that, then ask again.")


def _threads() -> Check:
    """Whether torch has more threads than cores are free, which a GPU hardly minds and a CPU very much."""
    import torch

    threads, free, here = torch.get_num_threads(), free_cores(), cores()
    what = f"torch has {threads} CPU thread{'s' * (threads != 1)}, and {free} of {here:.3g} cores may be used now"
    if threads <= free or torch.cuda.is_available():
        return Check("ok", f"{what}.")
    todo = f"export OMP_NUM_THREADS={free} before you train on it (grpo-prm train chooses by itself)."
    return Check("note", f"{what}: a CPU would take many times longer.", todo)


def _seam(where: str, parameters: str) -> Check:
    """Whether a function is there and begins with the parameters by which it is called or overridden."""
    module, _, path = where.partition(":")
    expected = parameters.split()
    try:
        target: Any = import_module(module)
        for name in path.split("."):
            target = getattr(target, name)
        found = list(inspect.signature(target).parameters)
    except Exception as error:
        return Check("FAILED", f"{where} is not there: {error}.", "This version is not supported yet.")
    if found[: len(expected)] != expected:
        has, needs = ", ".join(found), ", ".join(expected)
        return Check("FAILED", f"{where} has ({has}), not ({needs}).", "This version is not supported yet.")
    return Check("ok", f"{where}({', '.join(expected)})")


def _trial(framework: Framework) -> Check:
    """Put weights on a gradient of the framework's own, and see that it has them."""
    module = f"grpo_prm.integrations.{framework}_trial"
    try:
        return Check("ok", import_module(module).trial())
    except Exception as error:
        return Check("FAILED", f"The trial went wrong: {_in_one_line(error)}.", "Report it with the lines above.")


def _fault(act: Callable[[], object]) -> str:
    """What goes wrong with it in one line; empty where nothing does."""
    try:
        act()
    except Exception as error:
        return _in_one_line(error)
    return ""


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0].removesuffix(".")
