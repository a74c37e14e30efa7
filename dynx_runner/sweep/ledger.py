"""The book of a sweep: which draw is next, for whom, and what became of those before."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from dynx_runner.runner.record import Record
from dynx_runner.store.strikes import TWO

# Draws travel together for so many seconds of work, and at most so many, which is the length of a compiled batch.
_TOGETHER, MOST = 0.1, 64


class Task(NamedTuple):
    """A draw to be run: its number, its name in the store, and its vector."""

    i: int
    key: str
    x: np.ndarray


class Ledger:
    """Rank 0's book of the draws.

    **Attributes:** `records`, by the key of the draw.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        report: Callable[[Record], None],
        *,
        suspects: Set[str] = frozenset(),
        quiet: Set[str] = frozenset(),
        strikes: Mapping[str, int] = {},
    ):
        """Line up the draws.

        **Arguments:**

        - `tasks`: in the order in which they are to be run.
        - `report`: called after each draw.
        - `suspects`: keys that were in flight in a crash: they run one at a time, so that the next crash has one suspect.
        - `quiet`: keys that have run so twice: nothing else runs meanwhile, so that the next crash leaves no doubt.
        - `strikes`: how many processes ended while a key was the only one that they had in flight.
        """
        self.records: dict[str, Record] = {}
        self._report, self._lock = report, threading.Lock()
        self._quiet, self._suspects, self._clean = deque[Task](), deque[Task](), deque[Task]()
        for task in tasks:
            row = self._quiet if task.key in quiet else self._suspects if task.key in suspects else self._clean
            row.append(task)
        self._named, self._hushed = suspects | quiet, quiet
        self._strikes = Counter(strikes)
        self._flying: set[str] = set()
        self._seconds = 0.0

    def take(self, ranks: int) -> list[Task] | None:
        """The next draws for somebody who is free.

        Short draws travel together, since every message interrupts rank 0 and every line takes its time; but never more than a
        rank's half of its share of what is left, so that all end at one time.

        **Arguments:** `ranks`: how many share the work.

        **Returns:** what to run; nothing where all have been handed out; `None` where one has to wait and ask again.
        """
        with self._lock:
            taken = self._next(ranks)
            self._flying.update(task.key for task in taken or ())
            return taken

    def put(self, task: Task, record: Record) -> None:
        """Enter what became of a draw."""
        with self._lock:
            self._flying.discard(task.key)
            self.records[task.key] = record
            self._seconds += record.seconds
            self._report(record)

    def lost(self, flying: list[Task], others: Sequence[Task] = ()) -> list[tuple[Task, int]]:
        """Line up the draws of a process that died: what was in flight, to be run one at a time, and what it had not begun.

        **Returns:** whoever is not run any more, with its strikes: for the second time it was all that was in flight.
        """
        with self._lock:
            self._flying.difference_update(task.key for task in (*flying, *others))
            self._clean.extendleft(reversed(others))
            if len(flying) == 1:
                self._strikes[flying[0].key] += 1
                if self._strikes[flying[0].key] >= TWO:
                    return [(flying[0], self._strikes[flying[0].key])]
            self._suspects.extend(flying)
            self._named |= {task.key for task in flying}
            return []

    @property
    def waiting(self) -> bool:
        """Whether there are draws that nobody has taken."""
        return bool(self._clean or self._suspects or self._quiet)

    def _next(self, ranks: int) -> list[Task] | None:
        if self._flying & self._hushed:
            return None
        # Where nothing else is left, suspects need not wait for each other.
        if self._suspects and not (self._flying & self._named and self._clean):
            return [self._suspects.popleft()]
        # Last of all: everybody else has nothing to do meanwhile, and who is innocent was cut off often enough.
        if self._quiet and not self._clean:
            return None if self._flying else [self._quiet.popleft()]
        count = 1
        if self.records:
            mean, left = self._seconds / len(self.records), len(self._clean)
            count = max(1, min(int(_TOGETHER / max(mean, 1e-6)), left // (2 * ranks), MOST))
        return [self._clean.popleft() for _ in range(min(count, len(self._clean)))]
