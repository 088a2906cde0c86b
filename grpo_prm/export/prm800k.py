"""`prm800k`: the JSON of PRM800K (Lightman et al., arXiv 2305.20050), ratings -1, 0 and 1.

Fields that say who labelled a solution and how are there, null or false, since readers of that data ask for them.
"""

from __future__ import annotations

from typing import Any

from ..tree.step_text import Cuts
from .form import Format, Made
from .labels import NEUTRAL, Labelled
from .solutions import Solution, solutions, written

LABELER = "grpo-prm"
RATING = {1.0: 1, NEUTRAL: 0, 0.0: -1}


def _make(labelled: Labelled, cuts: Cuts | None) -> Made:
    """One row for each solution, each step with one candidate, the one that the completion took."""
    assert cuts is not None
    unique, counts = solutions(labelled, cuts)
    return Made([_row(one) for one in unique], counts + written(unique))


def _row(one: Solution) -> dict[str, Any]:
    steps = [
        {
            "completions": [{"text": text, "rating": RATING[label], "flagged": False}],
            "human_completion": None,
            "chosen_completion": 0,
        }
        for text, label in zip(one.texts, one.labels, strict=True)
    ]
    return {
        "labeler": LABELER,
        "timestamp": None,
        "generation": None,
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": {
            "problem": one.prompt,
            "ground_truth_solution": None,
            "ground_truth_answer": None,
            "pre_generated_steps": list(one.texts),
            "pre_generated_answer": None,
            "pre_generated_verifier_score": None,
        },
        "label": {"steps": steps, "total_time": 0, "finish_reason": None},
    }


FORMAT = Format("prm800k", ".jsonl", ("sign", "threshold"), _make, neutral=True)
