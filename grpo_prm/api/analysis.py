"""An analysis to work with: its numbers and tables, and how to look at them, draw them, share them and keep them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..analysis.analyze import analyze as analyze_tables
from ..analysis.folder import read_folder
from ..analysis.inputs import can_be_read_again
from ..analysis.options import Options
from ..analysis.tables import Tables
from ..logs import ReadOptions
from ..logs.rollouts import Rollouts
from .one_group import rollouts_of
from .presented import Trees, as_text

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

    from ..core.groups import Groups


class PandasFrame(Protocol):
    """A pandas DataFrame, as far as it is needed; pandas itself may be missing."""

    @property
    def columns(self) -> Any: ...  # noqa: D102
    def notna(self) -> Any: ...  # noqa: D102


class Dataset(Protocol):
    """A datasets.Dataset, as far as it is needed."""

    def to_polars(self) -> Any: ...  # noqa: D102


Log: TypeAlias = """(
    str | Path | Iterable[str | Path]
    | Iterable[Mapping[str, Any]] | pl.DataFrame | pl.LazyFrame | PandasFrame | Dataset
    | Rollouts | Iterable[Rollouts] | Groups
)"""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Analysis(Tables):
    """What a log says: its summary, its tables (`Tables`), and ways to look at them.

    Attributes:
        log: What was analysed, if it can be read again; `tree` reads it. None of a folder, which names its files.
        reading: How it was read.

    Examples:
        >>> import grpo_prm
        >>> analysis = grpo_prm.analyze("examples/chain.jsonl")
        >>> round(analysis.summary["overlap"]["path_depth"]["mean"], 2)
        2.24
        >>> analysis.groups.height, analysis.completions.collect().height
        (160, 1280)
        >>> [finding["code"] for finding in analysis.summary["verdict"]["findings"]]
        ['copies']
        >>> analysis.tree("40:p0802").groups[0]["k"]
        8
    """

    log: Any = None
    reading: ReadOptions | None = None

    def tree(self, name: str) -> Trees:
        """One group as a tree of process steps: text, size, step reward and step advantage of each.

        Args:
            name: `[RUN:]STEP:KEY` as in `groups`; STEP is `-` where the log has none.

        Returns:
            What shows the tree in a shell and in a notebook; `groups` has its content. Several trees where runs share
            the name, or a prompt was drawn more than once in a step.

        Raises:
            UsageError: No group has the name; or its rollouts were not kept, and the log is gone or has changed.
        """
        from ..tree.view import group_tree

        options = self.summary["source"]["options"]
        std, advantage = options["std"], options["advantage"]
        if std == "batch":  # its divisor is not that of one group: `rollouts_of` has put the advantages in place
            std, advantage = "none", "logged"
        tables = rollouts_of(self, name, self.log, self.reading)
        return Trees([group_tree(table, std, advantage, options.get("tokenizer")) for table in tables])

    def plot(
        self, name: str, path: str | Path | None = None, *, group: str | None = None, venue: str = "column"
    ) -> Figure:
        """Draw one figure.

        Args:
            name: As the files of `grpo-prm analyze` are called: `overlap_over_training`, `group_tree`, ...
            path: Also write it there: .pdf, .png or .svg.
            group: `[RUN:]STEP:KEY` of `group_tree`, one whose text was kept; None: the worst.
            venue: Where it will stand: column, icml, neurips, iclr, acl, aaai, beamer or web.

        Returns:
            The matplotlib figure.

        Raises:
            UsageError: There is no such figure, group, venue or kind of file, or the file cannot be written.
        """
        from .drawing import drawn, written

        figure = drawn(self, name, group=group, venue=venue)
        if path is not None:
            written(figure, Path(path), venue)
        return figure

    def report(self, path: str | Path, *, tokenizer: str | None = None, text: bool = True) -> Path:
        """Write one HTML page that needs no server: summary, trend, groups, tree explorer, figures.

        Args:
            path: The page.
            tokenizer: Of the log, to cut texts exactly between tokens.
            text: With prompts and completions. False: a page to share, without them.

        Returns:
            The page.

        Raises:
            UsageError: The page cannot be written, `path` is a file of others, or the tokenizer cannot be opened.
        """
        from ..analysis.ownership import refuse_other_page
        from ..files import atomic
        from ..report import report

        path = Path(path)
        refuse_other_page(path)
        page = report(self, tokenizer, text=text)
        with atomic(path) as part:
            part.write_text(page, encoding="utf-8")
        return path

    def save(self, path: str | Path, *, figures: bool = True, overwrite: bool = False) -> Path:
        """Write the folder that `grpo-prm analyze` writes: every command reads it, and so does `grpo_prm.open`.

        Args:
            path: The folder. An earlier analysis of the same log in it is replaced, with its figures and its page;
                files that are not ours are kept.
            figures: Draw the figures into it, too. One that cannot be drawn is named in a warning and in the notes of
                the summary.
            overwrite: Replace the analysis of another log, too. Rows in memory are one log.

        Returns:
            The folder.

        Raises:
            UsageError: The folder cannot be written, it has files of others with names of ours, or it holds the
                analysis of another log.
        """
        from ..analysis.write import analysis_folder, note_figures, write_tables

        logs = _named(self.log) or list(self.summary["source"]["files"])
        with analysis_folder(Path(path), logs, overwrite=overwrite) as folder:
            write_tables(self, folder)
            if figures:
                from ..figures.plotting import draw, not_drawn

                failed: dict[str, str] = {}
                draw([self], folder / "figures", failed=failed)
                if failed:
                    note_figures(self, folder, failed)
                    warnings.warn(not_drawn(failed), RuntimeWarning, stacklevel=2)
        return Path(path)

    def __repr__(self) -> str:
        return as_text(self.summary)

    def _repr_html_(self) -> str:
        from .card import as_html

        return as_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _named(log: Any) -> list[str]:
    """The paths that a log was named by; none where it was given itself."""
    names = [log] if isinstance(log, str | Path) else log
    return list(map(str, names)) if isinstance(names, list | tuple) and _are_paths(names) else []


def _are_paths(names: Collection[Any]) -> bool:
    return all(isinstance(name, str | Path) for name in names)


def analyze(
    log: Log, options: Options | None = None, *, reading: ReadOptions | None = None, spill: Path | None = None
) -> Analysis:
    """Analyse a log of rollouts.

    Args:
        log: A file or folder, or several; rows in memory, whose columns are found as those of a file: a list of dicts,
            a polars or pandas DataFrame, a datasets.Dataset; `Groups` of one's own tensors; or canonical tables
            (docs/logs.md) as `Rollouts`, with whole groups and each training step in one. The analysis keeps what it
            was given, for `Analysis.tree`.
        options: What changes the numbers. Of `Groups` the divisor and the advantages hold unless others are named here.
        reading: How to read files and rows.
        spill: Folder for the large tables of a long log, piece by piece; must outlive the analysis. None: memory.

    Returns:
        The analysis.

    Raises:
        InputError: Nothing can be read, a table is not canonical, or no group has two completions.
        UsageError: An argument is not what it should be, an option does not fit the log, or logged advantages are
            needed and missing.

    Examples:
        >>> import grpo_prm
        >>> answers = [("it is 2", 1.0), ("it is 3", 0.0)]
        >>> rows = [{"prompt": "1 + 1 =", "completion": text, "reward": reward} for text, reward in answers]
        >>> analysis = grpo_prm.analyze(rows)
        >>> analysis.summary["counts"]["completions"]
        2
        >>> grpo_prm.analyze("examples/chain.jsonl").summary["verdict"]["knows"]["code"]
        'whole_texts'
    """
    tables = analyze_tables(log, options, reading=reading, spill=spill)
    return _analysis(tables, log if can_be_read_again(log) else None, reading)


def open(path: str | Path) -> Analysis:
    """Open a folder that `grpo-prm analyze` or `Analysis.save` wrote.

    Args:
        path: The folder, `NAME.prm`.

    Returns:
        The analysis; tables that may be large are read from the folder when they are needed.

    Raises:
        InputError: It is not such a folder, a file of it is missing or cannot be read, or another version wrote it.

    Examples:
        >>> import grpo_prm
        >>> answers = [("it is 2", 1.0), ("it is 3", 0.0)]
        >>> rows = [{"prompt": "1 + 1 =", "completion": text, "reward": reward} for text, reward in answers]
        >>> folder = grpo_prm.analyze(rows).save("small.prm", figures=False)
        >>> grpo_prm.open(folder).groups["k"].to_list()
        [2]
    """
    return _analysis(read_folder(path))


def _analysis(tables: Tables, log: Any = None, reading: ReadOptions | None = None) -> Analysis:
    return Analysis(**{field.name: getattr(tables, field.name) for field in fields(tables)}, log=log, reading=reading)
