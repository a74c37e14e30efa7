"""A stage as numbers need it: formulas and names, compared by value, with no default, text or place in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.formulas.equation import VALUE, Aggregator, Equation, Integrands, Transition, key, mean_key, name_of, perch_of
from heptapod.formulas.formula import Formula
from heptapod.formulas.in_numpy import number, overflowing, singular
from heptapod.problem.solutions import AbstractSolution, Identity
from heptapod.shocks import in_numpy
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.odds import odds
from heptapod.spaces.grids import AbstractGrid
from heptapod.spaces.perch_space import PerchSpace
from heptapod.stage.choice import ChoiceRule


@dataclass(frozen=True)
class Branch:
    """One continuation of a stage; a sequential stage has one, without a name.

    **Attributes:** `to_continuation`: decision states and controls to post-states; `objective`: a formula in parameters, the
    keys of decision states, controls and post-states, and `V[>]`; `conditions`: (label, formula in the same keys); `recorded`:
    what the stages before are told, a formula as `objective` is, `None` where it is the same.
    """

    name: str
    to_continuation: Transition
    objective: Formula
    conditions: tuple[tuple[str, Formula], ...] = ()
    recorded: Formula | None = None

    @property
    def plain(self) -> bool:
        """Whether the objective is the continuation value and nothing else."""
        return self.objective.tree == ("sym", VALUE)


@dataclass(frozen=True, eq=False)
class NumericProblem:
    """What a stage computes, pointwise. Two stages of the same text are equal, whatever their default values.

    **Attributes:**

    - `spaces`: the perches; `controls`: the continuous ones; `discrete`: the sets of the others; `shocks`.
    - `to_decision`: arrival states and shocks to decision states; `branches`: what follows the decision; `choice`: how one
      of them, or the value of a discrete control, is chosen.
    - `integrands`, `aggregator`: the value on arrival.
    - `terminal` $(p, x_a, \\dots)$: the value on arrival after the last period, or `None`.
    - `bounds`: (control, lower, upper) of the continuous controls, formulas in parameters and the keys of decision states,
      `None` where a side is open.
    - `solution`: how the stage is solved, a record of its method.
    """

    name: str
    spaces: tuple[tuple[str, PerchSpace], ...]
    controls: tuple[str, ...]
    shocks: tuple[AbstractShock, ...]
    to_decision: Transition
    branches: tuple[Branch, ...]
    integrands: Integrands
    aggregator: Aggregator
    discrete: tuple[tuple[str, AbstractGrid], ...] = ()
    choice: ChoiceRule | None = None
    terminal: Equation | None = None
    bounds: tuple[tuple[str, Formula | None, Formula | None], ...] = ()
    interp: str = "auto"
    solution: AbstractSolution = Identity()
    _values: tuple = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self):
        values = tuple(getattr(self, f.name) for f in fields(self) if f.init)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other) -> bool:
        if self is other:
            return True
        return isinstance(other, NumericProblem) and self._hash == other._hash and self._values == other._values

    @property
    def method(self) -> str:
        """The name of the method that solves the stage."""
        return self.solution.name

    @property
    def plain_arrival(self) -> bool:
        """Whether the value on arrival is `E[V]` and nothing else."""
        inside = tuple(f.tree for f in self.integrands.formulas)
        return inside == (("sym", "V"),) and self.aggregator.formula.tree == ("sym", mean_key(0))

    @property
    def stored(self) -> bool:
        """Whether a solve keeps values of this stage; any other is composed where it is asked."""
        return self.solution.stored or dict(self.spaces)["arvl"].tabulate

    @property
    def given_alone(self) -> tuple[str, ...]:
        """Arrival states that lead to no decision state: at most the law of a shock depends on them."""
        named = {name for _, formula in self.to_decision.equations for name in formula.names}
        used = {name for key, name in self.to_decision.sources if key in named}
        return tuple(name for name in self.dimensions("arvl") if name not in used)

    @property
    def conditions_on_arrival(self) -> tuple[Formula, ...]:
        """What must hold for any branch, and is known before anything is drawn or chosen."""
        first, *others = [{formula for _, formula in branch.conditions} for branch in self.branches]
        drawn = {d for shock in self.shocks for d in shock.dimensions}
        told = {key(name, "dcsn") for name, formula in self.to_decision.equations if not formula.names & drawn}
        tagged = lambda formula: {name for name in formula.names if perch_of(name)}
        chosen = {*self.controls, *[name for name, _ in self.discrete]}
        shared = [formula for _, formula in self.branches[0].conditions if formula in first.intersection(*others)]
        return tuple(f for f in shared if tagged(f) <= told and not f.names & chosen)

    def known_on_arrival(self, scope: Mapping, states: Mapping) -> dict:
        """The decision states that conditions on arrival name."""
        asked = {name_of(name) for formula in self.conditions_on_arrival for name in formula.names if perch_of(name)}
        known = {**scope, **{key: states[name] for key, name in self.to_decision.sources if name in states}}
        return {name: formula(known) for name, formula in self.to_decision.equations if name in asked}

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of states, draws and controls, those of the later perches last."""
        states = [name for perch, _ in self.spaces for name in self.dimensions(perch)]
        drawn = [name for shock in self.shocks for name in shock.dimensions]
        return tuple(dict.fromkeys([*states, *drawn, *self.controls, *[name for name, _ in self.discrete]]))

    @property
    def branching(self) -> bool:
        """Whether the stage has named branches."""
        return self.branches[0].name != ""

    @property
    def to_continuation(self) -> Transition:
        """The transition of a sequential stage."""
        if self.branching:
            raise ValueError(f"stage {self.name} has a transition for each branch: {', '.join(b.name for b in self.branches)}")
        return self.branches[0].to_continuation

    def branch(self, name: str) -> Branch:
        """A continuation by name."""
        return next(b for b in self.branches if b.name == name)

    def suspects(self, scope: Mapping, points: Mapping | None = None) -> list[str]:
        """What makes a formula of the stage divide by zero, leave its domain or overflow, in words.

        **Arguments:** `scope`: parameters; `points`: values of states, shocks and controls, arrays of one length.
        """
        moves = [self.to_decision, *[b.to_continuation for b in self.branches]]
        formulas = [f for move in moves for _, f in move.equations]
        formulas += [self.aggregator.formula, *self.integrands.formulas]
        names = ("objective", "control_inverse", "state_inverse", "foc")
        derived = [getattr(self.solution, name, None) for name in names]
        formulas += [e.formula for e in (*derived, self.terminal) if e is not None]
        formulas += [b.objective for b in self.branches]
        found = singular([f.tree for f in formulas], scope)
        return found or overflowing([f.tree for f in formulas], {**scope, **(points or {})})

    def dimensions(self, perch: str) -> tuple[str, ...]:
        """The dimensions of a perch in the order of the file."""
        return dict(self.spaces)[perch].dimensions

    def grid(self, perch: str, dimension: str) -> AbstractGrid | None:
        """The declared grid of a dimension."""
        return dict(self.spaces)[perch].grid(dimension)

    def nodes(self, scope: Mapping) -> tuple[dict[str, Float[Array, " nodes"]], Float[Array, "*given nodes"]]:
        """Nodes and weights of all shocks together, the product of their laws; one node of no name if there is none.

        A Markov shock gives the weights an axis before that of the nodes, over the values of the state that it is given.
        """
        values, weights = {}, jnp.ones(1, jnp.asarray(scope["t"]).dtype)
        for shock in self.shocks:
            own, law = shock.nodes(scope)
            count, k = weights.shape[-1], law.shape[-1]
            values = {n: jnp.repeat(v, k) for n, v in values.items()} | {n: jnp.tile(v, count) for n, v in own.items()}
            if shock.given is None:
                weights = (weights[..., :, None] * law).reshape(*weights.shape[:-1], -1)
            else:
                product = weights[..., None, :, None] * law[:, None, :]
                weights = product.reshape(*weights.shape[:-1], law.shape[0], -1)
        return values, weights

    def numbers(self, scope: Mapping) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
        """The same in NumPy, without a backend; `None` where a law has no nodes there."""
        return in_numpy.nodes(self.shocks, scope)

    def value(self, formula: Formula, scope: Mapping) -> np.ndarray:
        """A formula in NumPy, without a backend."""
        return number(formula, scope)

    def draws(
        self, scope: Mapping, key: PRNGKeyArray, count: int, given: Mapping[str, Float[Array, " count"]] | None = None
    ) -> dict[str, Float[Array, " count"]]:
        """Draws of all shocks; element `i` depends on `(key, i)` alone, and of Markov shocks on the state in `given`."""
        drawn = {}
        for i, shock in enumerate(self.shocks):
            before = None if shock.given is None else (given or {})[shock.given]
            drawn |= shock.draws(scope, jax.random.fold_in(key, i), count, before)
        return drawn

    def odds(
        self, scope: Mapping, drawn: Mapping[str, Float[Array, " count"]], given: Mapping[str, Float[Array, " count"]]
    ) -> Float[Array, " count"]:
        """The probability of what `draws` returned: of discrete shocks and point masses, 1 for continuous ones."""
        found = jnp.ones((), jnp.asarray(scope["t"]).dtype)
        for shock in self.shocks:
            found = found * odds(shock, scope, drawn, None if shock.given is None else given[shock.given])
        return found
