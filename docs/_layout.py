"""The plan on the page 'How the code is laid out', drawn from the imports.

A comment `<!-- wings stagecraft -->` stands above each table; `python docs/_layout.py` writes all tables anew, and a test
compares them. The order of the wings is that of `tests/test_house.py`, the sentence of a wing is the first line of its
`__init__.py`, that of a file in the root its own.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("layout.md")
MARK = re.compile(r"^<!-- wings (\w+) -->\n\n((?:\|.*\n)*)", flags=re.M)


def _order() -> dict[str, list[str]]:
    """Package -> its wings and the files of its root, in order."""
    for node in ast.parse((ROOT / "tests" / "test_house.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "LAYERS":
            return ast.literal_eval(node.value)
    raise LookupError("tests/test_house.py has no LAYERS")


ORDER = _order()


def table(package: str) -> str:
    """One package as Markdown: a line for each wing, in order."""
    rows = [("wing", "what it is", "imports from"), ("---", "---", "---")]
    for name in ORDER[package]:
        shown = f"`{name}/`" if (ROOT / package / name).is_dir() else f"`{name}.py`"
        rows.append((shown, sentence(package, name), ", ".join(f"`{n}`" for n in arrows(package, name))))
    return "".join(f"|{'|'.join(cell if cell == '---' else f' {cell} ' for cell in row)}|\n" for row in rows)


def sentence(package: str, name: str) -> str:
    """The first line of a wing, or of a file."""
    file = next(f for f in (ROOT / package / name / "__init__.py", ROOT / package / f"{name}.py") if f.exists())
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def arrows(package: str, name: str) -> list[str]:
    """The wings that one imports from, in order, and the packages below whose face it asks."""
    folder = ROOT / package / name
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    found = {target for file in files for target in _imported(file, package)} - {name}
    return [n for n in (*ORDER, *ORDER[package]) if n in found]


def _imported(file: Path, package: str) -> Iterator[str]:
    """What a file imports: wings of its own package, and other packages of ours."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            first, _, rest = name.partition(".")
            if first == package and rest:
                yield rest.partition(".")[0]
            elif first in ORDER and first != package:
                yield first


def written(text: str) -> str:
    """The page with every table anew."""
    return MARK.sub(_written, text)


def _written(found: re.Match) -> str:
    # Where no table stands yet, the blank line below the mark is the one above the next paragraph.
    return f"<!-- wings {found[1]} -->\n\n{table(found[1])}" + ("" if found[2] else "\n")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
