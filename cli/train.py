"""`grpo-prm train`: GRPO and λ-GRPO with diagnostics, on a built-in task or on a model, data and reward of your own."""

from __future__ import annotations

import inspect
import shlex
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpo_prm.text.amounts import amount
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.config_file import flag, option_kind
from grpo_prm.train.settings import ABOUT

if TYPE_CHECKING:
    from grpo_prm.core.interval import Interval
    from grpo_prm.train.loop import Result
    from grpo_prm.train.threads import Threads

EXAMPLES = """
Examples:

    grpo-prm train --lambda 0.5

    grpo-prm train --task abstain --lambda 1 --weights parent --seed 3 --out abstain.run

    grpo-prm train --model ./my-model --task "reasoning-gym:products?max_digits=2"

    grpo-prm train --model ./my-model --data prompts.jsonl --reward my_rewards:score --eval-data held_out.jsonl

    grpo-prm train --config run.yaml --lambda 0 --out baseline.run

    grpo-prm train --resume --out baseline.run
"""
PANELS = {
    "What to train": "task partial_credit model data prompt_column answer_column split reward reward_timeout system "
    "warm_seed warm_steps",
    "Sampling": "steps prompts group_size max_new_tokens temperature top_p top_k seed",
    "Loss and λ weights": "power weights match_scale match_norm aggregation std clip_low clip_high beta ratio_in_kl "
    "loss_temperature updates_per_batch mask_truncated",
    "Optimizer": "optimizer learning_rate weight_decay schedule warmup_steps max_grad_norm",
    "Machine": "backend vllm packing token_budget dtype device lora lora_alpha gradient_checkpointing threads",
    "Record": "out eval_data eval_every eval_prompts save_every keep tracker",
}
LEFT = {"model": "trained model", "checkpoints/best": "best model", "figures": "curves"}
METAVARS: dict[Any, str | None] = {str: "TEXT", int: "INTEGER", float: "NUMBER", list[str]: "NAME", bool: None}
Config = Annotated[Path | None, typer.Option(help="YAML file of settings; options given here overrule it.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out, from its newest checkpoint and by its settings.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print settings, memory estimate and a tree of the first step; train nothing.")
]


def train(config: Config = None, resume: Resume = False, dry_run: DryRun = False, **settings: Any) -> None:
    """Train with GRPO or λ-GRPO and watch the trees grow. Without an argument: a small task, on a CPU, in minutes.

    A built-in task has defaults of its own, and a --model of yours learns at 1e-6: --dry-run shows what holds.
    """
    from grpo_prm.train.config import make_config

    # an option that may be given again is an empty list where it is not
    given = {name: value for name, value in settings.items() if value != []}
    # a run goes on by its own settings; those given now are checked against them
    if resume and config is None:
        given["out"] = given["out"] or make_config(given).out
        own = Path(given["out"], "config.yaml")
        config = own if own.exists() else None
    settled = make_config(given, config)
    from grpo_prm.train import ranks
    from grpo_prm.train.quiet import quiet_libraries
    from grpo_prm.train.threads import choose

    from .train_view import notes, watching

    quiet_libraries()
    if dry_run:
        from grpo_prm.train import dry_run as rehearsal

        typer.echo(rehearsal.dry_run(settled, notes), nl=False)
        return
    from grpo_prm.integrations.backend import check_installed
    from grpo_prm.integrations.backend import train as run

    check_installed(settled)
    # under torchrun every process gets here, and only one speaks
    ranks.join(settled.device)
    leads, threads = ranks.leads(), choose(settled, resume=resume)
    if leads:
        _begin(settled, threads)
    try:
        with watching() if leads else nullcontext(notes) as watch:
            result = run(threads.config, watch, resume=resume)
    except (KeyboardInterrupt, SystemExit):
        if Path(settled.out, "config.yaml").exists():
            typer.echo(f"go on with: grpo-prm train --resume --out {shlex.quote(settled.out)}", err=True)
        raise
    if leads:
        _report(result)


def _begin(config: TrainConfig, threads: Threads) -> None:
    """Say what is trained and how, on stderr, before anything takes its time."""
    from grpo_prm.text.printable import printable
    from grpo_prm.train.method import method_of
    from grpo_prm.train.policy import device_of

    about = {
        "task": config.task,
        "model": config.model,
        "data": config.data,
        "method": method_of(config).name,
        "p": f"{config.power:g}",
        "seed": config.seed,
        "device": device_of(config),
        "threads": f"{threads.number} ({threads.why})",
        "steps": f"{config.steps:,}",
        "run folder": config.out,
    }
    for label, value in about.items():
        if value is not None:
            typer.echo(f"{label:<12}{printable(str(value))}", err=True)


def _report(result: Result) -> None:
    """The end: held-out accuracy, where everything is, what to type next."""
    from grpo_prm.figures import save
    from grpo_prm.text.amounts import number
    from grpo_prm.text.printable import printable
    from grpo_prm.train.record import curves_table

    folder = Path(result.folder)
    save({"training_curves": curves_table(folder)}, folder / "figures")
    if result.before.mean is not None and result.after.mean is not None:
        constant = "" if result.majority is None else f"; the majority answer gets {number(result.majority)}"
        ends = f"{_accuracy(result.before)} before, {_accuracy(result.after)} after training"
        typer.echo(f"held-out accuracy: {ends}{constant}")
    if result.failed:
        typer.echo(f"{amount(result.failed, 'completion')} had no reward, since it failed")
    if result.skipped:
        steps = amount(result.skipped, "optimizer step was", "optimizer steps were")
        typer.echo(f"{steps} skipped: loss or gradient was not finite")
    there = ", ".join(f"{what} in {name}/" for name, what in LEFT.items() if (folder / name).is_dir())
    typer.echo(printable(f"run folder: {folder} ({there})"))
    typer.echo(printable(f"next: grpo-prm analyze {shlex.quote(str(folder))}"))


def _accuracy(share: Interval) -> str:
    """`0.953 [0.931, 0.968] of 512 prompts`."""
    from grpo_prm.text.amounts import interval

    return f"{interval(share._asdict())} of {share.n:,} prompts"


def _signature() -> inspect.Signature:
    """The command's parameters: one for each field of `TrainConfig`, with its help; None is not given."""
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    own = [p for p in inspect.signature(train, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    made = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    for panel, names in PANELS.items():
        for name in names.split():
            kind: Any = option_kind(name)
            switch = f"/{flag(name).replace('--', '--no-', 1)}" if kind is bool else ""
            option = typer.Option(
                flag(name) + switch,
                *(["-o"] if name == "out" else []),
                help=ABOUT[name].help + _default(defaults[name]),
                rich_help_panel=panel,
                show_default=False,
                metavar=METAVARS.get(kind, "CHOICE"),
            )
            annotation = Annotated[kind | None, option]
            made.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return inspect.Signature(made)


def _default(value: Any) -> str:
    """What stands behind the help of an option; nothing for what is off or not there."""
    if value is None or value is False or value in ((), ""):
        return ""
    return f" (default: {'yes' if value is True else f'{value:g}' if isinstance(value, float) else value})"


# typer reads the options from the signature, so the settings need not be written down a second time
train.__signature__ = _signature()  # ty: ignore[missing-attribute]
train.__annotations__ = {name: p.annotation for name, p in train.__signature__.parameters.items()}  # ty: ignore[missing-attribute]
