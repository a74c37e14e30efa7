"""One record, one line: JSON that carries its own checksum, so that a torn or altered line is known as such."""

import json
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_MARK, _TAIL = b',"crc":"', len(',"crc":"00000000"}')

_NAN = "nan "


class StoreError(RuntimeError):
    """A store that cannot be used as asked; the message says why, and nothing that was stored is lost."""


class Line(NamedTuple):
    """A line of a part that is as it was written.

    **Attributes:** `kind`, its first key; `text`, the JSON without its checksum.
    """

    kind: str
    text: bytes

    def fields(self) -> dict[str, Any]:
        """All that the line says."""
        return json.loads(self.text + b"}")


class Damage(NamedTuple):
    """A whole line that is not as it was written.

    **Attributes:** `path` and `number`, where it stands.
    """

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


def encode(fields: dict[str, Any]) -> bytes:
    """A line, its end included.

    **Arguments:** `fields`, of which the first says what kind of line it is.

    **Returns:** JSON of one line, with the checksum of all before it as the last field.
    """
    body = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def lines_of(path: Path) -> Iterator[Line | Damage]:
    """The lines of a part; a last line without its end was torn when its process died, and is no line."""
    # A machine that lost power may leave zeros where the last line was to be.
    *lines, _ = path.read_bytes().rstrip(b"\0").split(b"\n")
    for number, line in enumerate(lines, 1):
        body = line[:-_TAIL]
        if line[-_TAIL:-10] != _MARK or line[-10:] != b'%08x"}' % zlib.crc32(body):
            yield Damage(path, number)
        else:
            yield Line(body[2 : body.index(b'"', 2)].decode(), body)


def number_to_json(value: float) -> float | str:
    """A float as JSON knows it, which has no word for infinity; what is no number has a sign and a payload, too."""
    if math.isfinite(value):
        return value
    return _NAN + struct.pack(">d", value).hex() if math.isnan(value) else repr(value)


def number_from_json(value: float | str) -> float:
    """Its inverse, to the last bit."""
    if isinstance(value, str) and value.startswith(_NAN):
        return struct.unpack(">d", bytes.fromhex(value[len(_NAN) :]))[0]
    return float(value)
