"""Containers, layouts and formats of other packages: loaded and asked so that a fault of theirs is called theirs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

from ..errors import GrpoPrmError, UsageError

T = TypeVar("T")


def loaded(group: str) -> list[Any]:
    """The objects behind the entry points of a group.

    Raises:
        UsageError: One cannot be loaded; the message names it and its package.
    """
    found = []
    for point in entry_points(group=group):
        try:
            found.append(point.load())
        except Exception as error:
            package = point.dist.name if point.dist else point.value
            raise UsageError(
                f"The package {package} cannot be used: its entry point {point.name} ({group}) fails with"
                f" {type(error).__name__}: {error}. Mend it or uninstall it."
            ) from error
    return found


def asked(question: Callable[..., T], name: str, *arguments: Any) -> T:
    """What a function of a container, layout or format says.

    Args:
        question: The function.
        name: Of the container, layout or format.
        arguments: Of the function.

    Raises:
        UsageError: It is of another package and fails; the message names it.
    """
    try:
        return question(*arguments)
    except GrpoPrmError:
        raise
    except Exception as error:
        if question.__module__.startswith("grpo_prm."):
            raise  # a fault of ours, with its traceback
        raise UsageError(
            f"{name} of {question.__module__} fails with {type(error).__name__}: {error}."
            " Mend or uninstall the package that gives it."
        ) from error
