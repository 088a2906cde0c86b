"""λ-GRPO inside verl, switched on by one line of its configuration: `trainer.v1.trainer_mode=lambda_sync`.

verl loads this module by itself (entry point `verl.plugins`) in every process that imports it: driver, workers, reward
servers. So it imports nothing but Python's own, and the trainer, which needs Ray and the whole of `verl.trainer`, is
registered at the moment when verl imports its own trainers. Who does not ask for `lambda_sync` pays nothing.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NAME = "lambda_sync"  # what trainer.v1.trainer_mode is set to
TRAINERS = "verl.trainer.ppo.v1"  # where verl keeps its trainers and their registry
logger = logging.getLogger("grpo_prm")


class AfterTrainers(MetaPathFinder):
    """Registers ours once verl's trainers are imported; stands aside for every other module."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        """The spec of verl's trainers with our registration behind it; None for any other module."""
        if fullname != TRAINERS:
            return None
        sys.meta_path.remove(self)  # once is enough, and without it Python's own finders answer
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run(module)
            _register_now()

        spec.loader.exec_module = run_and_register
        return spec


def register() -> None:
    """Register `lambda_sync` with verl: now if its trainers are imported already, else as soon as they are."""
    if TRAINERS in sys.modules:
        _register_now()
    elif not any(isinstance(finder, AfterTrainers) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterTrainers())


def _register_now() -> None:
    """Import the trainer, which registers itself; a verl that it does not fit must go on without it."""
    try:
        import_module("grpo_prm.integrations.verl_trainer")
    except Exception as error:  # verl's other trainers must work with whatever is wrong here
        logger.warning("%s is not registered with verl: %s. `grpo-prm doctor verl` says more.", NAME, error)


register()  # verl loads the module and calls nothing
