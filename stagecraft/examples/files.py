"""Where the examples are: beside this file in an installed wheel, at the root of a clone."""

import shutil
from pathlib import Path

_BESIDE, _CLONE = Path(__file__).parent / "files", Path(__file__).parents[2] / "examples"


def folder() -> Path:
    """The folder of the examples; `FileNotFoundError` where neither a wheel nor a clone has it."""
    for place in (_BESIDE, _CLONE):
        if (place / "gallery").is_dir():
            return place
    raise FileNotFoundError(f"no examples beside {_BESIDE} nor in {_CLONE}: install DynX from its wheel, or from a clone")


def listed() -> dict[str, str]:
    """Every model file, by its name below the folder, with the first sentence that it says of itself."""
    found = {}
    for path in sorted(folder().rglob("*.yml")):
        line = path.read_text(encoding="utf-8").splitlines()[0]
        found[path.relative_to(folder()).as_posix()] = line.removeprefix("#").strip()
    return found


def copy(name: str, to: Path) -> list[Path]:
    """Copy a model file, or a whole example, to a folder.

    **Raises:** `ValueError` for a name that is not there; `FileExistsError` where that would overwrite something.
    """
    source = folder() / name
    if not name or ".." in Path(name).parts or not source.exists():
        raise ValueError(f"no example `{name}`; `python -m stagecraft.examples` lists them")
    files = [p for p in sorted(source.rglob("*")) if p.is_file() and "output" not in p.parts and "__pycache__" not in p.parts]
    pairs = [(p, to / p.relative_to(source.parent)) for p in files or [source]]
    taken = [str(new) for _, new in pairs if new.exists()]
    if taken:
        raise FileExistsError(f"{taken[0]} is there already; nothing was copied")
    for old, new in pairs:
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(old, new)
    return [new for _, new in pairs]
