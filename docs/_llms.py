"""All pages in one file of plain Markdown, in the order of the tables of contents, for programs that read.

The build of the pages writes it beside them as `llms-full.txt`; `python docs/_llms.py FILE` does so without a build.
"""

import re
import sys
from pathlib import Path

import _api  # Beside this file.

DOCS = Path(__file__).parent
TREE = re.compile(r"^```\{toctree\}\n(.*?)^```\n?", flags=re.M | re.S)
INCLUDE = re.compile(r"^```\{(?:include|literalinclude)\} (\S+)\n(.*?)^```", flags=re.M | re.S)
RAW = re.compile(r"^```\{raw\} html\n.*?^```\n?", flags=re.M | re.S)
HIDDEN = re.compile(r"^```\{code-cell\}\n:tags: \[remove-cell\]\n.*?^```\n?", flags=re.M | re.S)


def order(page: Path = DOCS / "index.md") -> list[Path]:
    """A page and those below it, as the tables of contents have them."""
    found = [page]
    for tree in TREE.findall(page.read_text()):
        for name in (line for line in tree.splitlines() if line and not line.startswith(":")):
            found += order(page.parent / f"{name}.md")
    return found


def plain(page: Path) -> str:
    """One page without what only a build understands, and with what it would put in."""
    text = re.sub(r"\A---\n.*?^---\n", "", page.read_text(), flags=re.M | re.S)
    text = HIDDEN.sub("", RAW.sub("", TREE.sub("", text)))
    text = INCLUDE.sub(lambda found: _included(page, found), text)
    source = [text.replace("```{code-cell}", "```python")]
    _api.insert(None, page.stem, source)
    return re.sub(r"\n{3,}", "\n\n", source[0]).strip()


def _included(page: Path, found: re.Match) -> str:
    """A file that a page takes in: Markdown as it is, code in a fence."""
    text = (page.parent / found[1]).read_text().strip()
    language = re.search(r"^:language: (\w+)$", found[2], flags=re.M)
    return f"```{language[1]}\n{text}\n```" if language else text


def whole() -> str:
    """All pages, each under its path."""
    return "\n\n".join(f"<!-- page: {page.relative_to(DOCS)} -->\n\n{plain(page)}" for page in order()) + "\n"


def write(app, exception) -> None:
    """Beside the pages, when they are built."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "llms-full.txt").write_text(whole())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(whole())
