"""The part of a store that one process writes: lines appended to a file of its own, so that nobody waits for a lock."""

import os
import socket
import time
import uuid
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynx_runner.runner.record import Record
from dynx_runner.store.lines import StoreError, encode, number_to_json

# How often the system is asked to bring what was written to the disk itself: a killed process loses nothing without it.
_SYNC_SECONDS = 5.0


class Part:
    """An open part of a store.

    **Attributes:** `path`, the file; its arrays, if there are any, are in one beside it that ends in `.bin`.
    """

    def __init__(self, folder: Path, job: str, **told: Any):
        """Make the file, and say who writes it.

        **Arguments:**

        - `folder`: where the store is.
        - `job`: the processes that live and die together have one name.
        - `told`: what else to say of the process.

        Raises `StoreError` where nothing can be written.
        """
        name = f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.path = folder / "parts" / f"{name}.jsonl"
        self._file, self._arrays, self._size, self._offset = -1, -1, 0, 0
        self._synced = time.monotonic()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        except OSError as error:
            raise _refused(self.path, error) from error
        self._say(encode({"part": 1, "job": job, **whoami(), **told}))

    def start(self, keys: list[str]) -> None:
        """Say which draws are in flight from now on: one, or those of a batch."""
        self._say(encode({"start": keys}))

    def done(self, results: Iterable[tuple[int, str, np.ndarray, Record]]) -> None:
        """Say what became of draws: the number, the key and the vector of each, and its record."""
        self._say(b"".join([encode(self._fields(*result)) for result in results]))

    def close(self, *, crashed: bool = False) -> None:
        """Close the file; unless it `crashed`, what is still in flight is not to blame for the end of the process."""
        if self._file < 0:
            return
        try:
            self._say(encode({"crash" if crashed else "end": True}))
        finally:
            files, self._file, self._arrays = (self._arrays, self._file), -1, -1
            for file in files:
                if file >= 0:
                    os.close(file)

    def _fields(self, i: int, key: str, x: np.ndarray, record: Record) -> dict[str, Any]:
        fields = {"done": key, "i": i, "x": [number_to_json(value) for value in x.tolist()], "status": record.status}
        fields["metrics"] = {name: self._value(value) for name, value in record.metrics.items()}
        fields["seconds"] = record.seconds
        # Most draws have nothing more to say, and there are many.
        for name in ("error", "traceback", "notes"):
            if getattr(record, name):
                fields[name] = getattr(record, name)
        return fields

    def _value(self, value: Any) -> Any:
        if isinstance(value, float):
            return number_to_json(value)
        array = np.ascontiguousarray(value)
        if self._arrays < 0:
            # One file for all arrays of a process: file systems of clusters count files.
            self._arrays = os.open(self.path.with_suffix(".bin"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        data = array.tobytes()
        place = {"at": self._offset, "dtype": array.dtype.str, "shape": list(np.shape(value)), "crc": zlib.crc32(data)}
        self._write(self._arrays, data)
        self._offset += len(data)
        return place

    def _say(self, data: bytes) -> None:
        """Append lines, whole or not at all."""
        if self._file < 0:
            raise StoreError(f"{self.path} is closed")
        try:
            self._write(self._file, data)
        except StoreError:
            # Where the disk is full a line is cut short, and nothing could be appended to it.
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _write(self, file: int, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(file, left) :]
            now = time.monotonic()
            if now - self._synced > _SYNC_SECONDS:
                self._synced = now
                os.fsync(file)
        except OSError as error:
            raise _refused(self.path, error) from error


def whoami() -> dict[str, Any]:
    """This process, so that another one can tell whether it still lives."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def lives(header: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a part is known to run still, on this machine."""
    if header["host"] != socket.gethostname():
        return False
    try:
        os.kill(header["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # The number may belong to another process by now.
    return _born(header["pid"]) == header["born"]


def _born(pid: int) -> str:
    """When a process began, as far as the system tells; a zombie has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _refused(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write to the store at {path.parent.parent}: {error.strerror or error}. What was stored before is kept; once it"
        " can be written to, run again, and only what is missing is run"
    )
