"""The interface of a horse: what a method must be able to do, whoever wrote it."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Bool, Float

from stagecraft.horses.solution import Answer
from stagecraft.horses.stored import AbstractStored

States = dict[str, Float[Array, "..."]]


class AbstractHorse(eqx.Module):
    r"""A method in one period of a stage: $V(x_v) = \max_c Q(x_v, c, x_e, V(x_e))$ with $x_e = g(x_v, c)$, solved and stored.

    The backward pass is `stored = horse.solve(*horse.ask(continuation))`; whoever asks later, the stage before, a simulation or
    the user, asks `horse.decide(stored)`. A horse knows arrays and pointwise functions; what the file says is told to it by its
    whisperer, `of`. It is an equinox module: arrays are leaves, names and functions are static fields.

    **Attributes:** `record`: the class of the record in which heptapod keeps what the method needs of a stage.
    """

    record: ClassVar[type | None] = None
    interface: ClassVar[Mapping[str, str]] = {
        "record": "record, a class attribute: the record of the method, a subclass of heptapod.AbstractSolution",
        "of": "of(cls, num, scope), a class method -> the horse of a stage in one period; num.solution is its record",
        "ask": "ask(self, continuation) -> (points, answer): post-states by name, and continuation.at(points)",
        "solve": "solve(self, points, answer) -> what is stored, a stagecraft.AbstractStored",
        "decide": "decide(self, stored) -> the solution at the decision, a stagecraft.AbstractFunctional of its states",
        "health": "health(self, stored) -> {flag: scalar truth value}, what is well; {} where nothing can be said",
        "placeholder": "placeholder(self) -> something of the structure, shapes and types that solve returns",
    }

    @classmethod
    @abc.abstractmethod
    def of(cls, num: Any, scope: Mapping[str, Array]) -> "AbstractHorse":
        """The horse of a stage in one period.

        **Arguments:** `num`: the stage's pointwise functions, a `heptapod.NumericProblem`, whose `solution` is the record of
        the method; `scope`: the value of every name that its equations see, `t` among them.
        """

    @abc.abstractmethod
    def ask(self, continuation: Any) -> tuple[States, Answer]:
        """Post-states at which the continuation decides, in shapes that broadcast, and `continuation.at` of them."""

    @abc.abstractmethod
    def solve(self, points: States, answer: Answer) -> AbstractStored:
        """What the next-earlier stage needs to be kept, of the shapes and types of `placeholder`."""

    @abc.abstractmethod
    def decide(self, stored: AbstractStored) -> Any:
        """The solution at the decision: a functional object whose `at(states)` gives value, marginal values and policy."""

    @abc.abstractmethod
    def placeholder(self) -> AbstractStored:
        """Something of the right structure and of no meaning, with which a loop over periods begins."""

    @abc.abstractmethod
    def health(self, stored: AbstractStored) -> dict[str, Bool[Array, ""]]:
        """Whether each of `circuit.info.FLAGS` that the method can tell of is well; the others are taken to be."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}: a horse, of continuations to decisions"

    def __call__(self, continuation: Any) -> Any:
        """Solve, given any functional object of the post-states."""
        return self.decide(self.solve(*self.ask(continuation)))
