"""Movers: what leads from one perch of a stage to the next, backward for solutions and forward for states."""

from collections.abc import Callable, Mapping

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagecraft.functional import AbstractFunctional, Arrival, Decision
from stagecraft.horses.egm import egm
from stagecraft.horses.problems import ContinuousProblem, ExpectationProblem
from stagecraft.solution import Answer, Continuation


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

    def __call__(self, *arguments):
        """What the operator makes of what stands at the source; compiled once for all movers of one structure."""
        return _apply(self.operator, *arguments)


@eqx.filter_jit
def _apply(operator, *arguments):
    return operator(*arguments)


class Optimise(eqx.Module):
    """Backward from continuation to decision: the best choice, given what comes after it."""

    problem: ContinuousProblem
    state: str = eqx.field(static=True)
    control: str = eqx.field(static=True)
    post: str = eqx.field(static=True)

    @property
    def points(self) -> dict[str, Float[Array, " points"]]:
        """Where the continuation is asked: the lowest post-state first, then the knots."""
        return {self.post: jnp.concatenate([self.problem.lowest[None], self.problem.knots])}

    def from_points(self, answer: Answer) -> Decision:
        """Solve, given the continuation's answer at `points`."""
        slope = answer.marginal[self.post]
        low = (answer.value[0], answer.weight[0])
        continuation = Continuation(answer.value[1:], slope[1:], answer.weight[1:], answer.feasible[1:], *low)
        return Decision(self.problem, egm(self.problem, continuation), self.state, self.control)

    def __call__(self, continuation: AbstractFunctional) -> Decision:
        """Solve, given any functional object of the post-state."""
        return self.from_points(continuation.at(self.points))


class Expect(eqx.Module):
    """Backward from decision to arrival: the mean over the shocks, composed and not tabulated."""

    problem: ExpectationProblem
    states: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, decision: AbstractFunctional) -> Arrival:
        """The arrival's functional object."""
        return Arrival(self.problem, decision, self.states)


class Push(eqx.Module):
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
