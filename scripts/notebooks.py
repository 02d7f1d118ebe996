"""Execute the notebooks of examples/notebooks and keep their outputs: ``python scripts/notebooks.py [NAME ...]``.

It needs nbclient and ipykernel. What a notebook writes goes to a temporary folder.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "examples" / "notebooks"


def execute(path: Path) -> None:
    """Execute a notebook, and write it with its outputs but without times and the names of folders."""
    book = nbformat.read(path, as_version=4)
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        NotebookClient(book, timeout=600, record_timing=False, resources={"metadata": {"path": folder}}).execute()
        for cell in book.cells:
            for output in cell.get("outputs", []):
                output.get("data", {}).pop("image/jpeg", None)  # the same picture again
        written = nbformat.writes(book).replace(folder, ".")
    path.write_text(written + "\n", encoding="utf-8")
    print(f"{path.name}: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")):
        execute(NOTEBOOKS / f"{name}.ipynb")
