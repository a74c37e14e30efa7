"""What became of one draw, as plain values, so that it travels between processes and to the disk."""

from typing import Any, NamedTuple

OK, FAILED, QUARANTINED = "ok", "failed", "quarantined"


class Record(NamedTuple):
    """What became of one draw.

    **Attributes:**

    - `metrics`: `{name: number or array}`, empty if the draw failed.
    - `error`: one line that says what was raised and where, empty if nothing was.
    - `traceback`: the whole of it.
    - `seconds`: wall time.
    - `notes`: what a recorder was told, `{name: number}`.
    - `status`: `ok`, `failed` where an exception was raised, `quarantined` where it was not run, since it ended its process.
    """

    metrics: dict[str, Any]
    error: str = ""
    traceback: str = ""
    seconds: float = 0.0
    notes: dict[str, float] = {}
    status: str = OK


def quarantined(crashes: int) -> Record:
    """The record of a draw that is not run any more."""
    why = f"quarantined: {crashes} processes ended in this draw; retry_quarantined=True runs it again"
    return Record({}, why, status=QUARANTINED)
