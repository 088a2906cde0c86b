"""Where what is made or fetched once is kept for the next run."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(kind: str) -> Path:
    """A folder of the user's cache, which need not be there yet: `~/.cache/grpo-prm/KIND`, or below XDG_CACHE_HOME."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grpo-prm" / kind
