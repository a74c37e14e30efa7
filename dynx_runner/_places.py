"""Where a parameter lives: from a dotted path to a place in the configuration dictionaries."""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import NamedTuple

from heptapod.errors import did_you_mean

EPOCHS, STAGES, CONNECTIONS = range(3)


class Place(NamedTuple):
    """A number in the configurations.

    **Attributes:**

    - `config`: which of the three, `(epochs_cfgs, stage_cfgs, conn_cfg)`.
    - `keys`: the keys to walk from there, the last one holding the number.
    """

    config: int
    keys: tuple[str, ...]

    def write(self, configs: tuple[dict, dict, dict], value: float) -> None:
        """Put a number at this place, making the sections a model file does without."""
        section = configs[self.config]
        for key in self.keys[:-1]:
            section = section.setdefault(key, {})
        section[self.keys[-1]] = value


def find_place(path: str, configs: tuple[dict, dict, dict]) -> Place:
    """The place a path such as `main.parameters.beta` names.

    **Arguments:**

    - `path`: an epoch, a stage or `conn_cfg`, then keys of nested dictionaries, joined by dots.
    - `configs`: `(epochs_cfgs, stage_cfgs, conn_cfg)`.

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
        raise ValueError(f"param_specs: `{path}`: no epoch or stage is called `{head}`; {_advice(head, pool)}")
    value, walked = configs[place.config], "conn_cfg" if head == "conn_cfg" else ""
    for key in place.keys:
        if not isinstance(value, Mapping):
            raise ValueError(f"param_specs: `{path}`: `{walked}` is not a section, so it has no `{key}`")
        if key not in value:
            # A level left out is likelier than a name misspelt.
            deeper = [f"{walked}.{below}" for below in _paths(value) if f".{below}".endswith(f".{keys[-1]}")]
            advice = f"did you mean `{deeper[0]}`?" if deeper else _advice(key, value)
            raise ValueError(f"param_specs: `{path}`: `{walked}` has no `{key}`; {advice}")
        value, walked = value[key], f"{walked}.{key}".lstrip(".")
    if not _is_number(value):
        kind = "a section" if isinstance(value, Mapping) else f"{value!r:.60}"
        raise ValueError(f"param_specs: `{path}` holds {kind}; a parameter of a runner is one number")
    return place


def find_place_in_circuit(path: str, configs: tuple[dict, dict, dict], names: Iterable[str]) -> Place:
    """The place of a parameter that the model file declares, so that the configurations may be empty.

    **Arguments:**

    - `path`: `main.parameters.beta` or `main.beta`, which mean the same.
    - `configs`: `(epochs_cfgs, stage_cfgs, conn_cfg)`, of which only the stages' names are read.
    - `names`: what the circuit declares, as `main.beta`.

    **Returns:** the place. Raises `ValueError` for a name that is not declared.
    """
    names = list(names)
    short = path.replace(".parameters.", ".", 1)
    if short not in names:
        raise ValueError(f"param_specs: `{path}`: the circuit has no parameter `{short}`; {_advice(short, names)}")
    scope, name = short.split(".", 1)
    return Place(STAGES if scope in configs[STAGES] else EPOCHS, (scope, "parameters", name))


def _paths(section: Mapping) -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{below}" for below in _paths(value))
        else:
            yield str(key)


def _is_number(value: object) -> bool:
    # `None` is a number yet to be given; `True` is a switch.
    if hasattr(value, "dtype"):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _advice(name: str, pool: Iterable[object]) -> str:
    pool = [str(candidate) for candidate in pool]
    return did_you_mean(name, pool) or f"there is {', '.join(f'`{one}`' for one in sorted(pool)) or 'nothing'}"
