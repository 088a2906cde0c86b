"""The methods that the claims compare: GRPO, λ-GRPO, and the controls of a gain (definitions: Controls)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ..core.weights import Kind


class Method(NamedTuple):
    """How the tokens of a group are weighted.

    Attributes:
        name: On pages, in figures and in records.
        power: p of the factor |λ|^-p.
        kind: What is counted, as in `core.weights.token_factors`.
        control: Trains with p = 0, its loss (`scale`) or its gradient (`norm`) made as small as p would make it.
    """

    name: str
    power: float = 0.0
    kind: Kind = "process-set"
    control: Literal["scale", "norm"] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `TrainConfig` that make the trainer train so."""
        control = {f"match_{self.control}": True} if self.control else {}
        return {"power": self.power, "weights": self.kind, **control}


METHODS = (
    Method("p = 0"),
    Method("p = 0.5", 0.5),
    Method("p = 1", 1.0),
    Method("parent", 1.0, "parent"),
    Method("scale-matched", 1.0, control="scale"),
    Method("norm-matched", 1.0, control="norm"),
    Method("position", 1.0, "position"),
)
BY_NAME = {method.name: method for method in METHODS}
NAMES = tuple(BY_NAME)
CONTROLS = ("scale-matched", "norm-matched", "position")
