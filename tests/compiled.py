"""What the suite compiles: the structures of the circuits that it solves, by name, in `compiled.txt`.

Compiling is what a suite of JAX programs spends its time on, so a change that adds a structure says so: it adds a line, or raises
a number, or takes another model's structure. `DYNX_COMPILED=write pytest tests/` writes the list of a whole run.
"""

import collections
import hashlib
import re
import sys
from pathlib import Path

from derivations import frozen

LIST = Path(__file__).parent / "compiled.txt"


def label(circuit) -> str:
    """A structure as the list names it: model, horizon, and stages with their methods."""
    structure = circuit.structure
    periods = "for ever" if structure.horizon is None else f"{structure.horizon} periods"
    return f"{circuit.source.spec.name}, {periods}: {', '.join(f'{num.name} {num.method}' for num in structure.stages)}"


def digest(circuit) -> str:
    """A structure in a few letters, the same in every process."""
    text = str(frozen((circuit.structure.horizon, circuit.structure.stages, circuit.structure.links, circuit.structure.blocks)))
    return hashlib.sha1(re.sub(r" at 0x\w+", "", text).encode()).hexdigest()[:12]


def watch(record) -> None:
    """Call `record(digest, label)` whenever a circuit is traced in order to be solved."""
    module = sys.modules["stagecraft.backward.solve"]
    before = module._solve_one

    def solve_one(circuit):
        record(digest(circuit), label(circuit))
        return before(circuit)

    module._solve_one = solve_one


def listed() -> dict[str, int]:
    """How many structures of each name the suite may compile."""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return {name: int(count) for count, name in (line.split(maxsplit=1) for line in lines)}


def counted(found: dict[str, str]) -> dict[str, int]:
    """How many structures there are of each name, from (digest, label) pairs."""
    return dict(sorted(collections.Counter(found.values()).items()))


def written(found: dict[str, str]) -> str:
    """The text of the list."""
    counts = counted(found)
    head = f"# Structures that the default suite compiles (see compiled.py): {sum(counts.values())} of {len(counts)} names.\n"
    return head + "".join(f"{count:3d} {name}\n" for name, count in counts.items())
