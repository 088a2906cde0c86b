"""Silence of the libraries below: what they say is for one another, and lies between what we say."""

from __future__ import annotations

import warnings


def quiet_libraries() -> None:
    """No progress bars of others between ours, and no warnings that libraries mean for one another."""
    from transformers.utils import logging

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers|peft")
    warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # peft puts it right itself
    logging.disable_progress_bar()
    logging.set_verbosity_error()
