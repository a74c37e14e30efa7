"""One zip of `about.json` and what it speaks of. It is written whole or not at all; every part that is read has a bound."""

import contextlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

_FORMAT = 1
_TEXT = 2**24  # Bytes of `about.json`, and of other text, at most.
_HEAD = 2**16  # Bytes before the numbers of an array, at most.


def write(path: str | Path, about: Mapping, members: Iterable[tuple[str, bytes | np.ndarray]]) -> None:
    """Write a file; a name that ends in `.npy` is that of an array, in NumPy's own format and without pickle."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("about.json", json.dumps({"format": _FORMAT, **about}, indent=1))
            for name, content in members:
                with archive.open(name, "w") as file:
                    if isinstance(content, bytes):
                        file.write(content)
                    else:
                        np.lib.format.write_array(file, content, allow_pickle=False)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(path: str | Path, what: str, verb: str) -> Iterator["Archive"]:
    """A file to read from; `ValueError` where it is none.

    **Arguments:** `what`: it should be, in words; `verb`: what the user calls to write it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Archive(archive, str(path), what, verb)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path} is no {what}, or is cut short or altered: {error}") from None


class Archive:
    """The members of a file, each read only if it is as large as it may be."""

    def __init__(self, archive: zipfile.ZipFile, path: str, what: str, verb: str):
        self.archive, self.path, self.what, self.verb = archive, path, what, verb

    def wrong(self, said: str) -> ValueError:
        return ValueError(f"{self.path}: {said}")

    def read(self, name: str, most: int = _TEXT) -> bytes:
        try:
            size = self.archive.getinfo(name).file_size
        except KeyError:
            raise self.wrong(f"`{name}` is missing; the file is no {self.what}, or is altered") from None
        if size > most:
            raise self.wrong(f"`{name}` is larger than it can be ({size} bytes); the file is altered")
        return self.archive.read(name)

    def about(self) -> dict:
        """What the file says of itself, of this format and in this process's float type."""
        try:
            about = json.loads(self.read("about.json"))
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"`about.json` cannot be read ({error}); the file is no {self.what}, or is altered") from None
        if not isinstance(about, dict) or about.get("format") != _FORMAT:
            found = about.get("format") if isinstance(about, dict) else about
            raise self.wrong(f"written in format {found!r}, and this version reads {_FORMAT}; {self.verb} the circuit again")
        here = str(jnp.result_type(float))
        if about.get("dtype") != here:
            help = "call stagecraft.enable_x64() first" if here == "float32" else "read it without stagecraft.enable_x64()"
            raise self.wrong(
                f"{self.verb.removesuffix('e')}ed in {about.get('dtype')}, and this process computes in {here}; {help}"
            )
        return about

    def array(self, name: str, like):
        """An array of the shape and type of another."""
        content = self.read(name, like.size * like.dtype.itemsize + _HEAD)
        try:
            found = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self.wrong(f"`{name}` cannot be read ({error}); the file is altered") from None
        if (found.shape, found.dtype) != (like.shape, like.dtype):
            raise self.wrong(f"`{name}` is {found.dtype}{list(found.shape)}, expected {like.dtype}{list(like.shape)}")
        return jnp.asarray(found)
