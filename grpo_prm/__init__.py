"""grpo-prm: see the process reward model that GRPO hides in your rollouts (Sullivan and Koller, arXiv 2509.21154)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .systems import refusal as _refusal
from .version import __version__

__all__ = [
    "Analysis",
    "Forest",
    "Groups",
    "Options",
    "ReadOptions",
    "Recorder",
    "Rollouts",
    "__version__",
    "analyze",
    "build_forest",
    "expand",
    "group_advantages",
    "group_sums",
    "inspect",
    "load",
    "open",
    "read_rollouts",
    "recorded_table",
    "save",
    "sign_split_sums",
    "statistics_of",
    "step_means",
]

# Type checkers see the imports, Python makes them on first use, so that `import grpo_prm` costs nothing (PEP 562). No
# name here may be that of a module of the package: that would take the name's place as soon as it is imported.
if TYPE_CHECKING:
    from .analysis.group_sums import group_sums, statistics_of
    from .analysis.options import Options
    from .api.analysis import Analysis, analyze, open
    from .core.forest import Forest, build_forest, expand
    from .core.groups import Groups
    from .core.prm import group_advantages, sign_split_sums, step_means
    from .logs import ReadOptions, inspect
    from .logs import read as read_rollouts
    from .logs.recorder import Recorder
    from .logs.recording import recorded_table
    from .logs.rollouts import Rollouts, load, save
else:
    _PLACES = {
        "analysis.group_sums": ("group_sums", "statistics_of"),
        "analysis.options": ("Options",),
        "api.analysis": ("Analysis", "analyze", "open"),
        "core.forest": ("Forest", "build_forest", "expand"),
        "core.groups": ("Groups",),
        "core.prm": ("group_advantages", "sign_split_sums", "step_means"),
        "logs": ("ReadOptions", "inspect"),
        "logs.recorder": ("Recorder",),
        "logs.recording": ("recorded_table",),
        "logs.rollouts": ("Rollouts", "load", "save"),
    }
    _PUBLIC = {name: (module, name) for module, names in _PLACES.items() for name in names}
    _PUBLIC["read_rollouts"] = ("logs", "read")

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for."""
        if name not in _PUBLIC:
            raise AttributeError(f"module 'grpo_prm' has no attribute {name!r}")
        if sentence := _refusal():
            raise ImportError(sentence)
        module, original = _PUBLIC[name]
        return getattr(import_module(f".{module}", __name__), original)


def __dir__() -> list[str]:
    """Public names, for completion in a shell."""
    return __all__
