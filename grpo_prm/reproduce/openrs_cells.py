"""Table 2 of arXiv 2509.21154: accuracy of one trained model a cell, after 1,000 steps on OpenRS with k = 6."""

from __future__ import annotations

from typing import NamedTuple

PROBLEMS = {"AIME24": 30, "MATH-500": 500, "AMC23": 40, "Minerva": 272, "OlympiadBench": 675}
# Accuracies in the order of PROBLEMS, as printed. The ± that is printed beside them is one standard error of one run.
BASE = {
    "Qwen-1.5B": (0.2000, 0.8300, 0.7500, 0.2978, 0.5096),
    "Llama-3.2-1B": (0.0000, 0.2280, 0.0750, 0.0478, 0.0563),
}
# By model and β: GRPO, λ-GRPO.
TRAINED = {
    ("Qwen-1.5B", 0.0): ((0.3333, 0.7660, 0.6250, 0.2500, 0.4444), (0.3667, 0.8460, 0.7500, 0.2904, 0.5348)),
    ("Qwen-1.5B", 0.04): ((0.3000, 0.8660, 0.7500, 0.2610, 0.5200), (0.4000, 0.8340, 0.8000, 0.2978, 0.5378)),
    ("Llama-3.2-1B", 0.0): ((0.0000, 0.2300, 0.0750, 0.0551, 0.0607), (0.0000, 0.2620, 0.1250, 0.0515, 0.0622)),
    ("Llama-3.2-1B", 0.04): ((0.0000, 0.2180, 0.1750, 0.0515, 0.0533), (0.0333, 0.2560, 0.0750, 0.0735, 0.0489)),
}


class Cell(NamedTuple):
    """Right answers of three models on one benchmark.

    Attributes:
        run: Base model and β of the training.
        benchmark: Name.
        n: Problems.
        base: Right ones of the model before training.
        grpo: Right ones after GRPO.
        ours: Right ones after λ-GRPO.
    """

    run: str
    benchmark: str
    n: int
    base: int
    grpo: int
    ours: int


def cells() -> list[Cell]:
    """The 20 cells as counts: an accuracy of four decimals times at most 675 problems has one whole number near it."""
    return [
        Cell(f"{model}, β = {beta:g}", name, n, *(round(accuracy * n) for accuracy in accuracies))
        for (model, beta), pair in TRAINED.items()
        for (name, n), *accuracies in zip(PROBLEMS.items(), BASE[model], *pair, strict=True)
    ]
