"""One table of codes: all that are raised are in it, and it holds no other."""

import ast
from pathlib import Path

from heptapod.dialect.codes import CODES

ROOT = Path(__file__).parents[2] / "heptapod"
# Whatever reports a diagnostic, and the position of the code among its arguments.
REPORTS = {
    "error": 0,
    "warning": 0,
    "note": 0,
    "missing": 0,
    "fail": 0,
    "Refusal": 0,
    "Diagnostic": 0,
    "Refused": 0,
    "_absent": 0,
}
REPORTS |= {"_wrong": 0, "refuse": 1}


def strings(node):
    """The texts that an argument may be."""
    if isinstance(node, ast.IfExp):
        return strings(node.body) | strings(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def raised():
    """{code: files} of every code in the sources."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "attr", getattr(node.func, "id", None)) if isinstance(node, ast.Call) else None
            if name in REPORTS and len(node.args) > REPORTS[name]:
                for code in strings(node.args[REPORTS[name]]):
                    found.setdefault(code, set()).add(path.name)
    return found


def test_every_code_that_is_raised_is_in_the_table_and_no_other():
    assert set(raised()) == set(CODES), sorted(set(raised()) ^ set(CODES))


def test_codes_are_stable_words_with_one_line_of_meaning():
    for code, meaning in CODES.items():
        assert code == code.lower() and code.replace("-", "").isalnum()
        assert meaning and "\n" not in meaning and not meaning.endswith(".")
    assert list(CODES) == sorted(CODES)
