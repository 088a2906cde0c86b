"""The systems that grpo-prm does not run on, and what to do there."""

from __future__ import annotations

import sys

WINDOWS = (
    "grpo-prm does not run on Windows: it replaces folders whole and removes files that are mapped, which Windows "
    "refuses. Install it in WSL, the Linux inside Windows."
)


def refusal(platform: str | None = None) -> str | None:
    """Why it does not run here, and what to do; None where it may.

    Args:
        platform: As `sys.platform` names it. (default: this one)
    """
    return WINDOWS if (platform or sys.platform) in ("win32", "cygwin", "msys") else None
