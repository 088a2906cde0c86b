"""How many decisions of a log are sure; Benjamini-Hochberg asks for all of them (definitions: Local advantage)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.decisions import decidable, sure
from ..core.forest import Floats


def decided_steps(tests: Sequence[Floats]) -> dict[str, int]:
    """Count the decisions of a log.

    Args:
        tests: p and least attainable p of the decisions of each slice of the log, shape (2, decisions) each.

    Returns:
        `decisions`: how many there are. `decidable`: those that could be sure. `sure_decisions`: those that are.
    """
    p, least = np.concatenate([np.zeros((2, 0)), *tests], axis=1)
    return {
        "decisions": len(p),
        "decidable": int(decidable(least).sum()),
        "sure_decisions": int(sure(p, least).sum()),
    }
