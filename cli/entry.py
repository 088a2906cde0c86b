"""Where `grpo-prm` begins: signals are heard before anything that takes its time is imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SAID = {"SIGINT": b"interrupted", "SIGTERM": b"terminated", "SIGHUP": b"hung up"}


UNFIT = 2


def main() -> None:
    """Run a command, on a system that can."""
    from grpo_prm.systems import refusal

    if sentence := refusal():
        sys.stderr.write(f"error: {sentence}\n")
        sys.exit(UNFIT)
    _run()


def _run() -> None:

    def end(number: int, _frame: FrameType | None) -> None:
        # Nothing is written yet, and an exception that an import meets may be lost.
        os.write(2, SAID[signal.Signals(number).name] + b": nothing is left half written\n")
        os._exit(128 + number)

    numbers = [getattr(signal, name) for name in SAID if hasattr(signal, name)]  # there is no SIGHUP on Windows
    for number in numbers:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, end)
    from .main import main as run

    try:
        run()
    finally:
        for number in numbers:  # all is written, and what is left is to go
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
