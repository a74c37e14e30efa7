"""Reading the equations of one stage: what it says, in sympy."""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from heptapod.errors import ANY, did_you_mean
from heptapod.formulas.equation import VALUE, Aggregator, Equation, Integrands, key, real
from heptapod.formulas.freeze import freeze
from heptapod.parsing.arithmetic import number as one_or_zero
from heptapod.parsing.kinds import NAME_RULE, unfit
from heptapod.parsing.parse import Bounds
from heptapod.parsing.python import split_linear
from heptapod.parsing.reader import Path, complete
from heptapod.shocks.base import AbstractShock
from heptapod.spaces.grids import AbstractGrid
from heptapod.spaces.perch_space import PerchSpace, continuation, read_state_space
from heptapod.stage.choice import ChoiceRule, read_choice
from heptapod.stage.controls import check_names, read_bounds, read_controls
from heptapod.stage.draws import read_shocks
from heptapod.stage.scope import StageScope
from heptapod.stage.values import read_arrival, read_value

_V = real(VALUE)


@dataclass(frozen=True)
class BranchEquations:
    """One continuation of a stage as written; a sequential stage has one, without a name.

    **Attributes:** `g_ve`: an expression per post-state; `objective`; `conditions`: (label, condition) of `when:` and
    `constraints:`, over decision states, controls and post-states; `recorded`: what the decision is worth to the stages before,
    `None` where that is the objective itself.
    """

    name: str
    g_ve: Mapping[str, sp.Expr]
    objective: sp.Expr
    conditions: tuple[tuple[str, sp.Basic], ...]
    recorded: sp.Expr | None = None


@dataclass(frozen=True)
class Equations:
    """The equations of a stage as written.

    **Attributes:** `spaces`, `shocks`; `controls`: the continuous ones; `discrete`: the sets of the others; `g_av`: an
    expression per decision state; `branches`; `choice`; `bounds`: of every continuous control; `aggregator`, `integrands`,
    `arrival`: the value on arrival, lowered and as written; `terminal`: after the last period, or `None`.
    """

    spaces: Mapping[str, PerchSpace]
    shocks: tuple[tuple[str, AbstractShock], ...]
    controls: tuple[str, ...]
    discrete: tuple[tuple[str, AbstractGrid], ...]
    g_av: Mapping[str, sp.Expr]
    branches: tuple[BranchEquations, ...]
    choice: ChoiceRule | None
    bounds: Mapping[str, Bounds]
    aggregator: Aggregator
    integrands: Integrands
    arrival: sp.Expr
    terminal: Equation | None = None


class StageReader:
    """Reads one stage: its shocks first, since grids of any stage may name their nodes, then all else.

    **Attributes:** `branch_names`; `poisoned`: whether the block of branches is in error; `draws`: see `Draws`.
    """

    def __init__(self, scope: StageScope, branching: bool):
        self.scope, self.reader, self.name, self.branching = scope, scope.reader, scope.name, branching
        self.math = (*scope.path, "math")
        self.branch_names = self._branch_names()
        # Of a stage that says it is sequential, nobody knows whether it has branches.
        self.poisoned = self.branching and (not self.branch_names or not branching)
        self.draws = read_shocks(scope, (*self.math, "shocks"))
        self.shocks, self.drawn = self.draws.shocks, self.draws.dimensions
        self.controls, self.discrete = (), {}

    def read(self, nodes: Mapping) -> Equations | None:
        """All equations; `None` after an error that leaves one of them unknown."""
        scope, grids = self.scope, self.scope.grid_scope(nodes)
        place = (*self.math, "state_space")
        scope.spaces, poisoned = read_state_space(self.reader, place, grids, self.branch_names, self.poisoned)
        scope.poison |= {f"{ANY}@{perch}" for perch in poisoned}
        self.controls, self.discrete = read_controls(self.scope, self.math, grids, self.branching and not self.poisoned)
        check_names(scope, self.math, self.shocks, self.drawn, (*self.controls, *self.discrete))
        states = [n for space in scope.spaces.values() for n in space.dimensions]
        scope.check_helpers((*states, *self.drawn, *self.controls, *self.discrete))
        g_av = self._transition(scope.place("g_av"), "g_av", "arvl", scope.spaces["dcsn"], "dcsn", self.drawn)
        bounds = read_bounds(scope, self.math, self.controls, tuple(self.discrete))
        branches = complete(self._branch(name) for name in self.branch_names or ("",))
        arrival = read_arrival(scope, self.draws)
        if self.poisoned:
            return None
        choice = read_choice(scope, (*self.math, "choice"), self.branch_names, tuple(self.discrete))
        if g_av is None or bounds is None or arrival is None or branches is None:
            return None
        discrete = tuple((n, g) for n, g in self.discrete.items() if g is not None)
        aggregator, integrands, inside = arrival
        return Equations(
            spaces=scope.spaces, shocks=tuple(self.shocks.items()), controls=self.controls, discrete=discrete, g_av=g_av,
            branches=branches, choice=choice, bounds=bounds, aggregator=aggregator, integrands=integrands, arrival=inside,
        )  # fmt: skip

    def _branch_names(self):
        path = (*self.math, "branches")
        branches = self.reader.mapping(path, None, "`branches`")
        if not self.branching:
            if self.reader.get(path) is None:
                return ()
            message = f"stage {self.name} has branches and is sequential"
            place = self.scope.path if self.reader.get((*self.scope.path, "kind")) is None else ()
            if place not in self.reader.poison:
                self.reader.error("structure", message, path, "write `kind: branching` in the stage", key=True)
            self.branching = True
        for name in branches:
            if unfit(name) is not None or name == "cntn":
                self.reader.error("name", f"`{name}` is not a name for a branch", (*path, name), NAME_RULE, key=True)
            else:
                self.reader.block((*path, name), "a branch", f"branch `{name}`")
        if not branches and not self.reader.poisoned(path):
            message = f"the branching stage {self.name} has no `branches`"
            self.reader.missing("structure", message, self.math, 'e.g. branches: {keep: {Q: "V[>]"}, ...}')
        return tuple(branches)

    def _transition(self, path, slot, source, space, target, others):
        """Every dimension of the target perch: its equation, or the variable of the same name that carries over."""
        if self.scope.perch_poisoned(target):
            return None
        arrow = "arrival -> decision" if slot == "g_av" else "decision -> continuation"
        poisoned = slot == "g_av" and self.draws.poisoned
        scope = self.scope.perches((source,), others, path, f"{slot} ({arrow})", poisoned=poisoned)
        found = {} if path is None else self._statements(path, scope, space, target)
        if found is None:
            return None
        carries = lambda n: n in scope.symbols and n not in self.scope.parameter_symbols
        missing = [n for n in space.dimensions if n not in found and not carries(n)]
        told = [n for n in missing if not scope.poisoned(n)]
        if told:
            self.scope.poison |= {f"{ANY}@{target}", *missing}  # The state may be misspelt where it is declared.
            names = ", ".join(f"`{n}`" for n in told)
            message = f"{names} of {target}: no equation in {slot}, and no variable of that name to carry over"
            if path is not None:
                self.reader.error("missing-equation", message, path, f"{told[0]} = ...", key=True)
            else:
                own = (*self.math, "branches", target.removeprefix("cntn."))
                block = own if target.startswith("cntn.") else (*self.math, "functions")
                self._absent("missing-equation", message, block, f"{slot}: {told[0]} = ...")
        return None if missing else {n: found.get(n, scope.symbols.get(n)) for n in space.dimensions}

    def _statements(self, path, scope, space, target):
        """The equations of a transition by the name of their target; `None` after an error."""
        found, before = {}, self.reader.collector.count
        error = self.reader.collector.error
        statements = self.reader.statements(path, scope)
        for statement in statements or ():
            name, _, perch = (statement.target or "").partition("@")
            if not name:
                error("equation", "a transition reads `target = expression`", statement.mark, f"{space.dimensions[0]} = ...")
            elif name not in space.dimensions or perch not in ("", target.partition(".")[0]):
                message = f"`{name}` is not a dimension of {target} ({', '.join(space.dimensions)})"
                self.scope.poison.add(name)
                error("target", message, statement.mark, did_you_mean(name, space.dimensions), name)
            elif name in found:
                error("duplicate-key", f"`{name}` has two equations", statement.mark, "drop one of them")
            else:
                variables = [s for n, s in scope.symbols.items() if n not in self.scope.parameter_symbols]
                found[name] = one_or_zero(split_linear(statement.expression, dict.fromkeys(variables)))
        return None if statements is None or self.reader.collector.count > before else found

    def _absent(self, code, message, block, help):
        """An equation that is missed, unless a mover may hold it under a key that is not known."""
        if not self.scope.movers_poisoned:
            self.reader.missing(code, message, block, help)

    def _branch(self, name):
        """One continuation: its transition, objective and conditions."""
        own = (*self.math, "branches", name) if name else None
        if own in self.reader.poison and self.reader.poisoned(own):
            return None
        space, end = self.scope.spaces[continuation(name)], continuation(name)
        place = lambda slot: (*own, slot) if own and self.reader.get((*own, slot)) is not None else self.scope.place(slot)
        controls = (*self.controls, *self.discrete)
        g_ve = self._transition(place("g_ve"), "g_ve", "dcsn", space, end, controls)
        label = f"branch {name}" if name else "Q"
        # Without its transition no post-state is known, and the rest is read for its own mistakes only.
        see = lambda path, where, default="": self.scope.perches(
            ("dcsn", "cntn"), controls, path, where, posts=space, carried=g_ve, default=default, poisoned=g_ve is None
        )
        objective = self._objective(place("Q"), see, label, name)
        recorded = self._recorded(place("V"), see)
        conditions = complete(self._conditions(own, see, label))
        if objective is None or g_ve is None or conditions is None or (recorded is None and place("V") is not None):
            return None
        return BranchEquations(name, g_ve, objective, conditions, recorded)

    def _recorded(self, path, see):
        """What the decision is recorded to be worth where that is not the maximum; `None` where it is, and after an error."""
        if path is None:
            return None
        if self.branching or self.discrete or not self.controls:
            message = f"stage {self.name} records `V` beside `Q`, which takes continuous controls and no other choice"
            return self.reader.error("structure", message, path, "let another stage choose among branches or values", key=True)
        return read_value(self.reader, path, see(path, "V"), f"V of stage {self.name}")

    def _conditions(self, own, see, label):
        """(name, condition) of all constraints of the stage and of a branch, and of its `when:`; `None` for one in error."""
        blocks = [(*self.math, "constraints")] + ([(*own, "constraints")] if own else [])
        paths = [(*block, k) for block in blocks for k in self.reader.mapping(block, None, "`constraints`")]
        found = [(path[-1], self._condition(path, see(None, f"constraint `{path[-1]}`"))) for path in paths]
        if own and self.reader.get((*own, "when")) is not None:  # Asked before the branch is taken.
            found.append(("when", self._condition((*own, "when"), see(None, f"when of {label}", "dcsn"))))
        return [None if condition is None else (label, condition) for label, condition in found]

    def _condition(self, path, scope):
        node = self.reader.get(path)
        if isinstance(node, bool):
            return self.reader.error("type", f"expected a condition, found {str(node).lower()}", path, "e.g. w > 0")
        expression = self.reader.expression(path, scope)
        if expression is None or isinstance(expression, sp.logic.boolalg.Boolean) and not expression.is_Symbol:
            if expression in (sp.true, sp.false):
                what = "always" if expression == sp.true else "never"
                return self.reader.error("type", f"this condition {what} holds", path, "drop it")
            return expression
        return self.reader.error("type", "expected a condition, found a number", path, "e.g. w > 0")

    def _objective(self, path, see, label, branch) -> sp.Expr | None:
        if path is None:
            if not branch and not (self.controls or self.discrete):
                return _V  # A stage without a choice hands its continuation on.
            what, e = (f"branch `{branch}` of stage {self.name}", 'e.g. Q: "V[>]"') if branch else \
                      (f"stage {self.name}", "e.g. Q: u(c) + beta*V[>]")  # fmt: skip
            place = (*self.math, "branches", branch) if branch else (*self.math, "functions")
            return self._absent("objective", f"{what} has no objective `Q`", place, e)
        return read_value(self.reader, path, see(path, label), f"Q of stage {self.name}")

    def terminal(self, path: Path) -> Equation | None:
        """The value on arrival after the last period; `None` after an error."""
        scope = self.scope.perches(("arvl",), (), None, "terminal")
        expression = self.reader.expression(path, scope)
        if expression is None:
            return None
        return Equation(freeze(expression), tuple(key(n, "arvl") for n in self.scope.spaces["arvl"].dimensions))
