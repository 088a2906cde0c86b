"""A log, measured and drawn from Python: `python in_python.py chain.jsonl figures`; without names, those two."""

from __future__ import annotations

import sys
from pathlib import Path

import grpo_prm
from grpo_prm.figure_tables import figure_tables
from grpo_prm.figures import save

log, folder = sys.argv[1:] or (Path(__file__).with_name("chain.jsonl"), "figures")

analysis = grpo_prm.analyze(log)
for name in ("path_depth", "intermediate_proportion"):
    print(name, analysis.summary["overlap"][name])
print(analysis.groups.select("step", "group_key", "path_depth", "suppressed_good_tokens"))
print(*save(figure_tables(analysis), folder), sep="\n")
