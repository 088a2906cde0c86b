"""Start OpenRLHF or NeMo-RL with λ weights in it, by their own scripts and with their own arguments."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from typing import get_args

from .rows import Kind

EXAMPLES = """Examples:

    python -m grpo_prm.integrations openrlhf --actor.model_name_or_path ...
    python -m grpo_prm.integrations --lambda-power 0 --rollouts run/rollouts openrlhf ...     # records alone
    python -m grpo_prm.integrations --lambda-kind parent nemo-rl examples/run_grpo.py --config ...
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Put the weights in, then run the framework's script as if it had been called itself.

    Args:
        arguments: Ours, the name of the framework, its arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(
        "python -m grpo_prm.integrations",
        description="Start OpenRLHF or NeMo-RL, by their own scripts, with λ weights in them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--lambda-power", type=float, default=1.0, help="p of |λ|^-p: 0 is GRPO, 1 λ-GRPO (default)")
    parser.add_argument("--lambda-kind", choices=get_args(Kind), default="process-set", help="of weights")
    parser.add_argument("--rollouts", metavar="FOLDER", help="record all rollouts there; OpenRLHF keeps none itself")
    parser.add_argument("framework", choices=("openrlhf", "nemo-rl"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own; of NeMo-RL the script first")
    own = parser.parse_args(arguments)
    if own.framework == "nemo-rl" and not own.arguments:
        parser.error("NeMo-RL's script is missing: give examples/run_grpo.py and its arguments.")
    if own.framework == "nemo-rl" and own.rollouts:
        parser.error("NeMo-RL records its rollouts by itself, in the run's folder under logger.log_dir: no --rollouts.")
    if own.framework == "openrlhf":
        from . import openrlhf

        openrlhf.switch_on(own.lambda_power, own.lambda_kind, own.rollouts)
        sys.argv = ["openrlhf.cli.train_ppo_ray", *own.arguments]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        from . import nemo_rl

        nemo_rl.switch_on(own.lambda_power, own.lambda_kind)
        sys.argv = own.arguments
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
