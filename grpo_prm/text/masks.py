"""How much of the completions the policy wrote: one sentence for `inspect`, `analyze` and the page."""

from __future__ import annotations

from .amounts import amount, percent


def in_the_loss(units: int, in_loss: int, unit: str) -> str:
    """`709,009 pieces, of which 140,940 in the loss; tool output and role lines 80 %`; of ids `80 % masked`.

    Args:
        units: Units of the completions.
        in_loss: Those of them that no mask leaves out.
        unit: `token` or `piece`.
    """
    if in_loss == units:
        return f"{amount(units, unit)}, all in the loss"
    share = percent((units - in_loss) / units)
    # Ids come with a mask of the trainer; of a chat it is known which text is not the assistant's.
    rest = f"{share} % masked" if unit == "token" else f"tool output and role lines {share} %"
    return f"{amount(units, unit)}, of which {in_loss:,} in the loss; {rest}"
