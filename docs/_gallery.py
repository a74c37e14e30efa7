"""The pages of the gallery: one for each model file in `examples/gallery`, from the file, its derivations and a short text.

What a person wrote stands in `examples/gallery/pages.toml`; text, diagram, equations, figure and numbers are made when the
pages are built, and kept in `docs/_build/cache` under a digest of all that they depend on, so that what has not changed is not
made again. `python docs/_gallery.py` writes the index on the page of the gallery anew, and a test compares it.
"""

import functools
import hashlib
import importlib
import inspect
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
GALLERY = ROOT / "examples" / "gallery"
PAGE, PAGES, CACHE = DOCS / "gallery.md", DOCS / "gallery", DOCS / "_build" / "cache"
TOLD = tomllib.loads((GALLERY / "pages.toml").read_text(encoding="utf-8"))
WITH_PAGE = {name: told for name, told in TOLD.items() if "figure" in told}
MARK = re.compile(r"^<!-- gallery (\w+) -->\n\n((?:\|.*\n)*)", flags=re.M)
BEGIN = """\
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import stagecraft as sc

sc.enable_x64()
solved = sc.solve(sc.load("examples/gallery/{name}.yml"))
"""


def index(by: str) -> str:
    """The models by `field` or by `mechanism`, as a table of links; by `model`, with what each is checked against."""
    if by == "model":
        files = "[{0}.yml](../examples/gallery/{0}.yml)"
        rows = [(link(n, told["title"]), files.format(n), against(n)) for n, told in TOLD.items()]
        return _table(("model", "file", "checked against"), rows)
    words = dict.fromkeys(word for told in TOLD.values() for word in told[by])
    links = {w: ", ".join(link(n, n) for n, told in TOLD.items() if w in told[by]) for w in sorted(words, key=str.lower)}
    return _table((by, "models"), links.items())


def link(name: str, words: str) -> str:
    """To the page of a model, or to its file where it has no page."""
    return f"[{words}](#gallery-{name})" if name in WITH_PAGE else f"[{words}](../examples/gallery/{name}.yml)"


def _table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("|" + "|".join(c if c == "---" else f" {c} " for c in line) + "|\n" for line in lines)


def written(text: str) -> str:
    """A page with every index anew."""
    return MARK.sub(lambda found: f"<!-- gallery {found[1]} -->\n\n{index(found[1])}" + "\n" * (not found[2]), text)


@functools.cache
def oracles() -> Any:
    """The module of the oracles, which imports nothing of ours."""
    sys.path.insert(0, str(ROOT / "tests" / "gallery"))
    try:
        return importlib.import_module("oracles")
    finally:
        sys.path.pop(0)


def against(name: str) -> str:
    """Where the numbers come from that a model is held beside."""
    return oracles().ORACLES[name][1]


def said(text: str) -> str:
    """What a model file says of itself: the comment that it begins with, without its marks."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def snippet(name: str) -> str:
    """The whole program that draws the figure of a model."""
    begin = BEGIN.format(name=name)
    unused = [line for line in ("import jax\n", "import jax.numpy as jnp\n", "import numpy as np\n")
              if not re.search(rf"\b{line.split()[-1]}\.(?!numpy as)", TOLD[name]["figure"])]  # fmt: skip
    for line in unused:
        begin = begin.replace(line, "", 1)
    return begin + TOLD[name]["figure"]


@functools.cache
def engine() -> str:
    """A digest of the packages and of what they stand on: with another engine everything is made anew."""
    import jax
    import matplotlib

    found = hashlib.sha256(f"{jax.__version__} {matplotlib.__version__}".encode())
    for package in ("heptapod", "stagecraft", "dynx_runner"):
        folder = Path(inspect.getfile(importlib.import_module(package))).parent
        for path in sorted(folder.rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def cells() -> Path:
    """Where outputs of cells are kept, for this engine and these examples, whose content no cell tells."""
    found = hashlib.sha256(engine().encode())
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.suffix in (".yml", ".yaml", ".csv", ".py") and "output" not in path.parts:
            found.update(path.read_bytes())
    return CACHE / "cells" / found.hexdigest()[:24]


def made(name: str) -> Path:
    """The folder with what was computed of a model, `figure.svg` and `page.md`, from the cache where it is there."""
    parts = [(GALLERY / f"{name}.yml").read_text(), str(TOLD[name]), Path(__file__).read_text(), engine()]
    parts += [inspect.getsource(oracles().ORACLES[name][0]), json.dumps(_known(name))]
    folder = CACHE / "gallery" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    if not (folder / "page.md").exists():
        folder.mkdir(parents=True, exist_ok=True)
        solved = draw(name, folder / "figure.svg")
        (folder / "page.md").write_text("\n".join(page(name, solved)), encoding="utf-8")
    return folder


def _known(name: str) -> dict:
    return json.loads((GALLERY / "scores.json").read_text())[name]


def draw(name: str, to: Path) -> Any:
    """Run the program of a page, keep its figure, and return the circuit that it solved first."""
    import os

    import matplotlib
    from matplotlib import pyplot as plt

    matplotlib.use("Agg", force=True)
    scope: dict[str, Any] = {}
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        with plt.rc_context({"svg.hashsalt": name, "figure.figsize": (6.4, 3.8), "figure.constrained_layout.use": True}):
            exec(compile(BEGIN.format(name=name), f"{name}.yml", "exec"), scope)
            solved = scope["solved"]
            exec(compile(TOLD[name]["figure"], f"{name} in pages.toml", "exec"), scope)
            plt.gcf().savefig(to, metadata={"Date": None})
    finally:
        os.chdir(here)
        plt.close("all")
    return solved


def page(name: str, solved: Any) -> Iterator[str]:
    """The Markdown of a model's page, paragraph by paragraph."""
    import stagecraft as sc
    from stagecraft.board.draw import svg

    told, text = TOLD[name], (GALLERY / f"{name}.yml").read_text(encoding="utf-8")
    yield f"# {told['title']}\n\n{said(text)}\n"
    yield f"*Field:* {', '.join(told['field'])}. *Mechanism:* {', '.join(told['mechanism'])}.\n"
    yield f"![What the model shows](figure-{name}.svg)\n\n{told['shows'].strip()}\n"
    yield f"The figure is drawn by\n\n```python\n{snippet(name).strip()}\n```\n"
    yield f"## The model\n\n`examples/gallery/{name}.yml`, to {{download}}`download <{name}.yml>`, or by\n"
    yield f"```bash\npython -m stagecraft.examples copy gallery/{name}.yml\n```\n\n```yaml\n{text.strip()}\n```\n"
    yield f"## Its diagram\n\n```{{raw}} html\n{svg(solved)}\n```\n"
    yield "Solid arrows push households forward, dashed ones pull values back.\n"
    yield f"## Its equations\n\nWhat DynX read, and what it derived from it.\n\n{mathematics(sc.to_latex(solved))}"
    yield f"## How we know\n\n{numbers(name, solved)}"


def mathematics(latex: str) -> str:
    """LaTeX of a model as Markdown: a heading for each block, mathematics as MathJax reads it, the calibration as a table."""
    parts = []
    for block in latex.split("\n\n"):
        title, _, body = block.partition("\n")
        heading = title.removeprefix("% ")
        if r"\begin{tabular}" in body:
            rows = [line.strip().removesuffix(r" \\").split(" & ") for line in body.splitlines()[1:-1]]
            parts.append(f"**{heading[0].upper()}{heading[1:]}**\n\n{_table(('name', 'value'), rows)}")
        else:
            parts.append(f"**{heading[0].upper()}{heading[1:]}**\n\n```{{math}}\n:nowrap:\n\n{body}\n```\n")
    return "\n".join(parts)


def numbers(name: str, solved: Any) -> str:
    """What the oracle says beside what was found; in full where there are few numbers."""
    from stagecraft.pictures.curves import functions_of

    known, rows = _known(name), []
    for period, what, states, expected in known["rows"][:8]:
        stage, _, function = what.partition(".")
        found = float(functions_of(solved[period][stage].dcsn.sol)[function](**states))
        at = ", ".join(f"{k} = {v:.4g}" for k, v in states.items())
        rows.append((str(period), f"`{what}`", at, f"{expected:.8g}", f"{found:.8g}"))
    told = (inspect.getdoc(oracles().ORACLES[name][0]) or "").strip()
    more = len(known["rows"]) - len(rows)
    return (
        f"By {known['by']}: {told} The [oracle](#oracle-{name}) is NumPy alone and imports nothing of "
        f"DynX; numbers agree to {known['claimed']:.0e}, and stop agreeing when patience is moved by one per cent.\n\n"
        + _table(("period", "function", "at", "expected", "found"), rows)
        + (f'\nand {more} more: `sc.scorecard("{name}")` prints all of them.\n' if more else "")
    )


def source() -> str:
    """The page of all oracles."""
    parts = [f"# Oracles\n\n{inspect.getdoc(oracles())}\n"]
    for name in TOLD:
        code = inspect.getsource(oracles().ORACLES[name][0])
        model = link(name, TOLD[name]["title"]).replace("(../", "(../../")  # From a folder further down.
        parts.append(f"(oracle-{name})=\n## {name}\n\nOf {model}.\n\n```python\n{code}```\n")
    return "\n".join(parts)


def tree(app: Any, docname: str, source: list[str]) -> None:
    """Put the pages that are made into the table of contents, where `<!-- pages gallery -->` stands."""
    del app, docname
    found = "\n".join(f"gallery/{name}" for name in (*WITH_PAGE, "oracles"))
    source[0] = source[0].replace("<!-- pages gallery -->", f"```{{toctree}}\n:hidden:\n\n{found}\n```")


def setup(app: Any) -> None:
    """For Sphinx: pages are made before any is read. They end in `.myst`, so that nobody takes them for written ones."""
    app.add_source_suffix(".myst", "myst-nb")
    app.connect("builder-inited", write)
    app.connect("source-read", tree)


def write(app: Any = None) -> None:
    """Write all pages where Sphinx looks for them."""
    del app
    PAGES.mkdir(exist_ok=True)
    for name in WITH_PAGE:
        folder = made(name)
        text = (folder / "page.md").read_text(encoding="utf-8")
        _keep(PAGES / f"{name}.myst", f"(gallery-{name})=\n{text}".encode())
        _keep(PAGES / f"figure-{name}.svg", (folder / "figure.svg").read_bytes())
        shutil.copyfile(GALLERY / f"{name}.yml", PAGES / f"{name}.yml")
    _keep(PAGES / "oracles.myst", source().encode())


def _keep(path: Path, content: bytes) -> None:
    """Write a file only where it says something else, so that Sphinx reads again only what is new."""
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
