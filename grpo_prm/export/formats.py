"""The formats of an export, by name."""

from __future__ import annotations

from . import math_shepherd, prm800k, spans, stepwise, tokens
from .form import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (spans, tokens, stepwise, math_shepherd, prm800k)
}
