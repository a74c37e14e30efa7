"""What is in a store: the lines of all parts, read together with the table that older parts were compacted to."""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynx_runner.runner.record import FAILED, OK, QUARANTINED, Record
from dynx_runner.store.lines import Damage, Line, StoreError, lines_of, number_from_json
from dynx_runner.store.part import lives


class Stored(NamedTuple):
    """A draw of the store.

    **Attributes:** `key`; `i`, its number in the sweep that ran it; `x`, its vector; `record`, what became of it.
    """

    key: str
    i: int
    x: np.ndarray
    record: Record


class Contents:
    """Everything that parts say.

    **Attributes:**

    - `open`: by job, the draws that were in flight when it ended: one tuple of keys for each of its processes.
    - `running`: the keys that processes which are known to live have in flight.
    - `headers`: what each part says of its process.
    - `damaged`: lines that were altered.
    - `finished`: parts that nobody writes any more, without a draw that was cut off.
    """

    def __init__(self, folder: Path, table: Mapping[str, Stored] = {}):
        """Read all parts of a folder, whoever is writing them.

        **Arguments:** `table`: draws that were compacted, by key.
        """
        self._draws: dict[str, tuple[Path, bytes] | Stored] = dict(table)
        self.open: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self.running: set[str] = set()
        self.headers: list[dict[str, Any]] = []
        self.damaged: list[Damage] = []
        self.finished: list[Path] = []
        cut = [self._read(path) for path in sorted((folder / "parts").glob("*.jsonl"))]
        for path, header, flying in filter(None, cut):
            # Another process may have done it since, and its part may be read later.
            left = tuple(key for key in flying if key not in self._draws)
            if left:
                self.open[header["job"]].append(left)
            else:
                self.finished.append(path)

    def __len__(self) -> int:
        return len(self._draws)

    def __contains__(self, key: str) -> bool:
        return key in self._draws

    def __iter__(self) -> Iterator[str]:
        return iter(self._draws)

    def __getitem__(self, key: str) -> Stored:
        """A draw; `KeyError` where it is not there, `StoreError` where its arrays are not."""
        found = self._draws[key]
        if not isinstance(found, Stored):
            # Only who asks for a draw pays for its JSON: a store of many is opened quickly.
            found = self._draws[key] = _stored(*found)
        return found

    def check(self) -> None:
        """Refuse a store with altered lines."""
        if self.damaged:
            places = ", ".join(str(damage) for damage in self.damaged[:5])
            raise StoreError(
                f"{len(self.damaged)} lines of the store are not as they were written: {places}. Nothing is lost: put them"
                " back, or pass skip_damaged=True to leave them out and run their draws again"
            )

    def _read(self, path: Path) -> tuple[Path, dict[str, Any], tuple[str, ...]] | None:
        """Enter the lines of a part.

        **Returns:** what was in flight when its process ended; `None` where it may still be running.
        """
        header, flying, ended = None, (), False
        for line in lines_of(path):
            if isinstance(line, Damage):
                self.damaged.append(line)
            elif line.kind == "done":
                self._enter(path, line)
            elif line.kind == "start":
                flying = tuple(line.fields()["start"])
            elif line.kind == "end":
                flying, ended = (), True
            elif line.kind == "crash":
                ended = True
            else:
                header = line.fields()
        if header is None:
            return None  # Its process died before it had said anything.
        self.headers.append(header)
        if not ended and lives(header):
            self.running.update(key for key in flying if key not in self._draws)
            return None
        return path, header, flying

    def _enter(self, path: Path, line: Line) -> None:
        # `{"done":"` is followed by the key, and nothing else is looked at now.
        key = line.text[9 : line.text.index(b'"', 9)].decode()
        # Whoever ran the same draw at the same time has the same result, unless it failed for want of memory or the like.
        if key not in self._draws or _grade(line.text) > _GRADES.index(self[key].record.status):
            self._draws[key] = (path, line.text)


_GRADES = (QUARANTINED, FAILED, OK)


def _grade(text: bytes) -> int:
    """How much a line says of its draw, more being better."""
    return next(grade for grade, status in enumerate(_GRADES) if b'"status":"%b"' % status.encode() in text)


def loads(folder: Path) -> Iterator[dict[str, Any]]:
    """What the process of each part did: `{"rank", "host", "draws", "seconds"}`, in the order in which they ended."""
    for path in sorted((folder / "parts").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
        lines = [line.fields() for line in lines_of(path) if isinstance(line, Line)]
        if lines:
            seconds = [line["seconds"] for line in lines if "done" in line]
            told = {"rank": lines[0].get("rank", 0), "host": lines[0].get("host", "")}
            yield {**told, "draws": len(seconds), "seconds": sum(seconds)}


def _stored(path: Path, text: bytes) -> Stored:
    fields = Line("done", text).fields()
    metrics = {name: _value(path, value) for name, value in fields["metrics"].items()}
    more = {name: fields[name] for name in ("error", "traceback", "notes") if name in fields}
    record = Record(metrics, seconds=fields["seconds"], status=fields["status"], **more)
    return Stored(fields["done"], fields["i"], np.array([number_from_json(value) for value in fields["x"]]), record)


def _value(path: Path, value: Any) -> Any:
    """A number, or an array from the file beside the part."""
    if not isinstance(value, dict):
        return number_from_json(value)
    dtype, file = np.dtype(value["dtype"]), path.with_suffix(".bin")
    size = dtype.itemsize * int(np.prod(value["shape"], dtype=int))
    try:
        with file.open("rb") as arrays:
            arrays.seek(value["at"])
            data = arrays.read(size)
    except OSError as error:
        raise StoreError(f"the arrays of {path} cannot be read: {error.strerror}") from error
    if zlib.crc32(data) != value["crc"]:
        raise StoreError(f"{file}: the {size} bytes at {value['at']} are not as they were written")
    return np.frombuffer(data, dtype).reshape(value["shape"]).copy()
