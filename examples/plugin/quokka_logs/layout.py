"""A folder to files. Quokka names the files of a run in `run.txt`: step, training or evaluation, and path."""

from pathlib import Path

from grpo_prm.logs import Layout, Source


def claims(folder: Path) -> bool:
    """Is a folder one of ours?"""
    return (folder / "run.txt").is_file()


def sources(folder: Path) -> list[Source]:
    """Its logs in reading order. Step and split are None where they are not known."""
    lines = [line.split() for line in (folder / "run.txt").read_text("utf-8").splitlines()]
    return [
        Source(folder / path, str(folder / path), step=int(step), split=split)
        for step, split, path in lines
        if (folder / path).is_file()
    ]


LAYOUT = Layout("quokka", claims, sources)
