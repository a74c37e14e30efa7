"""The picture of a circuit: which stage and which function, or which households, over states or over the periods."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stagecraft.functionals.axes import continuation_of
from stagecraft.households.population import together
from stagecraft.pictures.curves import functions_of
from stagecraft.pictures.households import KINDS, plot_density, plot_fan, plot_lorenz
from stagecraft.pictures.profiles import clock_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_circuit(
    circuit,
    what: str | None,
    x: str | Mapping[str, Any] | None,
    *,
    at: Mapping[str, Any] | None,
    kind: str | None,
    period: int | None,
    ax: "Axes | None",
    label: str,
    **style: Any,
) -> "Axes":
    """See `ModelCircuit.plot`."""
    stage, function = _parts(circuit, what)
    if circuit.stored is None:
        raise ValueError("the circuit is not solved; call stagecraft.solve first, and draw what it returns")
    if kind is not None or (circuit.dists is not None and function is not None and x is None and at is None):
        return _plot_households(circuit, stage, function, kind, period, ax, label, style)
    if circuit.types is not None:
        for k in range(len(circuit.types)):
            words = ", ".join(filter(None, (label, f"type {k}")))
            one = circuit.of_type(k)
            ax = plot_circuit(one, what, x, at=at, kind=kind, period=period, ax=ax, label=words, **style)
        assert ax is not None
        return ax
    many = circuit.stage(stage)
    _check_pushed(circuit, stage, function)
    if period is not None:
        return circuit[period][stage].plot(function, x, at=at, ax=ax, label=label, **style)
    return many.plot(function, x, at=at, ax=ax, label=label, **style)


def check_other(other) -> None:
    """Speak of what is no circuit to compare with; `TypeError`."""
    if not hasattr(other, "stored"):
        raise TypeError(f"compare takes a ModelCircuit, found {type(other).__name__}")


def _parts(circuit, what):
    """The stage and the function that a name means; the last stage where none is named."""
    if not isinstance(what, str | None):
        raise TypeError(f'what is drawn has a name, "CONS.c", found {type(what).__name__}')
    names = [num.name for num in circuit.structure.stages]
    stage, _, function = (what or names[-1]).partition(".")
    if stage not in names:
        hint = f"{names[-1]}.{what}" if "." not in (what or "") else ", ".join(names)
        raise ValueError(f"`{what}` names no stage; there are {', '.join(names)}: write `{hint}`")
    return stage, function or None


def _check_pushed(circuit, stage, function):
    """Speak of a state of households, whose distribution is asked for before it is there; `ValueError`."""
    num = circuit.structure.stage(stage)
    perches = ("arvl", "dcsn", *[continuation_of(branch.name) for branch in num.branches])
    states = {name for perch in perches for name in num.dimensions(perch)}
    # A control may be a post-state, too: then the policy is meant.
    if circuit.dists is None and function in states - set(functions_of(circuit.stage(stage).first)):
        raise ValueError(
            f"`{function}` is a state, whose distribution is drawn of what sc.push_forward(solved, initial), or sc.stationary, "
            f"returns; functions of states are {', '.join(functions_of(circuit.stage(stage).first))}"
        )


def _plot_households(circuit, stage, name, kind, period, ax, label, style):
    """Of those who pass a stage: the last perch that knows the variable."""
    if kind not in (None, *KINDS):
        raise ValueError(f"`kind` is one of {', '.join(KINDS)}, found `{kind}`")
    if kind == "fan" and period is not None:
        raise ValueError('a fan runs over all periods: leave `period` out, or say kind="density"')
    if circuit.dists is None:
        raise ValueError("no households yet: draw what sc.push_forward(solved, initial), or sc.stationary, returns")
    if name is None:
        raise ValueError(f"say of which variable, `{stage}.NAME`: {', '.join(_variables(circuit[0][stage]))}")
    passed = [t for t in range(len(circuit)) if stage in circuit.structure.block(t).stages]
    kind = kind or ("fan" if len(passed) > 1 and period is None else "density")
    if kind == "fan":
        dists = [_dist(circuit[t][stage], name) for t in passed]
        return plot_fan(dists, name, passed, circuit.structure.calibration.age, label, ax, circuit.source.units, **style)
    at = passed[-1] if period is None else period
    word, when = clock_of(circuit.structure.calibration.age, at)
    words = [label, f"{word} {when:g}" if len(passed) > 1 else ""]
    draw = plot_density if kind == "density" else plot_lorenz
    return draw(_dist(circuit[at][stage], name), name, ", ".join(filter(None, words)), ax, circuit.source.units, **style)


def _variables(stage) -> list[str]:
    return list(dict.fromkeys(name for perch in stage.perches if perch.dist for name in perch.dist.states))


def _dist(stage, name):
    """The households on the last perch that knows a variable; of several branches all of those."""
    after = [perch.dist for perch in stage.perches[2:] if perch.dist and name in perch.dist.states]
    if after:
        return together(*[dist.marginal(name) for dist in after])
    for perch in (stage.dcsn, stage.arvl):
        if perch.dist and name in perch.dist.states:
            return perch.dist
    raise ValueError(f"stage {stage.name} has no variable `{name}` to draw; there are {', '.join(_variables(stage))}")
