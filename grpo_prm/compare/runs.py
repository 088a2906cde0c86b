"""The runs that are compared: names, the groups of each, and what makes their numbers comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..analysis.folder import read_folder
from ..analysis.statistics import STATISTICS
from ..analysis.tables import Tables
from ..core.group_size import modal_size
from ..errors import UsageError
from .equal import equal_folders

if TYPE_CHECKING:
    from ..figures import Unit

OVERLAP = tuple(name for name, one in STATISTICS.items() if one.kind == "overlap")  # what `subsamples` holds


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a folder.

    Attributes:
        name: Unique among the runs compared.
        logged: As the log has it.
        method: What it was trained with, None where its folder does not say so.
        folder: Where it comes from.
        source: `source` of its summary.json.
        k: Modal group size.
        others: Groups of another size, which are left out: what depends on k would differ by them.
        prompts: Whether the log has prompts, so that a prompt is known again in another run.
        groups: The groups table of groups of k, with `completions` (k of the group), `top` (completions with the higher
            of the two rewards of all runs) and `pass` (pass@m, m the smallest modal k); null where rewards are not
            two-valued.
        reward_range: The lowest and the highest reward, None where some are not known.
    """

    name: str
    logged: str
    method: str | None
    folder: Path
    source: dict[str, Any]
    k: int
    others: int
    prompts: bool
    groups: pl.DataFrame
    reward_range: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """Its name and, where it is known, its method."""
        return f"{self.name} ({self.method})" if self.method else self.name

    @property
    def steps(self) -> list[int]:
        """Training steps, ascending; empty where none is logged."""
        return self.groups["step"].drop_nulls().unique().sort().to_list()


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs made comparable.

    Attributes:
        runs: In the order given; the first is what the others are compared with.
        m: Group size of overlap and of pass@m: the modal k if it is one, else the largest size of
            subsets that all runs have (`subsamples.parquet`).
        rewards: The two rewards of all runs, None where there are more or fewer.
        equal: Names of runs, of several runs of one folder that of the folder, which are equal in every number.
    """

    runs: tuple[Run, ...]
    m: int
    rewards: tuple[float, float] | None
    equal: tuple[tuple[str, ...], ...] = ()

    @property
    def one_k(self) -> bool:
        """Whether all runs have groups of one modal size."""
        return len({run.k for run in self.runs}) == 1

    @property
    def unit(self) -> Unit:
        """What is counted, for an axis."""
        units = {run.source["unit"] for run in self.runs}
        return "piece" if units == {"piece"} else "token" if units == {"token"} else "unit"

    @property
    def one_unit(self) -> bool:
        """Whether tokens mean the same in all runs: logged ids, pieces, or those of one tokenizer."""
        return len({made_by(run.source) for run in self.runs}) == 1


def made_by(source: dict[str, Any]) -> str:
    """What units are, in words: `log`, `pieces`, or the tokenizer that made them."""
    origin = source["tokens_from"]
    return f"tokenizer {source['options']['tokenizer']}" if origin == "tokenizer" else origin


def open_runs(paths: Sequence[str | Path], told: Callable[[int, int], None] = lambda *_: None) -> Runs:
    """Read folders of `analyze` and put their runs side by side.

    Args:
        paths: The folders; a folder of several runs gives each of them.
        told: Hears after each folder how much is read, of twice as many: work on each goes on behind it.

    Raises:
        InputError: A folder cannot be read.
        UsageError: There are fewer than two runs.
    """
    folders = []
    for done, path in enumerate(paths, 1):
        folders.append(read_folder(path))
        told(done, 2 * len(paths))
    chosen = [(folder, run) for folder in folders for run in folder.groups["run"].unique(maintain_order=True)]
    if len(chosen) < 2:
        raise UsageError(f"{paths[0]}: holds one run. Give compare two folders of grpo-prm analyze.")
    named = zip(_names(chosen), chosen, strict=True)
    runs = tuple(_run(name, folder, run) for name, (folder, run) in named)
    rewards = _two_rewards([folder for folder, _ in chosen])
    m = _common_size(chosen, runs)
    aligned = tuple(_aligned(*each, m, rewards) for each in zip(runs, chosen, strict=True))
    names = [[run.name for run, (of, _) in zip(runs, chosen, strict=True) if of is folder] for folder in folders]
    called = [some[0] if len(some) == 1 else str(folder.path) for folder, some in zip(folders, names, strict=True)]
    return Runs(aligned, m, rewards, equal_folders(folders, called))


def _run(name: str, folder: Tables, run: str) -> Run:
    # Groups of other sizes are left out: they would mix other values of all that depends on k into the means.
    every = folder.groups.filter(run=run)
    k = modal_size(every["k"])
    groups = every.filter(k=k)
    # Without a prompt the key stands in for it (measure), so then the two columns are equal.
    prompts = bool((groups["prompt_key"] != groups["group_key"]).any())
    source = folder.summary["source"]
    method = source.get("methods", {}).get(run)
    return Run(name, run, method, folder.path or Path(), source, k, len(every) - len(groups), prompts, groups)


def _names(chosen: Sequence[tuple[Tables, str]]) -> list[str]:
    """Names as logged where they differ, else the folder's, else both with a number."""
    runs = [run for _, run in chosen]
    stems = [(folder.path or Path()).resolve().name.removesuffix(".prm") for folder, _ in chosen]
    # The shortest kind of name that tells all runs apart.
    for names in (runs, stems, [f"{stem}/{run}" for stem, run in zip(stems, runs, strict=True)]):
        if len(set(names)) == len(names):
            return names
    return [f"{n}: {stem}/{run}" for n, (stem, run) in enumerate(zip(stems, runs, strict=True), 1)]


def _two_rewards(folders: Sequence[Tables]) -> tuple[float, float] | None:
    """The two rewards of all runs together, None where there are not exactly two."""
    distinct = pl.concat([folder.completions.select("reward").unique() for folder in folders]).collect()["reward"]
    # Null is among them where a completion has no reward: then there is no accuracy either.
    values = distinct.unique().sort().to_list()
    return (values[0], values[1]) if len(values) == 2 and None not in values else None


def _common_size(chosen: Sequence[tuple[Tables, str]], runs: Sequence[Run]) -> int:
    """The largest size of subsets that the groups of modal size have in every run."""
    sizes = [
        set(folder.subsamples.filter(pl.col("run") == name, pl.col("k") == run.k)["size"])
        for (folder, name), run in zip(chosen, runs, strict=True)
    ]
    return max(set.intersection(*sizes))


def _aligned(run: Run, origin: tuple[Tables, str], m: int, rewards: tuple[float, float] | None) -> Run:
    """Overlap as groups of m would have shown it, and what counts the better of two rewards."""
    folder, name = origin
    groups = run.groups.with_columns(completions=pl.col("k").cast(pl.Float64))
    # Expected overlap of subsets of m instead of the group's own: more completions overlap more.
    if run.k != m:
        smaller = folder.subsamples.filter(size=m).select("group", *OVERLAP)
        groups = groups.drop(OVERLAP).join(smaller, on="group", how="left", maintain_order="left")
    ends = pl.col("reward").min().alias("low"), pl.col("reward").max(), pl.col("reward").is_null().any().alias("gaps")
    low, high, gaps = folder.completions.filter(run=run.logged).select(*ends).collect().row(0)
    run = replace(run, reward_range=None if gaps or low is None else (low, high))
    if rewards is None:
        return replace(run, groups=groups.with_columns(pl.lit(None, pl.Float64).alias(c) for c in ("top", "pass")))
    top = (pl.col("reward") == rewards[1]).sum().cast(pl.Float64).alias("top")
    counted = folder.completions.filter(run=name).group_by("group").agg(top).collect()
    groups = groups.join(counted, on="group", how="left", maintain_order="left")
    passed = pass_at(groups["top"].to_numpy(), groups["k"].to_numpy(), m)
    return replace(run, groups=groups.with_columns(pl.Series("pass", passed, nan_to_null=True)))


def pass_at(successes: np.ndarray, k: np.ndarray, m: int) -> np.ndarray:
    """Probability that m of k completions hold a success, 1 - C(k - c, m) / C(k, m); NaN for k < m (Chen et al., 2021).

    Args:
        successes: c, shape (groups,).
        k: Completions, shape (groups,).
        m: How many are drawn without replacement.
    """
    drawn = np.arange(m)
    # (groups, m): the i-th draw fails with probability (k - c - i) / (k - i), given that all before it failed.
    failures = (k - successes)[:, None] - drawn
    none = np.prod(np.maximum(failures, 0) / np.maximum(k[:, None] - drawn, 1), axis=1)
    return np.where(k >= m, 1 - none, np.nan)
