"""The tables of the language page and of the runner's, from the tables that the checker reads with.

A comment `<!-- table keys `model` -->` stands above each of them; `python docs/_tables.py` writes all tables anew, and a test
compares them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from dynx_runner.commands.config import KEYS, NEEDED
from heptapod.dialect.codes import CODES
from heptapod.dialect.keys import BLOCKS
from heptapod.shocks.read import SHOCK_KEYS
from heptapod.spaces.grids import GRID_KEYS, GRID_TYPES

PAGES = [Path(__file__).with_name(name) for name in ("language.md", "runner.md")]
MARK = re.compile(r"^<!-- table (\w+)(?: (.+?))? -->\n\n((?:\|.*\n)*)", flags=re.M)


def table(kind: str, of: str | None = None) -> str:
    """One table as Markdown: `keys` of a block, `grids`, `grid_types`, `shocks`, `codes`."""
    head, rows = {
        "keys": lambda: (("key", "meaning"), [(f"`{k}`", m) for k, (_, m) in BLOCKS[of].items()]),
        "grids": lambda: (("key", "meaning"), [(f"`{k}`", m) for k, m in GRID_KEYS.items()]),
        "grid_types": lambda: (("type", "knots", "keys besides `type`"), list(_grid_types())),
        "shocks": lambda: (("key", "of", "meaning"), list(_shocks())),
        "sweep": lambda: (("key", "is"), [(f"`{k}`", m + (" (needed)" if k in NEEDED else "")) for k, m in KEYS.items()]),
        "codes": lambda: (("code", "what is wrong"), [(f"`{c}`", m) for c, m in CODES.items()]),
    }[kind]()
    lines = [head, ["---"] * len(head), *rows]
    return "".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|\n" for line in lines)


def _grid_types() -> Iterator[tuple[str, str, str]]:
    for kind, (meaning, keys) in GRID_TYPES.items():
        yield f"`{kind}`", meaning, ", ".join(f"`{k}`" for k in keys if k != "type")


def _shocks() -> Iterator[tuple[str, str, str]]:
    """A row for each meaning of a key, with the methods that it has there."""
    found: dict[tuple[str, str], list[str]] = {}
    for method, meanings in SHOCK_KEYS.items():
        for key, meaning in meanings.items():
            found.setdefault((key, meaning), []).append(method)
    order = list(dict.fromkeys(key for key, _ in found))
    for (key, meaning), methods in sorted(found.items(), key=lambda item: order.index(item[0][0])):
        yield f"`{key}`", "all" if len(methods) == len(SHOCK_KEYS) else ", ".join(methods), meaning


def written(text: str) -> str:
    """A page with every table anew."""
    return MARK.sub(_written, text)


def _written(found: re.Match) -> str:
    mark = found[0].partition("\n")[0]
    # Where no table stands yet, the blank line below the mark is the one above the next paragraph.
    return f"{mark}\n\n{table(found[1], found[2])}" + ("" if found[3] else "\n")


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text()))
