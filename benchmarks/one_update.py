"""One update of the packing benchmark in a process of its own: `one_update.py LAYOUT SHARED PROMPT LENGTH`.

LAYOUT is `tree` or `padded`, or `none`, which stops before the update.
"""

from __future__ import annotations

import sys

import torch
from train_times import config_of, model_of, packing_setting, shared_batch

from grpo_prm.train.update import update


def main(layout: str, shared: str, prompt: str, length: str) -> None:
    """Build model and batch, and update."""
    setting = packing_setting(int(prompt))
    model, batch = model_of(setting), shared_batch(setting, float(shared), int(length))
    if layout != "none":
        config = config_of(setting, packing=layout, max_new_tokens=int(length))
        update(model, torch.optim.SGD(model.parameters(), lr=0.0), batch, config)


if __name__ == "__main__":
    main(*sys.argv[1:])
