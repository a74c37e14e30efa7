"""Strings that remember where they were written, to the character."""

from dataclasses import replace

from heptapod.errors import Mark


class Text(str):
    """A string that remembers where it was written.

    **Attributes:**

    - `mark`: the first character of the content, after an opening quote.
    - `lines`: the lines of the source file.
    - `block`: whether it was a block scalar (`|` or `>`).
    """

    mark: Mark
    lines: list[str]
    block: bool

    def __new__(cls, value: str, mark: Mark | None = None, lines: list[str] | None = None, block: bool = False):
        text = str.__new__(cls, value)
        text.mark, text.lines, text.block = mark or Mark(text=value.split("\n")[0]), lines or [], block
        return text

    def place(self, offset: int) -> Mark:
        """The mark of the character at `offset`, found by walking source and content side by side."""
        if not self.lines:
            before = self[:offset].split("\n")
            column = len(before[-1]) + (self.mark.column if len(before) == 1 else 1)
            text = self.mark.text if len(before) == 1 else self.split("\n")[len(before) - 1]
            return replace(self.mark, line=self.mark.line + len(before) - 1, column=column, text=text, width=1)
        row, column = self.mark.line - 1, self.mark.column - 1
        # The mark of a block is its first word; the blank lines above it are content all the same.
        blank = len(self) - len(self.lstrip("\n")) if self.block else 0
        for character in self[blank:offset]:
            row, column = self._step(character, *self._settled(character, row, column))
        row, column = self._settled(self[offset : offset + 1], row, column)
        return replace(self.mark, line=row + 1, column=column + 1, text=self.lines[row], width=1)

    def _settled(self, character: str, row: int, column: int) -> tuple[int, int]:
        # Of n + 1 line breaks in a folded text n are kept, so a word may wait on a later line.
        waits = character.strip() and not self.lines[row][column:].strip() and row + 1 < len(self.lines)
        return self._next_line(row) if waits else (row, column)

    def _step(self, character: str, row: int, column: int) -> tuple[int, int]:
        source = self.lines[row]
        rest = source[column:]
        if rest == "\\" and row + 1 < len(self.lines):  # An escaped line break leaves no character.
            row, column = self._next_line(row)
            return self._step(character, row, column)
        if character in "\n " and not rest.strip() and row + 1 < len(self.lines):
            return self._next_line(row, blank=character == "\n")
        if rest.startswith("\\") and character != "\\":
            return row, column + {"x": 4, "u": 6, "U": 10}.get(rest[1:2], 2)
        return row, column + (2 if rest.startswith(("\\\\", "''")) else 1)

    def _next_line(self, row: int, blank: bool = False) -> tuple[int, int]:
        row += 1
        while not blank and not self.lines[row].strip() and row + 1 < len(self.lines):
            row += 1
        line = self.lines[row]
        indent = len(line) - len(line.lstrip())
        return row, min(self.mark.column - 1, indent) if self.block else indent
