"""Keep progress bars and warnings of transformers and peft off the screen, where a run shows its own progress."""

from __future__ import annotations

import warnings


def quiet_libraries() -> None:
    """Turn off their progress bars and the warnings that a user of this package can do nothing about."""
    from transformers.utils import logging

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers|peft")
    warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # peft puts it right itself
    logging.disable_progress_bar()
    logging.set_verbosity_error()
