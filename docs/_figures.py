"""The figures of the pages whose Python is run by the tests and not by the build.

An image of `figures/pages` stands right below the cell that draws it: `python docs/_figures.py [PAGE ...]` runs the Python of
the pages in order and saves what each of these cells drew. `figures/pages/drawn.json` keeps a digest of the Python that an
image was drawn by, which a test compares, so that no page shows the figure of an older text.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
FOLDER = DOCS / "figures" / "pages"
DRAWN = FOLDER / "drawn.json"
PART = re.compile(r"^```python\n(.*?)^```|^!\[[^\]]*\]\(\S*figures/pages/(\S+\.png)\)", flags=re.M | re.S)


def parts(page: Path) -> list[tuple[str | None, str | None]]:
    """(Python, None) for each cell and (None, file) for each image, in order."""
    return [(found[1], found[2]) for found in PART.finditer(page.read_text())]


def digests(page: Path) -> dict[str, str]:
    """File -> digest of all Python of its page above it."""
    found, code = {}, ""
    for text, image in parts(page):
        code += text or ""
        if image:
            found[image] = hashlib.sha256(code.encode()).hexdigest()[:16]
    return found


def pages() -> list[Path]:
    """Every page that has such a figure."""
    return [page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts and digests(page)]


def draw(page: Path) -> None:
    """Run a page from the root of the repository, and save its figures."""
    from matplotlib import pyplot as plt

    scope = {"__name__": page.stem}
    for text, image in parts(page):
        if text:
            exec(compile(text, page.name, "exec"), scope)
        else:
            plt.gcf().savefig(FOLDER / str(image), dpi=110, bbox_inches="tight", metadata={"Software": None})
            plt.close("all")


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")
    os.chdir(DOCS.parent)
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    known = json.loads(DRAWN.read_text()) if DRAWN.exists() else {}
    for page in chosen:
        draw(page)
        known |= digests(page)
    wanted = {image for page in pages() for image in digests(page)}
    DRAWN.write_text(json.dumps({k: v for k, v in sorted(known.items()) if k in wanted}, indent=1) + "\n")
