"""Pages of the notebooks in `examples/notebooks`, with the outputs that they hold, made when the site is built."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
FOLDER = "notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, its pictures and the notebook itself; MkDocs calls this once."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        content = path.read_text(encoding="utf-8")
        parts, pictures = [], {}
        for number, cell in enumerate(json.loads(content)["cells"]):
            parts += _parts(cell, f"{path.stem}-{number}.png", pictures)
        title, _, rest = "\n\n".join(parts).partition("\n\n")
        page = f"{title}\n\n[Download this notebook]({path.name})\n\n{rest}\n"
        made: dict[str, str | bytes] = {f"{path.stem}.md": page, path.name: content, **pictures}
        for name, data in made.items():
            files.append(File.generated(config, f"{FOLDER}/{name}", content=data))
    return files


def _parts(cell: dict[str, Any], picture: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """Yield the Markdown of a cell and its outputs; a picture is put into `pictures` under its name."""
    source = "".join(cell["source"])
    yield source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if output["output_type"] == "stream":
            yield "```text\n" + "".join(output["text"]).rstrip() + "\n```"
        elif "image/png" in data:
            pictures[picture] = base64.b64decode("".join(data["image/png"]))
            yield f"![Output of the cell above]({picture})"
        elif output["output_type"] == "execute_result":
            yield "".join(data["text/html"]) if "text/html" in data else f"```text\n{''.join(data['text/plain'])}\n```"
