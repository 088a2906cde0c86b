"""Which trainer a run's settings name: the package's own, or TRL's with the same settings."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..train.events import Watch, nobody
from ..train.settings import TrainConfig

if TYPE_CHECKING:
    from ..train.loop import Result


def train(config: TrainConfig, watch: Watch = nobody, *, resume: bool = False) -> Result:
    """Train as `config.backend` has it; both leave the same kind of run folder (`train.loop.train`).

    Raises:
        UsageError: TRL or vLLM is asked for and not installed; else as the trainer.
    """
    if config.backend == "own":
        from ..train.loop import train as own

        return own(config, watch, resume=resume)
    check_installed(config)
    from .trl_backend import train as in_trl

    return in_trl(config, watch, resume=resume)


def check_installed(config: TrainConfig) -> None:
    """Refuse settings that need a package which is not there.

    Raises:
        UsageError: The package is named.
    """
    if config.backend == "trl" and find_spec("trl") is None:
        raise UsageError("--backend trl needs TRL, which is not installed. Install it: pip install 'grpo-prm[trl]'.")
    if config.vllm and find_spec("vllm") is None:
        raise UsageError("--vllm needs vLLM, which is not installed. Install it: pip install 'trl[vllm]'.")
