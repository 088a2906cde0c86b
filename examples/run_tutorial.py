"""Run tutorial.ipynb from its top and keep what it shows, without times and versions: `python run_tutorial.py`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("tutorial.ipynb")
LOG = NOTEBOOK.with_name("smollm2.jsonl.gz")
COLUMNS = "80"  # of the texts


def executed(path: Path) -> Any:
    """The notebook with the outputs of a new run, in a folder that has the log alone."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        shutil.copy(LOG, folder)
        client = NotebookClient(notebook, timeout=600, record_timing=False, resources={"metadata": {"path": folder}})
        client.execute(env={**os.environ, "COLUMNS": COLUMNS})
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            # A figure is an object at some address of the memory.
            if text := output.get("data", {}).get("text/plain"):
                output["data"]["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return notebook


if __name__ == "__main__":
    path = Path(sys.argv[1]) if sys.argv[1:] else NOTEBOOK
    nbformat.write(executed(path), path)
