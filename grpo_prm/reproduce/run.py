"""From names of claims to verdicts: each claim is run, judged by its rule, and written down before the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import UsageError
from ..read.sources import find_sources
from .claims import Claim, Evidence, Verdict
from .jobs import processes, runner
from .paired import with_holm

CLAIMS = {
    "identity": "identity",
    "overlap": "overlap",
    "defect": "defect",
    "binary-tree": "binary_tree",
    "training": "training",
    "bias": "bias",
    "overhead": "overhead",
    "openrs": "openrs",
}
RECORDS = "runs"
Budget = Literal["quick", "standard", "full"]
BUDGETS: tuple[Budget, ...] = ("quick", "standard", "full")


@dataclass(frozen=True)
class Options:
    """What to reproduce, and how much of it.

    Attributes:
        claims: Names; none is all.
        budget: `quick` takes minutes, `standard` an hour, `full` a day, on two cores.
        seeds: Fresh seeds of every comparison; None: as the budget has it.
        workers: Processes side by side; results do not depend on it.
        out: Folder of results and records.
        resume: Go on in a folder that is there, with the records in it.
        seed: Of everything random.
        of_a_claim: Options that only some claims have, by the name of their plan's field; None is not given.
    """

    claims: tuple[str, ...] = ()
    budget: Budget = "quick"
    seeds: int | None = None
    workers: int = 2
    out: Path = Path("grpo.claims")
    resume: bool = False
    seed: int = 0
    of_a_claim: tuple[tuple[str, Any], ...] = ()


class Outcome(NamedTuple):
    """A claim, what its runs gave, its verdict, and the seconds that they took."""

    claim: Claim
    plan: Any
    evidence: Evidence
    verdict: Verdict
    seconds: float


Watch = Callable[[str, float, float], None]  # what is being done; cost done and in all
Written = Callable[[Sequence[Outcome]], None]


def get_claim(name: str) -> Claim:
    """The claim of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in CLAIMS:
        raise UsageError(f"No claim is called {name}. There are {', '.join(CLAIMS)}.")
    return import_module(f".{CLAIMS[name]}", __package__).CLAIM


def reproduce(options: Options, watch: Watch, written: Written) -> list[Outcome]:
    """Run claims and judge them.

    Args:
        options: What and how much.
        watch: Is told of every run that is done.
        written: Is given all outcomes so far after every claim.

    Returns:
        An outcome for each claim, in the order of `CLAIMS`.

    Raises:
        UsageError: An unknown claim, an option that no chosen claim has, or a folder that holds results already.
    """
    chosen = dict.fromkeys(options.claims or CLAIMS)
    claims = sorted((get_claim(name) for name in chosen), key=lambda claim: list(CLAIMS).index(claim.name))
    plans = [_plan(claim, options) for claim in claims]
    _check(options, plans)
    total, before = sum(claim.cost(plan) for claim, plan in zip(claims, plans, strict=True)), 0.0
    outcomes: list[Outcome] = []
    with processes(options.workers) as pool:
        for claim, plan in zip(claims, plans, strict=True):
            mine, done, begin = claim.cost(plan), [0.0], time.perf_counter()
            watch(claim.name, before, total)

            def told(cost: float, name: str, done: list[float] = done, mine: float = mine) -> None:
                done[0] += cost
                watch(name, before + min(done[0], mine), total)  # noqa: B023 - called before the next claim begins

            evidence = claim.run(plan, options.seed, runner(options.out / RECORDS, pool, told))
            evidence = evidence._replace(findings=with_holm(evidence.findings))
            verdict = claim.decide(evidence.findings)
            outcomes.append(Outcome(claim, plan, evidence, verdict, time.perf_counter() - begin))
            written(outcomes)
            before += mine
    return outcomes


def _plan(claim: Claim, options: Options) -> Any:
    """How much is run: the budget's plan, with what the options change."""
    plan = claim.plans[options.budget]
    given = {name: value for name, value in options.of_a_claim if value and name in plan._fields}
    if options.seeds is not None and "seeds" in plan._fields:
        given["seeds"] = options.seeds
    return plan._replace(**given)


def _check(options: Options, plans: Sequence[Any]) -> None:
    """Refuse what cannot be meant before anything runs."""
    fields = {name for plan in plans for name in plan._fields}
    given = {name: value for name, value in options.of_a_claim if value}
    given |= {"seeds": options.seeds} if options.seeds is not None else {}
    for name in given:
        if name not in fields:
            option = {"logs": "log", "eval_data": "eval-data"}.get(name, name)
            raise UsageError(f"--{option} is an option of claims that are not run. Leave it out, or name its claim.")
    if len({name in given for name in ("model", "data", "eval_data")} if "model" in fields else ()) > 1:
        raise UsageError("openrs needs --model, --data and --eval-data together. Give all of them, or none.")
    if logs := given.get("logs"):
        if "-" in logs:
            raise UsageError("--log - is standard input, which several processes cannot read. Name a file.")
        find_sources(logs)
        if len({Path(log).resolve() for log in logs}) < len(logs):
            raise UsageError("--log names the same log twice. Give each once.")
    out = options.out
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file. Give --out the name of a folder.")
    if not options.resume and out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: holds results already. Go on with --resume, or give --out another folder.")
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}, but must be 0 or more. Change it.")
    if options.workers < 1 or (options.seeds is not None and options.seeds < 2):
        raise UsageError("--workers is at least 1 and --seeds at least 2. Give more.")
