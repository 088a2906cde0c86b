"""A warning about a figure as one line of stderr, without the place in the code that others have."""

from __future__ import annotations

import warnings

from grpo_prm.errors import FigureWarning


def say_warnings() -> None:
    """Print every `FigureWarning` as a sentence, each once; other warnings stay as Python has them."""
    others = warnings.formatwarning

    def written(message: Warning | str, category: type[Warning], *where: object) -> str:
        if issubclass(category, FigureWarning):
            return f"warning: {message}\n"
        return others(message, category, *where)  # ty: ignore[invalid-argument-type]

    warnings.formatwarning = written  # ty: ignore[invalid-assignment]
    warnings.simplefilter("once", FigureWarning)
