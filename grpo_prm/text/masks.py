"""How much of the rows is completion, and how much of that the policy wrote: for `inspect`, `analyze` and the page."""

from __future__ import annotations

from .amounts import amount, percent


def in_the_loss(units: int, in_loss: int, unit: str, prompt: int = 0) -> str:
    """`709,009 pieces, of which 140,940 in the loss; tool output and role lines 80 %`; of ids `80 % masked`.

    Of rows that hold their prompt: `900 tokens: 800 in front are the prompt and 100 completion, all in the loss`.

    Args:
        units: Units of the completions.
        in_loss: Those of them that no mask leaves out.
        unit: `token` or `piece`.
        prompt: Units that were cut off the front of the completions.
    """
    whole = amount(units, unit)
    if prompt:
        whole = f"{amount(prompt + units, unit)}: {prompt:,} in front are the prompt and {units:,} completion"
    if in_loss == units:
        return f"{whole}, all in the loss"
    share = percent((units - in_loss) / units)
    # Ids come with a mask of the trainer; of a chat it is known which text is not the assistant's.
    rest = f"{share} % masked" if unit == "token" else f"tool output and role lines {share} %"
    return f"{whole}, of which {in_loss:,} in the loss; {rest}"
