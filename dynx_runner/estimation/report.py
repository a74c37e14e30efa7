"""Estimates in words: a table as text, HTML or LaTeX."""

import html
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

_STYLES = ("text", "html", "latex")
_Z = float(ndtri(0.975))


class Table(NamedTuple):
    """A table of estimates: `title`, `head`: (name, value) pairs; `columns`, `rows`; `notes`: sentences below it."""

    title: str
    head: list[tuple[str, str]]
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]


def table(fit: Any, kind: str | None, **more: Any) -> Table:
    """What is said of a fit."""
    import warnings

    notes = [] if fit.converged else [f"NOT CONVERGED: {fit.outcome}."]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            variance = np.diag(fit.covariance(kind, **more))
    except ValueError as error:
        variance, notes = np.full(len(fit.names), np.nan), [*notes, f"No standard errors: {error}."]
    errors = np.sqrt(np.where(variance >= 0, variance, np.nan))
    at = ~fit.inside
    if at.any():
        notes.append(f"At a bound: {', '.join(n for n, b in zip(fit.names, at, strict=True) if b)}.")
    if fit.check is not None and not fit.check["agrees"].all():
        bad = fit.check[~fit.check["agrees"]]
        notes += [f"Derivative of {r.parameter} at the {r.at}: {r.reason}." for r in bad.itertuples()]
    rows = [(name, _number(z), _number(e), _number(z - _Z * e), _number(z + _Z * e))
            for name, z, e in zip(fit.names, fit.z, errors, strict=True)]  # fmt: skip
    head = [*fit.estimator.head(fit), ("starts", str(len(fit.traces))), ("outcome", fit.outcome)]
    return Table(type(fit.estimator).__name__, head, ("parameter", "estimate", "s.e.", "2.5 %", "97.5 %"), rows, notes)


def _number(x: float) -> str:
    return "" if not np.isfinite(x) else f"{x:.5g}"


def summary(told: Table, style: str) -> str:
    """The table in one of three styles."""
    if style not in _STYLES:
        raise ValueError(f"style: {style!r} is none of {', '.join(_STYLES)}")
    return {"text": _text, "html": _html, "latex": _latex}[style](told)


def _text(told: Table) -> str:
    wide = [max(len(row[i]) for row in (told.columns, *told.rows)) for i in range(len(told.columns))]
    line = lambda row: "  ".join(x.ljust(w) if i == 0 else x.rjust(w) for i, (x, w) in enumerate(zip(row, wide, strict=True)))
    rule = "-" * len(line(told.columns))
    head = [f"{name}: {value}" for name, value in told.head]
    return "\n".join([told.title, *head, rule, line(told.columns), rule, *map(line, told.rows), rule, *told.notes])


def _html(told: Table) -> str:
    cells = lambda row, tag: "<tr>" + "".join(f"<{tag}>{html.escape(x)}</{tag}>" for x in row) + "</tr>"
    head = "".join(f"<div>{html.escape(name)}: {html.escape(value)}</div>" for name, value in told.head)
    body = cells(told.columns, "th") + "".join(cells(row, "td") for row in told.rows)
    notes = "".join(f"<div>{html.escape(note)}</div>" for note in told.notes)
    return f"<div><b>{html.escape(told.title)}</b>{head}<table>{body}</table>{notes}</div>"


def _latex(told: Table) -> str:
    safe = lambda x: x.replace("\\", "\\textbackslash{}").replace("_", r"\_").replace("%", r"\%").replace("&", r"\&")
    line = lambda row: " & ".join(safe(x) for x in row) + r" \\"
    head = [f"% {name}: {value}" for name, value in told.head]
    body = [r"\begin{tabular}{l" + "r" * (len(told.columns) - 1) + "}", r"\hline", line(told.columns), r"\hline",
            *map(line, told.rows), r"\hline", r"\end{tabular}"]  # fmt: skip
    return "\n".join([*head, *body, *[f"% {note}" for note in told.notes]])
