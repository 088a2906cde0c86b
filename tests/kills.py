"""A process that ends at its n-th change of names on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest


class Killed(BaseException):
    """What a test ends a process with; nothing after it runs."""


def kill_at(moment: int, work: Callable[[], Any]) -> None:
    """Do some work whose rename or removal number `moment` (from 0), and all after it, end the process."""
    left = [moment]

    def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return call(*args, **more)

        return step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", mortal(os.replace))
        patch.setattr(shutil, "rmtree", mortal(shutil.rmtree))
        with suppress(Killed):
            work()
