"""`grpo-prm train`: GRPO and λ-GRPO with diagnostics, on a built-in task or on a model, data and reward of your own."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from grpo_prm.train.config import HINTS, NAMES, TrainConfig

EXAMPLES = """
Examples:

    grpo-prm train --lambda 0.5

    grpo-prm train --task abstain --lambda 1 --weights parent --seed 3 --out abstain.run

    grpo-prm train --model ./my-model --data prompts.jsonl --reward my_rewards:score --eval-data held_out.jsonl

    grpo-prm train --config run.yaml --resume
"""
PANELS = {
    "What to train": "task model data prompt_column answer_column split reward reward_timeout system",
    "Sampling": "steps prompts group_size max_new_tokens temperature top_p top_k seed",
    "Loss and λ weights": "power weights match_scale match_norm aggregation std clip_low clip_high beta ratio_in_kl "
    "loss_temperature updates_per_batch mask_truncated",
    "Optimizer": "optimizer learning_rate weight_decay schedule warmup_steps max_grad_norm",
    "Machine": "packing token_budget dtype device lora lora_alpha gradient_checkpointing threads",
    "Record": "out eval_data eval_every eval_prompts save_every keep tracker",
}
CONFIG = Annotated[Path | None, typer.Option(help="YAML file of settings; options given here overrule it.")]
RESUME = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of --out.")]
DRY = Annotated[bool, typer.Option("--dry-run", help="Print settings, memory estimate and one group's tree; stop.")]


def train(config: CONFIG = None, resume: RESUME = False, dry_run: DRY = False, **settings: Any) -> None:
    """Train with GRPO or λ-GRPO and watch the trees; without an argument, a small task on the CPU in minutes.

    The numbers in brackets are defaults; a built-in task has defaults of its own for steps, prompts, group size,
    max-new-tokens and learning rate.
    """
    from grpo_prm.train.config import make_config

    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items() if value != []
    }
    if config is not None and resume and given.get("out") is None and config.parent.name.endswith(".run"):
        given["out"] = str(config.parent)
    settled = make_config(given, config)
    if dry_run:
        from grpo_prm.train.dry import rehearse

        typer.echo(rehearse(settled), nl=False)
        return
    from grpo_prm.train.loop import train as run

    from .live import quiet_libraries, watching
    from .progress import working

    quiet_libraries()
    with watching() as watch:
        result = run(settled, watch, resume=resume)
    with working("drawing the curves"):
        from grpo_prm.figures import save
        from grpo_prm.train.record import curves_table

        save({"training_curves": curves_table(result.folder)}, result.folder / "figures")
    _say(result)


def _say(result: Any) -> None:
    """The end: held-out accuracy, where everything is, what to do next."""
    for name, found in (("before", result.before), ("after", result.after)):
        if found.mean is not None:
            typer.echo(
                f"held-out accuracy {name}: {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}], {found.n} prompts"
            )
    if result.skipped:
        typer.echo(f"{result.skipped} optimizer steps were skipped: loss or gradient was not finite")
    typer.echo(f"run folder: {result.folder}")
    typer.echo(f"next: grpo-prm analyze {result.folder}/rollouts")


def _signature() -> inspect.Signature:
    """One option for each field of `TrainConfig`, helped by its docstring; None is not given."""
    panel_of = {name: panel for panel, names in PANELS.items() for name in names.split()}
    doc = inspect.getdoc(TrainConfig) or ""
    helps = dict(re.findall(r"^    (\w+): (.+)$", doc, re.MULTILINE))
    known = [p for p in inspect.signature(train, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    made = []
    for field in fields(TrainConfig):
        hint = HINTS[field.name]
        kinds = [
            k for k in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)) if k is not type(None)
        ]
        kind: Any = list[str] if get_origin(kinds[0]) is tuple else kinds[0]
        shown = "" if field.default in (None, (), "") or kind is bool else f" [{field.default}]"
        option = typer.Option(
            f"--{NAMES[field.name].replace('_', '-')}"
            + (f"/--no-{NAMES[field.name].replace('_', '-')}" * (kind is bool)),
            help=helps[field.name] + shown,
            rich_help_panel=panel_of[field.name],
            show_default=False,
        )
        made.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    known = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in known]
    return inspect.Signature([*made, *known])


train.__signature__ = _signature()  # ty: ignore[missing-attribute]
train.__annotations__ = {name: p.annotation for name, p in train.__signature__.parameters.items()}  # ty: ignore[missing-attribute]
