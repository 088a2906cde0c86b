"""grpo-prm: see the process reward model that GRPO hides in your rollouts (Sullivan and Koller, arXiv 2509.21154)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name to module; imported on first use, so that `import grpo_prm` costs nothing (PEP 562).
_PUBLIC = {
    "Analysis": "analysis.analyze",
    "Options": "analysis.options",
    "analyze": "analysis.analyze",
    "Groups": "core.groups",
    "Forest": "core.forest",
    "build_forest": "core.forest",
    "expand": "core.forest",
    "group_advantages": "core.prm",
    "step_means": "core.prm",
    "sign_split_sums": "core.prm",
    "ReadOptions": "logs",
    "inspect": "logs",
    "read": "logs",
    "Rollouts": "logs.rollouts",
    "load": "logs.rollouts",
    "save": "logs.rollouts",
}
__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604 - the names are strings


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'grpo_prm' has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    """Public names, for completion in a shell."""
    return __all__
