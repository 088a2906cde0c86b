"""A log, measured and drawn from Python: `python in_python.py chain.jsonl figures`; without names, those two."""

from __future__ import annotations

import sys
from pathlib import Path

import grpo_prm

log, folder = sys.argv[1:] or (Path(__file__).with_name("chain.jsonl"), "figures")

analysis = grpo_prm.analyze(log)
print(analysis)
for name in ("path_depth", "intermediate_proportion"):
    print(name, analysis.summary["overlap"][name])
print(analysis.groups.select("step", "group_key", "path_depth", "suppressed_good_tokens"))
print(analysis.tree("40:p0802"))
for name in ("overlap_over_training", "defects_over_training"):
    analysis.plot(name, Path(folder, f"{name}.pdf"))
