"""The page of figures, docs/gallery.md with its images, from the example logs: `python make_gallery.py ../docs`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import grpo_prm
from grpo_prm.figures import FIGURES, captions, save, tables_of
from grpo_prm.figures.logs import join_logs

LOG = Path(__file__).with_name("chain.jsonl")
OTHER = Path(__file__).with_name("smollm2.jsonl.gz")
OF_BOTH = ("overlap_over_groups", "decided", "informativeness")  # where the two logs give different pictures
HEAD = """# Gallery

Every figure of the example log, `examples/chain.jsonl` (rollouts of a small model that learns sums), as `grpo-prm plot`
draws it for a column of a paper; under each the caption that lies beside it. Three are there again for answers of a
pretrained model, `examples/smollm2.jsonl.gz`. Made by `make gallery`.

    grpo-prm analyze examples/chain.jsonl
    grpo-prm plot chain.prm --venue icml --format pdf,svg --select group_tree,update_by_size --out icml

From Python, on axes of your own and in your own style:

```python
import grpo_prm
from grpo_prm.figures import figure_tables, overlap_by_k
from matplotlib.figure import Figure

tables = figure_tables(grpo_prm.analyze("examples/chain.jsonl"), select=["overlap_by_k"])
figure = Figure(figsize=(7, 2.5), layout="constrained")
axes = overlap_by_k(tables["overlap_by_k"], figure.subplots(1, 2))
axes[0].set_title("what a smaller k would have shown")
figure.savefig("overlap.svg")
```

Without axes each makes a figure of its own, `venue="neurips"` for that page. Several runs, and several folders, are
drawn over each other: `grpo-prm plot grpo.prm lambda.prm`. [Bands, bars and labels](output.md#figures).
`python examples/make_pages.py LOG OUT` lays the figures of a log into pages of two columns.
"""


def main(docs: Path) -> None:
    """Write gallery.md and figures/gallery/*.png."""
    images = docs / "figures" / "gallery"
    images.mkdir(parents=True, exist_ok=True)
    sentences = draw(LOG, images, list(FIGURES))
    others = draw(OTHER, images, list(OF_BOTH), "_smollm2")
    parts = [HEAD]
    for name, sentence in sentences.items():
        does = (FIGURES[name].draw.__doc__ or "").splitlines()[0]
        parts.append(f"## {name}\n\n{does}\n\n{shown(name, sentence)}")
        if name in others:
            parts.append(shown(f"{name}_smollm2", others[name]))
    (docs / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


def shown(image: str, sentence: str) -> str:
    """An image of the page, with the caption under it."""
    return f"![{image}](figures/gallery/{image}.png)\n\n{sentence}\n"


def draw(log: Path, images: Path, names: list[str], suffix: str = "") -> dict[str, str]:
    """Write figures of a log as NAME + suffix + .png; give their captions by name."""
    logs = join_logs([grpo_prm.analyze(log)])
    tables = {name: table for name, table in tables_of(logs).items() if name in names}
    with TemporaryDirectory() as folder:  # the CSV files beside the images have no place in the docs
        for path in save(tables, folder, ["png"], unit=logs.unit, dpi=200):
            if path.suffix == ".png":
                shutil.copy(path, images / f"{path.stem}{suffix}.png")
    return captions(tables, logs.summaries, logs.unit)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
