"""The text of an equation as Python syntax, never compiled, with the place of every node."""

import ast
import keyword
import re
import unicodedata
import warnings
from dataclasses import replace
from typing import NoReturn

from heptapod.errors import Diagnostic, Mark, ModelError
from heptapod.formulas.equation import TAGS
from heptapod.text.marked import Text

MAX_CHARACTERS = 4_000
PERCHES = {tag[1]: perch for perch, tag in TAGS.items()}
Node = ast.expr | ast.stmt | ast.keyword
_TAG = re.compile(r"(\[\s*)[<~>](\s*\])")
_KEYWORDS = frozenset(keyword.kwlist) - {"if", "else", "and", "or", "not", "in", "is", "True", "False", "None"}


class EquationText:
    """One text, parsed.

    `^` becomes `**` *before* parsing, since Python gives its own `^` the wrong precedence, and a perch tag `[>]`
    becomes an index `[0]` of the same width. Both are undone when a place is asked for.

    **Attributes:**

    - `tree`: the module of statements.
    """

    def __init__(self, text: str, mark: Mark | None):
        self.text = text if isinstance(text, Text) else Text(text.replace("\r\n", "\n"), mark)
        self._check_characters()
        self._rows = self.text.split("\n")
        self._indent = min((len(row) - len(row.lstrip()) for row in self._rows if row.strip()), default=0)
        self._carets = [[i for i, c in enumerate(row[self._indent :]) if c == "^"] for row in self._rows]
        tagged = [_TAG.sub(r"\g<1>0\2", row[self._indent :]) for row in self._rows]
        self._code = [row.replace("^", "**") for row in tagged]
        self.tree = self._parsed("\n".join(self._code))

    def fail(self, code: str, message: str, node: Node, help: str | None = None) -> NoReturn:
        raise ModelError(Diagnostic(code, message, self.mark(node), help))

    def mark(self, node: Node) -> Mark:
        """The place of a node, as wide as the node where it ends on the same line."""
        row, start = node.lineno - 1, self._column(node.lineno - 1, node.col_offset)
        width = self._column(row, node.end_col_offset) - start if node.end_lineno == node.lineno else 1
        return self._mark(row, start, width)

    def spelling(self, node: Node) -> str:
        """The source of a node that stands on one line."""
        row = node.lineno - 1
        return self._rows[row][self._column(row, node.col_offset) : self._column(row, node.end_col_offset)]

    def tag(self, node: ast.Subscript) -> str | None:
        """The perch that a subscript names, `None` where it is any other index."""
        index = node.slice
        if not isinstance(index, ast.Constant):
            return None
        return PERCHES.get(self._rows[index.lineno - 1][self._column(index.lineno - 1, index.col_offset)])

    def _column(self, row: int, offset: int | None) -> int:
        """The column in the source of a byte offset in the code."""
        column = len(self._code[row].encode()[:offset].decode())
        return self._indent + self._before_carets(row, column)

    def _before_carets(self, row: int, column: int) -> int:
        return column - sum(caret + k < column for k, caret in enumerate(self._carets[row]))

    def _mark(self, row: int, column: int, width: int = 1) -> Mark:
        offset = sum(len(line) + 1 for line in self._rows[:row]) + column
        return replace(self.text.place(min(offset, len(self.text))), width=max(1, width))

    def _check_characters(self) -> None:
        text = self.text
        if len(text) > MAX_CHARACTERS:
            message = f"an equation may have {MAX_CHARACTERS} characters; this one has {len(text)}"
            raise ModelError(Diagnostic("too-long", message, text.mark, "name its parts in `functions:`"))
        for i, character in enumerate(text):
            if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\t":
                message = f"the character U+{ord(character):04X} cannot be read"
                raise ModelError(Diagnostic("syntax", message, text.place(i)))
            # Python reads a full-width letter as its ASCII twin, so two spellings would be one name.
            plain = unicodedata.normalize("NFKC", character)
            if plain != character or unicodedata.combining(character):
                help = f"write `{plain}`" if plain.isprintable() and plain.strip() and plain != character else None
                message = f"`{character}` (U+{ord(character):04X}) looks like another character"
                raise ModelError(Diagnostic("name", message, text.place(i), help))

    def _parsed(self, code: str) -> ast.Module:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `1(2)` and `0if x` warn; they are refused below, by name.
                return ast.parse(code, mode="exec")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            row = min((getattr(error, "lineno", None) or 1), len(self._code)) - 1
            column = max(0, (getattr(error, "offset", None) or 1) - 1)
            reason = (getattr(error, "msg", None) or "too deeply nested").split(". Perhaps")[0].split(". Maybe")[0]
            self._fail_on_keyword()
            mark = self._mark(row, self._indent + self._before_carets(row, min(column, len(self._code[row]))))
            raise ModelError(Diagnostic("syntax", f"cannot read this equation ({reason})", mark)) from None

    def _fail_on_keyword(self) -> None:
        for match in re.finditer(r"[^\W\d]\w*", self.text):
            word = match.group()
            if word in _KEYWORDS:
                mark = replace(self.text.place(match.start()), width=len(word))
                shorter = f", or `{word[:3]}`" if word[:3] not in _KEYWORDS else ""
                help = f"rename it, e.g. `{word}_`{shorter}"
                raise ModelError(Diagnostic("syntax", f"`{word}` is a reserved word", mark, help)) from None
