"""How far a sweep is: a bar in a terminal, a line each half minute elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from dynx_runner.runner.record import OK, Record

_SECONDS = 30.0


class _Lines:
    """A stream that begins a new line where a bar would be drawn over the last one: log files keep everything."""

    def write(self, text: str) -> None:
        """Pass text on."""
        sys.stderr.write(text.replace("\r", "\n"))

    def flush(self) -> None:
        """Pass on what is held back."""
        sys.stderr.flush()


@contextmanager
def progress_of(total: int, known: int, *, shown: bool | None) -> Iterator[Callable[[Record], None]]:
    """A bar with the rate, the time that is left, and how many draws failed.

    **Arguments:**

    - `total`: how many draws there are.
    - `known`: how many of them need not be run.
    - `shown`: whether there is a bar at all; `None`: after two seconds, if somebody sits at a terminal.

    **Returns:** what to call after each draw.
    """
    terminal = sys.stderr.isatty()
    seconds = 0.1 if terminal else _SECONDS
    failures = 0
    with tqdm(
        total=total,
        initial=known,
        desc="draws",
        unit="draw",
        disable=not terminal if shown is None else not shown,
        delay=2.0 if shown is None else 0.0,
        file=sys.stderr if terminal else _Lines(),
        mininterval=seconds,
        maxinterval=max(seconds, 10.0),
        # Where nobody looks, no thread is needed to look for them.
        miniters=None if terminal else 1,
    ) as bar:

        def report(record: Record) -> None:
            nonlocal failures
            if record.status != OK:
                failures += 1
                bar.set_postfix(failed=failures, refresh=False)
            bar.update()

        yield report
