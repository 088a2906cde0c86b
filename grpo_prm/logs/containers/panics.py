"""Rust's own words on the standard error, which polars lets out when it panics over a damaged file: kept from there."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager

_PANIC = b"panicked at"
_STDERR = 2


@contextmanager
def without_panics() -> Generator[None]:
    """Hold back what is written to the standard error meanwhile, and hand it on unless polars panicked.

    In the main thread only: in another one the last words of a command that ends now could be held back as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with tempfile.TemporaryFile() as held:
        kept = os.dup(_STDERR)
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            held.seek(0)
            said = held.read()
            if said and _PANIC not in said:
                os.write(kept, said)
            os.close(kept)
