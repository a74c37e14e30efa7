"""Where a parameter lives: from a dotted path to a place in the configuration dictionaries."""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

EPOCHS, STAGES, CONNECTIONS = range(3)


class Place(NamedTuple):
    """A number in the configurations.

    **Attributes:**

    - `config`: which of the three, `(epochs_cfgs, stage_cfgs, conn_cfg)`.
    - `keys`: the keys to walk from there, the last one holding the number.
    """

    config: int
    keys: tuple[str, ...]

    def write(self, configs: tuple[dict, dict, dict], value: Any) -> None:
        """Put a value at this place, making the sections a model file does without."""
        section = configs[self.config]
        for key in self.keys[:-1]:
            section = section.setdefault(key, {})
        section[self.keys[-1]] = value


def find_place(path: str, configs: tuple[dict, dict, dict], *, categorical: bool = False) -> Place:
    """The place a path such as `main.parameters.beta` names.

    **Arguments:**

    - `path`: an epoch, a stage or `conn_cfg`, then keys of nested dictionaries, joined by dots.
    - `configs`: `(epochs_cfgs, stage_cfgs, conn_cfg)`.
    - `categorical`: whether it may hold something else than a number.

    The section `parameters` need not be written: `main.beta` is `main.parameters.beta`, unless `main` has a `beta` of its own.

    **Returns:** the place. Raises `ValueError` for a path that is not there, or holds no number.
    """
    head, *keys = path.split(".")
    epochs, stages, connections = configs
    if head in epochs and head in stages:
        raise ValueError(f"param_specs: `{path}`: both an epoch and a stage are called `{head}`; rename one of them")
    if head in epochs or head in stages:
        place = Place(EPOCHS if head in epochs else STAGES, (head, *keys))
    elif head == "conn_cfg":
        place = Place(CONNECTIONS, tuple(keys))
    else:
        pool = [*epochs, *stages, "conn_cfg"]
        raise ValueError(f"param_specs: `{path}`: no epoch or stage is called `{head}`; {advise(head, pool)}")
    place = _with_parameters(place, configs[place.config])
    value, walked = configs[place.config], "conn_cfg" if head == "conn_cfg" else ""
    for key in place.keys:
        if not isinstance(value, Mapping):
            raise ValueError(f"param_specs: `{path}`: `{walked}` is not a section, so it has no `{key}`")
        if key not in value:
            # A level left out is likelier than a name misspelt.
            deeper = [f"{walked}.{below}" for below in _paths(value) if f".{below}".endswith(f".{keys[-1]}")]
            advice = f"did you mean `{deeper[0]}`?" if deeper else advise(key, value)
            raise ValueError(f"param_specs: `{path}`: `{walked}` has no `{key}`; {advice}")
        value, walked = value[key], f"{walked}.{key}".lstrip(".")
    if not categorical and not _is_number(value):
        kind = "a section" if isinstance(value, Mapping) else f"{value!r:.60}"
        raise ValueError(f"param_specs: `{path}` holds {kind}; a parameter of a runner is one number")
    return place


def _with_parameters(place: Place, section: Mapping) -> Place:
    """The place with the section that the path may leave out."""
    for depth, key in enumerate(place.keys):
        if not isinstance(section, Mapping) or key not in section:
            inner = section.get("parameters") if isinstance(section, Mapping) else None
            if depth == 1 and len(place.keys) == 2 and isinstance(inner, Mapping) and key in inner:
                return place._replace(keys=(place.keys[0], "parameters", key))
            break
        section = section[key]
    return place


def _paths(section: Mapping) -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{below}" for below in _paths(value))
        else:
            yield str(key)


def _is_number(value: Any) -> bool:
    # `None` is a number yet to be given; `True` is a switch.
    if hasattr(value, "dtype"):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def advise(name: str, pool: Iterable[object]) -> str:
    """The names nearest to one that is unknown, or else all there are, as the end of a message."""
    # heptapod brings sympy, which a runner of hand-written models need not import.
    from heptapod.errors import did_you_mean

    pool = [str(candidate) for candidate in pool]
    return did_you_mean(name, pool) or f"there is {', '.join(f'`{one}`' for one in pool) or 'nothing'}"
