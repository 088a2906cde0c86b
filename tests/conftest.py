"""Settings of all tests."""

import gc
import os
from importlib.util import find_spec
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings

# A core each: threads of several workers wait for one another. Commands in processes of their own have as many threads
# of polars as a user's, and so has `make lowest`.
os.environ.setdefault("OMP_NUM_THREADS", "1")
with patch.dict(os.environ):
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    import polars

    polars.thread_pool_size()

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

OPTIONAL = (
    *("torch", "transformers", "gguf", "textual"),
    *("playwright", "axe_playwright_python", "websockets", "nbclient", "nbformat"),
)
MISSING = [name for name in OPTIONAL if find_spec(name) is None]

gc.disable()  # until all tests are known: nearly all that comes until then stays


def pytest_collection_finish():
    """What was imported and collected is left alone by the collector, which else goes through it again and again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Where only the core is installed, a module of tests that imports more is skipped; with `.[dev]` none can be."""
    report = yield
    for name in MISSING:
        if report.failed and f"No module named '{name}'" in str(report.longrepr):
            report.outcome, report.longrepr = "skipped", (str(collector.path), 1, f"{name} is not installed")
    return report
