"""Diagnostics: every complaint about a model names its file, line, column, and what to write instead."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# A longer source line is shown through a window around its caret.
_WINDOW = 160
# What a name in error stands for. Whatever touches it is poison, too, and the collector tells nothing of that.
POISON = "poison"
# In a set of names in error: every name that is not known, since the block that may declare it is in error.
ANY = "*"
_STAGE = re.compile(r"\bstage \w+")


@dataclass(frozen=True)
class Mark:
    """A place in a source file.

    **Attributes:**

    - `file`, `line`, `column`: the position, counted from 1.
    - `text`: the source line, empty where there is none.
    - `width`: the number of characters the caret underlines.
    - `inside`: whether `file` is the path of a value in a dictionary, and lines count inside of it.
    """

    file: str = "<string>"
    line: int = 1
    column: int = 1
    text: str = ""
    width: int = 1
    inside: bool = False

    def __str__(self) -> str:
        if self.inside and self.line == 1:
            return f"{self.file}:{self.column}" if self.text else self.file
        return f"{self.file}:{self.line}:{self.column}"

    def snippet(self) -> str:
        """The source line above its caret, or nothing where the line is not known."""
        if not self.text:
            return ""
        text, column = self.text.replace("\t", " "), self.column
        if len(text) > _WINDOW:
            start = max(0, min(column - _WINDOW // 2, len(text) - _WINDOW))
            text, column = text[start : start + _WINDOW], column - start
        gutter = "" if self.inside else f"{self.line} | "
        carets = "^" * max(1, min(self.width, len(text) - column + 1))
        return f"\n  {gutter}{text}\n  {' ' * (len(gutter) + column - 1)}{carets}"


@dataclass(frozen=True)
class Diagnostic:
    """One complaint.

    **Attributes:**

    - `code`: a stable name, e.g. `unknown-symbol`.
    - `message`, `mark`: what is wrong, and where.
    - `help`: what to write instead.
    - `severity`: `"error"`, `"warning"` or `"note"`.
    - `about`: what is not known or wrong, if it has a name, which is poison from then on: one error tells it.
    """

    code: str
    message: str
    mark: Mark = Mark()
    help: str | None = None
    severity: str = "error"
    about: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        advice = f"\n  help: {self.help}" if self.help else ""
        return f"{self.mark}: {self.severity}[{self.code}]: {self.message}{self.mark.snippet()}{advice}"


class ModelError(ValueError):
    """A model that cannot be read; it carries every complaint, and speaks for the first.

    **Attributes:** `diagnostics`, and `code`, `line`, `column`, `file`, `help` of the first.
    """

    def __init__(self, *diagnostics: Diagnostic):
        if not diagnostics:
            raise TypeError("a ModelError needs at least one Diagnostic")
        # `args` are the diagnostics themselves, so that the error survives pickling between processes.
        self.args = self.diagnostics = diagnostics

    @property
    def code(self) -> str:
        """What kind of mistake it is, one of the codes of the first complaint."""
        return self.diagnostics[0].code

    @property
    def help(self) -> str | None:
        """What to write instead, `None` where nothing is known."""
        return self.diagnostics[0].help

    @property
    def file(self) -> str:
        """Where it stands, or `<string>` of a text."""
        return self.diagnostics[0].mark.file

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return self.diagnostics[0].mark.line

    @property
    def column(self) -> int:
        """Its column, from 1."""
        return self.diagnostics[0].mark.column

    def __str__(self) -> str:
        return "\n".join(str(diagnostic) for diagnostic in self.diagnostics)


def did_you_mean(name: str, pool: Iterable[str]) -> str | None:
    """The nearest declared names as a question, `None` when nothing is near.

    **Arguments:**

    - `name`: what was written.
    - `pool`: what could have been meant.
    """
    # Up to case and underscores first: `Pr` is `P_r` rather than `R`.
    pool = sorted(set(pool) - {name})
    near = [candidate for candidate in pool if _plain(candidate) == _plain(name)]
    near = near or difflib.get_close_matches(name, pool, 3, 0.6)
    return f"did you mean {' or '.join(f'`{candidate}`' for candidate in near)}?" if near else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


class Collector:
    """Gathers complaints, so that a reader is told of all of them at once.

    **Attributes:** `diagnostics`, all of them in the order of the source, and `errors`, those that refuse the model; `count`:
    how often an error was found, poison among them, so that a part of a model can be known to be in error.
    """

    def __init__(self):
        # By what is seen of them: of one text that two stages share, one complaint is enough.
        self._seen: dict[tuple, Diagnostic] = {}
        self.count = 0

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        found = self._seen.values()
        return tuple(sorted(found, key=lambda found: (found.mark.file, found.mark.line, found.mark.column)))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(found for found in self.diagnostics if found.severity == "error")

    def add(self, found: Diagnostic) -> None:
        """Record a diagnostic, and count it; of poison that is all."""
        self.count += found.severity == "error"
        if found.code != POISON:
            told = (found.code, _STAGE.sub("stage", found.message), found.mark) if found.about is None else found.about
            self._seen.setdefault((found.severity, told), found)

    def error(self, code: str, message: str, mark: Mark, help: str | None = None, about: str | None = None) -> None:
        self.add(Diagnostic(code, message, mark, help, about=about))

    def warning(self, code: str, message: str, mark: Mark, help: str | None = None) -> None:
        self.add(Diagnostic(code, message, mark, help, "warning"))

    def note(self, code: str, message: str, mark: Mark, help: str | None = None) -> None:
        self.add(Diagnostic(code, message, mark, help, "note"))

    def poison(self) -> None:
        """Note that something touches what is in error, and is in error for that."""
        self.count += 1

    def extend(self, model_error: ModelError) -> None:
        """Take over the diagnostics of an error raised below."""
        for found in model_error.diagnostics:
            self.add(found)

    def raise_if_any(self) -> None:
        """Raise one `ModelError` with every error found, ordered by file, line and column."""
        if self.errors:
            raise ModelError(*self.errors)
