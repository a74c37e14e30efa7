"""Comparative statics: how anything that a solved circuit tells moves with its parameters, at the margin and over a step."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import traced
from stagecraft.backward.solve import solve
from stagecraft.circuit.info import Info
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.programs.counts import compiling
from stagecraft.results import Outcome


class Statics(eqx.Module):
    """Outputs, their derivatives, and if one asked for it what they become after a finite change.

    **Attributes:**

    - `value`: what the function gave, a pytree of arrays.
    - `derivative`: by parameter, the same pytree.
    - `at`: the parameters; `to`: what each was changed to, alone; `changed`: by parameter, the outputs then.
    - `label`: of an output that has no key.
    """

    value: Any
    derivative: dict[str, Any]
    at: dict[str, Array]
    to: dict[str, Array]
    changed: dict[str, Any]
    label: str = eqx.field(static=True, default="output")

    def __getitem__(self, path: str) -> Any:
        """The derivative with respect to the parameter `path`, in the structure that `fn` returned; else `KeyError`."""
        if path not in self.derivative:
            raise KeyError(f"no derivative with respect to `{path}`; there are {', '.join(self.derivative)}")
        return self.derivative[path]

    def to_pandas(self):
        """One row for every parameter and output: `value`, `derivative`, `elasticity`; after a finite change `to`, `changed`,
        `change`, and `predicted` by the derivative alone."""
        import pandas as pd

        rows, values = [], labelled(self.value, self.label)
        for path, slopes in self.derivative.items():
            x = np.asarray(self.at[path], float)
            after = labelled(self.changed[path], self.label) if path in self.changed else {}
            for name, slope in labelled(slopes, self.label).items():
                value = values[name]
                elastic = slope * float(x) / value if x.ndim == 0 and value != 0 else np.nan
                row = {"parameter": path, "output": name, "value": value, "derivative": slope, "elasticity": elastic}
                if after:
                    new = np.asarray(self.to[path], float)
                    size = float((new - x).mean())
                    row |= {"to": float(new.mean()), "changed": after[name], "change": after[name] - value}
                    row |= {"predicted": slope * size}
                rows.append(row)
        return pd.DataFrame(rows).set_index(["parameter", "output"])

    def plot(self, column: str = "elasticity", ax=None):
        """Bars of one `column` of the table, a colour for each parameter, on `ax` or new axes, which it returns."""
        from matplotlib import pyplot as plt

        table = self.to_pandas()
        if column not in table:
            more = "" if self.to else "; `to=` or `step=` of comparative_statics adds `change` and `predicted`"
            raise ValueError(f"no column `{column}` to draw; there are {', '.join(table)}{more}")
        ax = plt.subplots()[1] if ax is None else ax
        frame = table[column].unstack("parameter").loc[list(labelled(self.value, self.label)), list(self.derivative)]
        frame.plot.barh(ax=ax)
        ax.axvline(0.0, color="black", linewidth=0.8)
        ax.set(xlabel=column, ylabel="")
        ax.invert_yaxis()
        return ax

    def __repr__(self) -> str:
        return repr(self.to_pandas())

    def _repr_html_(self) -> str | None:
        return self.to_pandas()._repr_html_()


def comparative_statics(
    fn: Callable[[ModelCircuit], Any],
    circuit: ModelCircuit,
    *paths: str,
    to: Mapping[str, Any] | float | None = None,
    step: Mapping[str, Any] | float | None = None,
) -> Statics:
    r"""$\mathrm{d} f(\mathrm{solve}(\theta))/\mathrm{d}\theta_i$, forward through the solution and whatever `fn` does with it.

    The circuit is solved once with all derivatives, compiled, and again for every finite change, with the same program.

    **Arguments:**

    - `fn`: from the solved circuit to numbers, arrays or a pytree of them; it may push, simulate or look at policies. It is
      traced, so it uses `jax.numpy`.
    - `circuit`: solved or not; its parameters are the point at which derivatives are taken.
    - `paths`: parameters, `"main.beta"`; an array moves by the same amount in all its entries.
    - `to`, `step`: change each parameter to a value, or by an amount, alone; one number, or one for each path.

    **Returns:** a `Statics`: `to_pandas()`, `plot()`, `["main.beta"]`.

    **Raises:** `ValueError` for an unknown parameter, with a suggestion; `SolveError` where the circuit cannot be solved.
    """
    if not paths:
        raise ValueError('name at least one parameter: comparative_statics(fn, circuit, "main.beta")')
    if to is not None and step is not None:
        raise ValueError("give `to` or `step`, not both")
    at = {path: _current(circuit, path) for path in paths}
    targets = _targets(at, to, step)
    # Once outside of any transformation, so that a failure speaks, and that a step out of a domain is named.
    for path, x in targets.items():
        circuit.with_parameters({path: x})

    @jax.jit
    def outputs(values):
        solved = solve(circuit.with_parameters(values))
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), fn(solved)), cast(Info, solved.info).outcome

    @jax.jit
    def margins(values):
        def moved(shifts):
            return outputs({path: values[path] + shift for path, shift in zip(paths, shifts, strict=True)})

        shifts = jnp.zeros(len(paths), jnp.result_type(*values.values(), jnp.float32))
        slopes, _ = jax.jacfwd(moved, has_aux=True)(shifts)
        return *outputs(values), {path: jax.tree.map(lambda x, i=i: x[..., i], slopes) for i, path in enumerate(paths)}

    with compiling("comparative_statics", circuit):
        value, outcome, slopes = margins(at)
    _speak(circuit, outcome)
    changed = {}
    for path, x in targets.items():
        changed[path], outcome = outputs({**at, path: x})
        _speak(circuit.with_parameters({path: x}), outcome)
    name = getattr(fn, "__name__", "output")
    return Statics(value, slopes, at, targets, changed, "output" if name == "<lambda>" else name)


def consumption_equivalent(
    before: ModelCircuit, after: ModelCircuit, stage: str, t: int = 0, **states: Float[Array, "..."]
) -> Float[Array, "..."]:
    r"""By what share consumption in every period and state would have to rise `before` to be worth what there is `after`.

    With $w = u^{-1}(V/B)$, where $B$ is the value of the constant reward 1, $w_1/w_0 - 1$; exact where $u$ is homothetic
    (a power, or a logarithm), and the change of the constant that is worth as much otherwise (Lucas 1987). A terminal value
    counts in $V$, and does not rise with consumption; beside a power, other parts of the reward must be absent.

    **Arguments:** two solved circuits; `stage` with a utility of consumption that can be inverted; `t`; `states`: on
    arrival.

    **Returns:** the share, 0.02 for two per cent, in the shape of the states.

    **Raises:** `ValueError` where the reward is not a utility of the control alone.
    """
    num = before.structure.stage(stage)
    if getattr(num.solution, "utility_inverse", None) is None:
        raise ValueError(f"stage {stage}: the reward is no invertible utility of its control alone, so it has no equivalent")

    def level(circuit):
        solution = circuit[t][stage].arvl.sol
        arrays = jnp.broadcast_arrays(*[jnp.asarray(states[name], jnp.result_type(float)) for name in solution.dimensions])
        answer = solution.at(dict(zip(solution.dimensions, arrays, strict=True)))
        return num.solution.utility_inverse(circuit.scope(stage, t), answer.value / answer.weight)

    return level(after) / level(before) - 1.0


def _current(circuit, path):
    scope, _, name = path.rpartition(".")
    if name not in circuit.parameters.get(scope, {}):
        circuit.with_parameters({path: 0.0})  # Speaks, with a suggestion.
        raise ValueError(f"`{path}` is no parameter")
    return circuit.parameters[scope][name]


def _targets(at, to, step) -> dict:
    """What every parameter is changed to."""
    given = step if to is None else to
    if given is None:
        return {}
    by_path = given if isinstance(given, Mapping) else dict.fromkeys(at, given)
    strange = sorted(set(by_path) - set(at))
    if strange:
        raise ValueError(f"a change of `{strange[0]}`, which is not among {', '.join(at)}")
    moved = {path: jnp.broadcast_to(jnp.asarray(x, at[path].dtype), at[path].shape) for path, x in by_path.items()}
    return {path: x if to is not None else at[path] + x for path, x in moved.items()}


def _speak(circuit, outcome):
    """Solve once more where it failed, for the message."""
    if not traced(outcome) and np.any(np.asarray(outcome) != Outcome.success):
        solve(circuit)


def labelled(tree, label) -> dict[str, float]:
    """Numbers by their place: keys joined by dots, positions in brackets."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or label
        leaf = np.asarray(leaf)
        for place in np.ndindex(leaf.shape):
            found[name + "".join(f"[{i}]" for i in place)] = float(leaf[place])
    return found
