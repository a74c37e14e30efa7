"""Movers: what leads from one perch of a stage to the next, backward for solutions and forward for states."""

from collections.abc import Callable, Mapping

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.functionals.axes import labels_of
from stagecraft.functionals.composed import Arrival
from stagecraft.functionals.decision import ChosenAlternative
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.horses.problems import ChoiceProblem, ExpectationProblem
from stagecraft.whisperers.choice import choice_problem
from stagecraft.whisperers.continuous import discrete_axes


class Mover(eqx.Module):
    """One edge of a circuit: `mover(x)` applies its operator.

    **Attributes:** `source`, `target`: perches; `operator`: a callable module; `method`: what it does, in a word.
    """

    source: str = eqx.field(static=True)
    target: str = eqx.field(static=True)
    operator: Callable
    method: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        """`source_to_target`."""
        return f"{self.source}_to_{self.target}"

    def __repr__(self) -> str:
        return f"Mover {self.name}: {self.method}"

    def __call__(self, *arguments):
        """What the operator makes of what stands at the source; compiled once for all movers of one structure."""
        return _apply(self.operator, *arguments)


@eqx.filter_jit
def _apply(operator, *arguments):
    return operator(*arguments)


class Choose(eqx.Module):
    """Backward from the continuations to the decision: one of finitely many alternatives, composed and not tabulated.

    **Attributes:** `problem`; `names`: of the decision's states; `controls`; `labels`: of the alternatives.
    """

    problem: ChoiceProblem
    names: tuple[str, ...] = eqx.field(static=True)
    controls: tuple[str, ...] = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, num, scope: Mapping[str, Array]) -> "Choose":
        """That of a stage whose branches, or values of discrete controls, are weighed where they are asked for."""
        options = discrete_axes(num, scope)
        labels = tuple(b.name for b in num.branches) if num.branching else labels_of(options)
        controls = tuple(name for name, _ in num.discrete)
        return cls(choice_problem(num, scope, options), num.dimensions("dcsn"), controls, labels)

    def __call__(self, *continuations: AbstractFunctional) -> ChosenAlternative:
        """The decision's functional object, given that of every continuation."""
        return ChosenAlternative(self.problem, continuations, self.names, self.controls, self.labels)


class Expect(eqx.Module):
    """Backward from decision to arrival: the mean over the shocks, composed and not tabulated."""

    problem: ExpectationProblem
    states: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, decision: AbstractFunctional) -> Arrival:
        """The arrival's functional object."""
        return Arrival(self.problem, decision, self.states)


class Transit(eqx.Module):
    """Forward: a transition applied to agents, one element each.

    **Attributes:** `function`: $(p, \\dots) \\mapsto$ states by name, from states and shocks or controls.
    """

    parameters: dict[str, Array]
    function: Callable = eqx.field(static=True)

    def __call__(self, *variables: Mapping[str, Float[Array, "..."]]) -> dict[str, Float[Array, "..."]]:
        """States at the target."""
        some = next(x for group in variables for x in group.values())
        moved = self.function(self.parameters, *variables)
        return {name: jnp.broadcast_to(x, some.shape) for name, x in moved.items()}
