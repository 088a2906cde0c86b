"""From names of claims to verdicts: each claim is run, judged by its rule, and written down before the next begins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import UsageError
from ..files import atomic
from ..logs.layouts.find import find_sources
from ..version import __version__
from .claims import Claim, Evidence, Verdict
from .jobs import OnDone, Unfinished, done, gpus, processes, run_jobs, side_by_side
from .paired import with_holm

CLAIMS = {
    "identity": "identity",
    "overlap": "overlap",
    "overlap-growth": "overlap_growth",
    "defect": "defect",
    "binary-tree": "binary_tree",
    "training": "training",
    "bias": "bias",
    "prm-quality": "prm_quality",
    "overhead": "overhead",
    "openrs": "openrs",
    "openrs-training": "openrs_training",
}
RECORDS = "runs"
Budget = Literal["quick", "standard", "full"]


@dataclass(frozen=True)
class Options:
    """What to reproduce, and how much of it.

    Attributes:
        claims: Names; none is all.
        budget: `quick` takes minutes, `standard` an hour, `full` a day, on two cores.
        seeds: Fresh seeds of every comparison; None: as the budget has it.
        workers: Processes side by side; results do not depend on it. None: one for each GPU, or for each core
            that this process may use and has memory for.
        out: Folder of results and records.
        resume: Go on in a folder that is there, with the records in it.
        seed: Of everything random.
        part: `(1, 4)`: of four machines this is the first, and runs every fourth of the runs.
        claim_options: Options that only some claims have, by the name of their plan's field; None is not given.
    """

    claims: tuple[str, ...] = ()
    budget: Budget = "quick"
    seeds: int | None = None
    workers: int | None = 2
    out: Path = Path("grpo.claims")
    resume: bool = False
    seed: int = 0
    part: tuple[int, int] = (1, 1)
    claim_options: tuple[tuple[str, Any], ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What the records of a folder have in common; results.md and claims.json say it."""
        return {"version": __version__, "budget": self.budget, "seed": self.seed, "seeds": self.seeds}


class Outcome(NamedTuple):
    """A claim, what its runs gave, its verdict, and the seconds that they took."""

    claim: Claim
    plan: Any
    evidence: Evidence
    verdict: Verdict
    seconds: float


OnProgress = Callable[[str, float, float], None]  # what was done last; cost done and in all
OnOutcome = Callable[[Sequence[Outcome]], None]


def get_claim(name: str) -> Claim:
    """The claim of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in CLAIMS:
        near = get_close_matches(name, CLAIMS, 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"No claim is called {name}; there are {', '.join(CLAIMS)}.{meant}")
    return import_module(f".{CLAIMS[name]}", __package__).CLAIM


def reproduce(options: Options, on_progress: OnProgress, on_outcome: OnOutcome) -> list[Outcome]:
    """Run claims and judge them.

    Args:
        options: What and how much.
        on_progress: Is called after every run that is done.
        on_outcome: Is called after every claim with all outcomes so far.

    Returns:
        An outcome for each claim, in the order of `CLAIMS`; none for a claim of which other parts have runs to make.

    Raises:
        UsageError: An unknown claim, an option that no chosen claim has, a claim that needs what is not installed, or a
            folder that holds results already.
    """
    claims, plans = _chosen(options)
    _open_folder(options)
    costs = [claim.cost(plan) for claim, plan in zip(claims, plans, strict=True)]
    outcomes: list[Outcome] = []
    devices = gpus() if _trains(claims, plans) else []
    with processes(with_workers(options).workers or 1, devices, options.out / RECORDS) as executor:
        for number, (claim, plan) in enumerate(zip(claims, plans, strict=True)):
            on_progress(claim.name, sum(costs[:number]), sum(costs))
            begin, count = time.perf_counter(), _adding_costs(costs, number, on_progress)
            tell = _teller(claim, plan, options, tuple(outcomes), on_outcome)
            on_done = _telling(count, tell) if tell() else count
            runner = partial(
                run_jobs, folder=options.out / RECORDS, executor=executor, on_done=on_done, part=options.part
            )
            try:
                evidence = claim.run(plan, options.seed, runner)
            except Unfinished:
                continue
            # Over all that the rule of the claim reads, before it reads them.
            evidence = evidence._replace(findings=with_holm(evidence.findings))
            verdict = claim.decide(evidence.findings)
            outcomes.append(Outcome(claim, plan, evidence, verdict, time.perf_counter() - begin))
            on_outcome(outcomes)
    return outcomes


def running(options: Options) -> list[str]:
    """Of every claim whose runs go on over days how many have their records, as `training: running: 3 of 75`.

    Raises:
        UsageError: As `reproduce`.
    """
    lines = []
    for claim, plan in zip(*_chosen(options), strict=True):
        jobs = claim.runs(plan, options.seed)
        if (number := done(jobs, options.out / RECORDS)) < len(jobs):
            lines.append(f"{claim.name}: {_word(number, len(jobs))}")
    return lines


def _teller(
    claim: Claim, plan: Any, options: Options, before: Sequence[Outcome], on_outcome: OnOutcome
) -> Callable[[], bool]:
    """A function that says whether runs of a claim that goes on over days have no record yet, and whose outcome then
    tells how many have one.
    """
    jobs, told = claim.runs(plan, options.seed), -1

    def tell() -> bool:
        nonlocal told
        number = done(jobs, options.out / RECORDS)
        if number not in (told, len(jobs)):
            why = "no verdict before all runs have their records; go on with the same command and --resume"
            verdict = Verdict(_word(number, len(jobs)), why)
            on_outcome([*before, Outcome(claim, plan, Evidence([], {}), verdict, 0.0)])
            told = number
        return number < len(jobs)

    return tell


def _word(number: int, of: int) -> str:
    return f"running: {number} of {of}"


def _telling(count: OnDone, tell: Callable[[], object]) -> OnDone:
    """What is called with each job of a claim that goes on over days."""

    def on_done(cost: float, name: str) -> None:
        tell()  # first: what follows may be interrupted
        count(cost, name)

    return on_done


def with_workers(options: Options) -> Options:
    """The options with the number of workers that the machine takes, where none is given.

    Raises:
        UsageError: As `reproduce`.
    """
    if options.workers is not None:
        return options
    claims, plans = _chosen(options)
    needed = max(claim.memory(plan) for claim, plan in zip(claims, plans, strict=True))
    return replace(options, workers=side_by_side(gpus() if _trains(claims, plans) else [], needed))


def announced(options: Options) -> list[str]:
    """What is to be known before anything starts: what every claim costs, and what else it has to say.

    Raises:
        UsageError: As `reproduce`.
    """
    claims, plans = _chosen(options)
    lines = []
    for claim, plan in zip(claims, plans, strict=True):
        sentences = claim.announce(plan) or [f"about {claim.cost(plan) / 60:,.1f} minutes of one core."]
        lines += [f"{claim.name}: {sentence}" for sentence in sentences]
    return lines


def _chosen(options: Options) -> tuple[list[Claim], list[Any]]:
    """The claims that are asked for, in the order of `CLAIMS`, and their plans."""
    chosen = {name: get_claim(name) for name in options.claims or CLAIMS}  # a name given twice runs once
    claims = [chosen[name] for name in CLAIMS if name in chosen]
    plans = [_plan(claim, options) for claim in claims]
    _check(options, claims, plans)
    _check_installed(options, claims, plans)
    return claims, plans


def _trains(claims: Sequence[Claim], plans: Sequence[Any]) -> bool:
    """Whether any of them uses torch, and with it a GPU where there is one."""
    return any("torch" in claim.needs(plan) for claim, plan in zip(claims, plans, strict=True))


def _adding_costs(costs: Sequence[float], number: int, on_progress: OnProgress) -> OnDone:
    """What is called with each job of a claim that is done: adds up their costs and passes the sum on.

    Args:
        costs: Of all claims.
        number: Which claim the jobs are of.
        on_progress: See `reproduce`.
    """
    done = 0.0

    def on_done(cost: float, name: str) -> None:
        nonlocal done
        done += cost
        # Costs are guesses: however many jobs a claim had, it never moves the bar beyond its own share.
        on_progress(name, sum(costs[:number]) + min(done, costs[number]), sum(costs))

    return on_done


def _plan(claim: Claim, options: Options) -> Any:
    """How much is run: the budget's plan, with what the options change."""
    plan = claim.plans[options.budget]
    # One set of options serves several claims, and each takes what its plan has; `_check` refuses what none has.
    given = {name: value for name, value in options.claim_options if value and name in plan._fields}
    if options.seeds is not None and "seeds" in plan._fields:
        given["seeds"] = options.seeds
    return plan._replace(**given)


def _check(options: Options, claims: Sequence[Claim], plans: Sequence[Any]) -> None:
    """Refuse what cannot be meant before anything runs."""
    # Before the folder is made and a process started: a wrong option leaves nothing behind.
    fields = {name for plan in plans for name in plan._fields}
    given = {name: value for name, value in options.claim_options if value}
    given |= {"seeds": options.seeds} if options.seeds is not None else {}
    for name in given:
        if name not in fields:
            option = {"logs": "log", "eval_data": "eval-data"}.get(name, name)
            ours = ", ".join(claim.name for claim in claims)
            raise UsageError(f"--{option} has no place in {ours}. Leave it out, or name the claim that it is for.")
    if len({name in given for name in ("model", "data", "eval_data")} if "model" in fields else ()) > 1:
        raise UsageError("openrs-training needs --model, --data and --eval-data together. Give all of them, or none.")
    if not 1 <= options.part[0] <= options.part[1]:
        raise UsageError(f"--part is {options.part[0]}/{options.part[1]}. Give 1/4, 2/4, 3/4 or 4/4 for four machines.")
    if given.get("vllm") and given.get("backend") != "trl":
        raise UsageError("--vllm is TRL's. Give --backend trl too, or leave it out.")
    if logs := given.get("logs"):
        if "-" in logs:
            raise UsageError("--log - is standard input, which several processes cannot read. Name a file.")
        find_sources(logs)
        if len({Path(log).resolve() for log in logs}) < len(logs):
            raise UsageError("--log names the same log twice. Give each once.")
    for name, value, least in (("seed", options.seed, 0), ("workers", options.workers, 1), ("seeds", options.seeds, 3)):
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}, but must be at least {least}. Give more.")


def _check_installed(options: Options, claims: Sequence[Claim], plans: Sequence[Any]) -> None:
    """Refuse claims that need a module of the extra, where it is missing: a worker would find out minutes later."""
    missing = {
        claim.name: absent for claim, plan in zip(claims, plans, strict=True) if (absent := _missing(claim, plan))
    }
    if missing:
        modules = sorted({module for absent in missing.values() for module in absent})
        need, them = "needs" if len(missing) == 1 else "need", "it" if len(modules) == 1 else "them"
        # What runs without the extra, at this budget: the budget says whether the tree needs torch.
        able = [name for name in CLAIMS if not _missing(get_claim(name), _plan(get_claim(name), options))]
        extra = "trl" if "trl" in modules else "reproduce"
        extra += ",models,tasks" if {"gguf", "reasoning_gym"} & set(modules) else ""
        more = " vllm" if "vllm" in modules else ""
        raise UsageError(
            f"{', '.join(missing)} {need} {' and '.join(modules)}. Install {them}: pip install 'grpo-prm[{extra}]'"
            f"{more} (in a checkout: pip install '.[{extra}]'{more}). Or run what needs nothing more: grpo-prm "
            f"reproduce {' '.join(able)}"
        )


def _missing(claim: Claim, plan: Any) -> list[str]:
    """Modules that a plan needs and that are not installed."""
    return [module for module in claim.needs(plan) if find_spec(module) is None]


def _open_folder(options: Options) -> None:
    """Make the folder, or go on in one that holds a reproduction with the same options."""
    out, path, settings = options.out, options.out / RECORDS / "options.json", options.settings
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file. Give --out the name of a folder.")
    try:
        if not options.resume and out.exists() and any(out.iterdir()):
            raise UsageError(f"{out}: is not empty. Go on in it with --resume, or give --out another folder.")
        # Records of other settings would be mixed with those of this call.
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
        for name, value in settings.items():
            if before.get(name) != value:
                raise UsageError(
                    f"{out}: was begun with {name} {before.get(name)}, and it is {value} now. Give the same, or --out "
                    "another folder."
                )
        with atomic(path) as staged:
            staged.write_text(json.dumps(settings), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}). Give --out another folder.") from None
