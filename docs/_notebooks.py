"""The notebooks of `examples/notebooks` as pages: copied to where Sphinx looks for them, each with a link to the file."""

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
NOTEBOOKS = DOCS.parent / "examples" / "notebooks"
PAGES = DOCS / "notebooks"


def titles() -> dict[str, str]:
    """The heading of every notebook, by the name of its file."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        found[path.stem] = "".join(first).splitlines()[0].removeprefix("# ")
    return found


def with_link(name: str) -> str:
    """A notebook whose heading is followed by a link to it."""
    book = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    lines = "".join(book["cells"][0]["source"]).splitlines()
    link = f"{{download}}`Download this notebook <../../examples/notebooks/{name}.ipynb>`"
    book["cells"][0]["source"] = "\n".join([lines[0], "", link, *lines[1:]])
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def write(app: Any = None) -> None:
    """Write the pages; one that says what it said before is left alone, so that it is not read again."""
    del app
    PAGES.mkdir(exist_ok=True)
    for name in titles():
        page, text = PAGES / f"{name}.ipynb", with_link(name)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def tree(app: Any, docname: str, source: list[str]) -> None:
    """Put the notebooks into the table of contents, where `<!-- pages notebooks -->` stands, in the order of the links."""
    del app, docname
    found = "\n".join(re.findall(r"\((notebooks/\w+)\.ipynb\)", source[0]))
    source[0] = source[0].replace("<!-- pages notebooks -->", f"```{{toctree}}\n:hidden:\n\n{found}\n```")


def setup(app: Any) -> None:
    """For Sphinx: the copies are made before any page is read."""
    app.connect("builder-inited", write)
    app.connect("source-read", tree)
