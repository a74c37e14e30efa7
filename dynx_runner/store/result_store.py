"""The store of a sweep: a folder in which every draw is written down as soon as it is done."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dynx_runner.runner.record import FAILED, OK, QUARANTINED, Record, quarantined
from dynx_runner.store import parquet
from dynx_runner.store.contents import Contents, Stored, loads
from dynx_runner.store.identity import identity_of, key_of
from dynx_runner.store.lines import StoreError
from dynx_runner.store.manifest import claim, create, read_manifest, surroundings
from dynx_runner.store.part import Part
from dynx_runner.store.strikes import suspicion
from dynx_runner.store.table import frame_of

if TYPE_CHECKING:
    from pandas import DataFrame


class Status(NamedTuple):
    """How far a sweep is.

    **Attributes:**

    - `draws`: how many there are to be, as far as a sweep has said; never fewer than there are.
    - `ok`, `failed`, `quarantined`: how many are stored, by what became of them.
    - `running`: in flight in processes that are known to live.
    - `suspects`: cut off by a crash, to be run one at a time.
    - `seconds`: those of all draws together.
    """

    draws: int
    ok: int
    failed: int
    quarantined: int
    running: int
    suspects: int
    seconds: float

    def __str__(self) -> str:
        done = self.ok + self.failed + self.quarantined
        told = f"{done} of {self.draws} draws: {self.ok} ok, {self.failed} failed, {self.quarantined} quarantined"
        return f"{told}; {self.running} running, {self.suspects} cut off; {self.seconds:.1f} s in draws"


class Missing(NamedTuple):
    """What a sweep has to do, as the store sees it.

    **Attributes:**

    - `keys`: of every vector.
    - `known`: records by key.
    - `condemned`: the keys among them that are quarantined from now on, which is to be written down.
    - `suspects`, `quiet`: keys to be run one at a time, and those during which nothing else may run.
    - `strikes`: how many processes ended while a key was all that they had in flight.
    """

    keys: list[str]
    known: dict[str, Record]
    condemned: frozenset[str]
    suspects: frozenset[str]
    quiet: frozenset[str]
    strikes: Mapping[str, int]


class ResultStore:
    """Results of draws in a folder: `mpi_map(runner, xs, store=ResultStore(folder))`.

    Every process appends to a file of its own, so a process may die at any moment: what was done is there, and the same call
    runs exactly what is missing. One store belongs to one runner; other vectors may be added to it. It may lie on a network
    file system.

    **Attributes:** `folder`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        version: str | None = None,
        retry_quarantined: bool = False,
        skip_damaged: bool = False,
    ):
        """Name a folder; it is made by the first sweep.

        **Arguments:**

        - `folder`: where.
        - `version`: stands for what cannot be told by its contents, such as a random generator in a metric.
        - `retry_quarantined`: whether draws that ended their process twice are run again.
        - `skip_damaged`: whether lines that were altered are left out, and their draws run again; else they are an error.
        """
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; a store is a folder")
        self._version, self._retry, self._skip = version, retry_quarantined, skip_damaged

    def __repr__(self) -> str:
        return f"ResultStore({str(self.folder)!r})"

    def __len__(self) -> int:
        """How many draws are stored."""
        return len(self._read())

    def status(self) -> Status:
        """How far a sweep is; it may be running."""
        contents = self._read()
        found = suspicion(contents)
        records = [contents[key].record for key in contents]
        count = lambda status: sum(record.status == status for record in records)
        told = max((header.get("draws", 0) for header in contents.headers), default=0)
        return Status(
            draws=max(told, len(records) + len(found.crashes)),
            ok=count(OK),
            failed=count(FAILED),
            quarantined=count(QUARANTINED) + len(found.crashes),
            running=len(contents.running),
            suspects=len(found.suspects),
            seconds=sum(record.seconds for record in records),
        )

    def to_frame(self) -> "DataFrame":
        """All draws as `mpi_map` returns them, in the order of the sweep."""
        contents = self._read()
        draws = sorted((contents[key] for key in contents), key=lambda draw: (draw.i, draw.key))
        return self._frame(draws)

    def best(self, k: int = 1, *, by: str, largest: bool = False) -> "DataFrame":
        """The draws with the smallest metric, the best one first.

        **Arguments:**

        - `k`: how many.
        - `by`: the metric.
        - `largest`: whether the largest are the best.

        **Returns:** at most `k` rows of `to_frame`. Raises `ValueError` for a metric that is not there.
        """
        from dynx_runner.runner.places import advise

        table = self.to_frame()
        if by not in table.columns:
            raise ValueError(f"best: no metric `{by}`; {advise(by, table.columns)}")
        solved = table[(table["status"] == OK) & np.isfinite(table[by].to_numpy(dtype=np.float64))]
        values = np.asarray(solved[by], dtype=np.float64)
        return solved.iloc[np.argsort(-values if largest else values, kind="stable")[:k]]

    def load(self) -> "DataFrame":
        """What each process did: its `rank`, its `host`, how many `draws`, and its `seconds` in them.

        Parts that were compacted are not among them.
        """
        import pandas as pd

        return pd.DataFrame(loads(self.folder), columns=["rank", "host", "draws", "seconds"])

    def compact(self) -> Path:
        """Gather all draws in one parquet file, and remove the parts that are finished.

        Whatever happens meanwhile, every draw is in the parts or in the table. It needs the extra `store`.

        **Returns:** the path of the table.
        """
        contents = self._read()
        draws = [contents[key] for key in contents]
        path = self.folder / "table.parquet"
        names = self._names(draws)
        create(path, lambda draft: parquet.write(draft, draws, *names), replace=True)
        for part in contents.finished:
            part.unlink(missing_ok=True)
            part.with_suffix(".bin").unlink(missing_ok=True)
        return path

    def manifest(self) -> dict[str, Any]:
        """What the store was made by, and with what; empty before the first sweep."""
        return read_manifest(self.folder) or {}

    def prepare(self, runner: Any, xs: np.ndarray, *, retry_quarantined: bool | None = None, size: int = 1) -> Missing:
        """What there is to do for a sweep; `mpi_map` asks.

        **Arguments:**

        - `runner`: its identity must be that of the store.
        - `xs`: vectors, of shape `(n, parameters)`.
        - `retry_quarantined`: in place of that of the store.
        - `size`: how many processes there are.

        Raises `StoreError` where the store belongs to another runner, or was altered.
        """
        digest = self.claim(runner, size=size)
        contents = self._read()
        keys = [key_of(digest, x) for x in xs]
        known = {key: contents[key].record for key in set(keys) if key in contents}
        found = suspicion(contents)
        dangerous = {key for key, record in known.items() if record.status == QUARANTINED}
        condemned = set(found.crashes) & set(keys)
        if self._retry if retry_quarantined is None else retry_quarantined:
            known, dangerous = {key: known[key] for key in known.keys() - dangerous}, dangerous | condemned
            return Missing(keys, known, frozenset(), found.suspects | dangerous, found.quiet, found.strikes)
        known |= {key: quarantined(found.crashes[key]) for key in condemned}
        return Missing(keys, known, frozenset(condemned), found.suspects, found.quiet, found.strikes)

    def claim(self, runner: Any, *, size: int = 1) -> bytes:
        """Make the store that of `runner`, or check that it is; `StoreError` else. `size`: how many processes there are.

        **Returns:** what the runner is, in 16 bytes, of which keys are made.
        """
        identity = identity_of(runner, self._version)
        told: dict[str, Any] = {"parameters": list(runner.param_names), "metrics": list(runner.metric_names)}
        told |= {"choices": getattr(runner, "choices", {}), "design": getattr(runner, "design", None)}
        claim(self.folder, identity, {**told, **surroundings(size)})
        return identity.digest()

    def records(self, keys: Iterable[str] | None = None) -> dict[str, Record]:
        """What became of every draw, or of those of some `keys` that are there, by key."""
        contents = self._read()
        return {key: contents[key].record for key in (contents if keys is None else keys) if key in contents}

    def beside(self, name: str) -> "ResultStore":
        """A store in the folder `name` of this one, told the same."""
        how = {"version": self._version, "retry_quarantined": self._retry, "skip_damaged": self._skip}
        return ResultStore(self.folder / name, **how)

    def part(self, job: str, **told: Any) -> Part:
        """A part for this process of a `job` to write, with what is `told` of it; `mpi_map` asks."""
        return Part(self.folder, job, **told)

    def _read(self) -> Contents:
        path = self.folder / "table.parquet"
        contents = Contents(self.folder, parquet.read(path) if path.exists() else {})
        if not self._skip:
            contents.check()
        return contents

    def _names(self, draws: list[Stored]) -> tuple[list[str], list[str]]:
        manifest: Mapping[str, Any] = self.manifest()
        if not manifest and draws:
            raise StoreError(f"{self.folder} has draws and no manifest.json; it says which parameters they are of")
        return manifest.get("parameters", []), manifest.get("metrics", [])

    def _frame(self, draws: list[Stored]) -> "DataFrame":
        names, metrics = self._names(draws)
        xs = np.array([draw.x for draw in draws]).reshape(len(draws), len(names))
        return frame_of(names, metrics, xs, [draw.record for draw in draws], self.manifest().get("choices", {}))
