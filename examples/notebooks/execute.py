"""Run the notebooks in this folder and store their outputs: `python examples/notebooks/execute.py [NAME ...]`."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

HERE = Path(__file__).parent
TIMEOUT_S = 300


def executed(path: Path, folder: Path) -> Any:
    """Return a notebook, run from its first cell to its last in a folder; an error in a cell is raised.

    Warnings of the machine, such as that it has no screen, are left out of the outputs.
    """
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT_S, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    client.execute(env={**os.environ, "NMCDIST_LOG": "", "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        cell.outputs = [output for output in cell.get("outputs", []) if output.get("name") != "stderr"]
        if cell.cell_type != "code":
            del cell["outputs"]
    nbformat.validate(notebook)
    return notebook


def main(names: list[str]) -> None:
    """Execute notebooks, by default all, and replace their files."""
    for path in [HERE / name for name in names] or sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
