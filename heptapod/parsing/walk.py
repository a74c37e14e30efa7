"""The whitelist walk: each syntax node that is known becomes one sympy call of ours, and any other is an error."""

import ast

import sympy

from heptapod.errors import ANY, POISON, Diagnostic, ModelError, did_you_mean
from heptapod.formulas.builtins import BUILTINS, EXPECT, where
from heptapod.parsing.arithmetic import Arithmetic, Refusal, number, truth
from heptapod.parsing.python import express
from heptapod.parsing.scope import Helper, Scope, inside, lookup
from heptapod.parsing.source import EquationText
from heptapod.parsing.syntax import MODULES, NO_TIME, NUMPY, OPERATORS, RELATIONS, WORDS

MAX_NODES, MAX_DEPTH, MAX_EXPANDED = 600, 60, 4_000


class Walker:
    """Walks the syntax tree of one text; the body of a helper gets a reader of its own, on the same budget."""

    def __init__(self, source: EquationText, scope: Scope, caller: "Walker | None" = None, stack: tuple[str, ...] = ()):
        self.source, self.scope, self.stack, self.count = source, scope, stack, 0
        self.arithmetic = caller.arithmetic if caller else Arithmetic()
        self.spent = caller.spent if caller else [0]

    def only_expression(self, depth: int = 0) -> sympy.Basic:
        first, *more = self.source.tree.body
        if more or not isinstance(first, ast.Expr):
            self.source.fail("statement", "one expression is expected here, without `=`", more[0] if more else first)
        return self.read(first.value, depth)

    def statement(self, node: ast.stmt) -> tuple[str | None, sympy.Basic]:
        """The target, if any, and the expression of one line."""
        if isinstance(node, ast.Expr):
            return None, self.read(node.value)
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            self.source.fail("statement", "an equation is `name = expression`", node)
        return self._target(node.targets[0]), self.read(node.value)

    def read(self, node: ast.expr, depth: int = 0) -> sympy.Basic:
        """The sympy expression of a node, or an error at its place."""
        self.count += 1
        self.spent[0] += 1
        if self.count > MAX_NODES or depth > MAX_DEPTH or self.spent[0] > MAX_EXPANDED:
            message = f"an equation may have {MAX_NODES} terms and {MAX_DEPTH} levels, and helpers {MAX_EXPANDED} terms"
            self.source.fail("too-big", message, node)
        reading = _READINGS.get(type(node))
        if reading is None:
            word = WORDS.get(type(node).__name__, f"`{type(node).__name__}`")
            help = "equations are arithmetic over declared names: + - * / ^ < <= and or not, `a if x < y else b`, "
            self.source.fail("not-allowed", f"{word} has no place in an equation", node, help + ", ".join(sorted(BUILTINS)))
        try:
            return reading(self, node, depth + 1)
        except Refusal as refusal:
            raise refusal.at(self.source.mark(node)) from None
        except RecursionError:
            self.source.fail("too-big", "too deeply nested", node)

    def _target(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self._proper(node.id, node)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            return f"{self._proper(node.value.id, node)}@{self._tag(node)}"
        self.source.fail("target", "the left-hand side must be the name of a variable", node)

    def _proper(self, name: str, node: ast.expr) -> str:
        if name.startswith("_"):
            self.source.fail("name", f"`{name}`: a name may not start with an underscore", node)
        return name

    def _tag(self, node: ast.Subscript) -> str:
        perch = self.source.tag(node)
        if perch is None or not self.scope.tags:
            self.source.fail("index", "only a perch tag [<], [~] or [>] may follow a name", node, NO_TIME)
        return perch

    def _literal(self, node: ast.Constant, depth: int):
        value = node.value
        if isinstance(value, bool):
            return sympy.true if value else sympy.false
        if not isinstance(value, int | float):
            self.source.fail("literal", f"a value of type {type(value).__name__} has no place in an equation", node)
        if value == 0 and any(digit in "123456789" for digit in self.source.spelling(node).lower().split("e")[0]):
            self.source.fail("literal", "this number is 0 in double precision", node)
        if value == float("inf"):
            self.source.fail("literal", "a number must lie between 1e-100 and 1e100", node)
        return self.arithmetic.literal(value)

    def _name(self, node: ast.Name, depth: int):
        return lookup(self.scope, self._proper(node.id, node))

    def _subscript(self, node: ast.Subscript, depth: int):
        if not isinstance(node.value, ast.Name):
            self.source.fail("index", "only a name may carry an index", node, NO_TIME)
        name = self._proper(node.value.id, node)
        if name == "E" and self.source.tag(node) is None:
            if not self.scope.expect:
                help = "expectations are taken on arrival: write `A: E[...]`"
                self.source.fail("scope", f"`E[...]` has no place in {self.scope.where}", node, help)
            return EXPECT(self.read(node.slice, depth))
        return lookup(self.scope, name, self._tag(node))

    def _unary(self, node: ast.UnaryOp, depth: int):
        value = self.read(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return self.arithmetic.negate(value)
        if isinstance(node.op, ast.Not):
            return self.arithmetic.negation(value)
        if isinstance(node.op, ast.UAdd):
            return value
        self.source.fail("operator", "`~` is not an operator here", node, "write `not`")

    def _binary(self, node: ast.BinOp, depth: int):
        # A sum of 100 terms is 100 levels deep on the left; only its width is of interest.
        spine = [node]
        while isinstance(spine[-1].left, ast.BinOp):
            spine.append(spine[-1].left)
        self.count += len(spine) - 1
        value = self.read(spine[-1].left, depth)
        for step in reversed(spine):
            operation = OPERATORS.get(type(step.op))
            if operation is None:
                help = "use + - * / ^ and, for truth values, `and`, `or`, `not`"
                self.source.fail("operator", f"`{type(step.op).__name__}` is not an operator here", step, help)
            try:
                value = getattr(self.arithmetic, operation)(value, self.read(step.right, depth))
            except Refusal as refusal:
                raise refusal.at(self.source.mark(step)) from None
        return value

    def _compare(self, node: ast.Compare, depth: int):
        sides = [self.read(side, depth) for side in (node.left, *node.comparators)]
        parts = []
        for operation, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if type(operation) not in RELATIONS:
                self.source.fail("operator", f"`{type(operation).__name__}` is not a comparison here", node)
            parts.append(self.arithmetic.compare(RELATIONS[type(operation)], left, right))
        return self.arithmetic.all(parts)

    def _logic(self, node: ast.BoolOp, depth: int):
        parts = [self.read(value, depth) for value in node.values]
        return self.arithmetic.all(parts) if isinstance(node.op, ast.And) else self.arithmetic.any(parts)

    def _conditional(self, node: ast.IfExp, depth: int):
        taken, condition, other = (self.read(part, depth) for part in (node.body, node.test, node.orelse))
        return self.arithmetic.call(where, truth(condition), number(taken), number(other))

    def _call(self, node: ast.Call, depth: int):
        if any(isinstance(arg, ast.Starred) for arg in node.args) or any(word.arg is None for word in node.keywords):
            self.source.fail("not-allowed", "`*` and `**` before an argument have no place in an equation", node)
        name = self._called(node)
        known = name in BUILTINS or name in self.scope.functions
        if f"{name}()" in self.scope.poison or (not known and self.scope.poison & {ANY, f"{ANY}()"}):
            self.source.fail(POISON, f"`{name}` is in error itself", node)
        if name in self.scope.functions and isinstance(node.func, ast.Name):
            return self._helper(name, self.scope.functions[name], node, depth)
        if name not in BUILTINS:
            pool = set(BUILTINS) | set(self.scope.functions)
            help = "write `E[...]`" if name == "E" else self.scope.elsewhere.get(f"{name}()") or did_you_mean(name, pool)
            if name in self.scope.symbols:
                help = f"`{name}` is a variable; write `{name}*(...)` for a product"
            refusal = Refusal("unknown-function", f"`{name}` is not a function", help, f"{name}()")
            raise refusal.at(self.source.mark(node.func))
        arity, builder = BUILTINS[name]
        if node.keywords or not node.args or (arity is not None and len(node.args) != arity):
            count = "one or more arguments" if arity is None else f"{arity} argument{'s' * (arity > 1)}"
            given = len(node.args) + len(node.keywords)
            self.source.fail("arity", f"`{name}` takes {count}, by position; {given} given", node)
        args = [self.read(arg, depth) for arg in node.args]
        args = [truth(arg) if name == "where" and i == 0 else number(arg) for i, arg in enumerate(args)]
        return self.arithmetic.call(builder, *args)

    def _called(self, node: ast.Call) -> str:
        function = node.func
        if isinstance(function, ast.Name):
            return self._proper(function.id, function)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in MODULES:
            if function.attr in NUMPY:
                return NUMPY[function.attr]
            message = f"`{function.value.id}.{function.attr}` has no counterpart here"
            self.source.fail("unknown-function", message, function, did_you_mean(function.attr, NUMPY))
        self.source.fail("not-allowed", "only a function's plain name can be called", node)

    def _helper(self, name: str, helper: Helper, node: ast.Call, depth: int):
        self.scope.used.add(f"{name}()")
        if name in self.stack:
            chain = " -> ".join((*self.stack[self.stack.index(name) :], name))
            self.source.fail("circular", f"`{name}` is defined through itself: {chain}", node)
        arguments = self._arguments(name, helper, node, depth)
        scope = inside(self.scope, name, helper, arguments)
        body = helper.body
        if callable(body):
            found = express(body, scope, self.source.mark(node), arguments)
            if isinstance(found, dict):
                self.source.fail("function", f"`{name}` returns a dictionary, not a number", node)
            return found
        if not isinstance(body, str):
            return Walker(self.source, scope, self).arithmetic.literal(body)
        source = EquationText(body, self.source.mark(node))
        if not source.tree.body:
            raise ModelError(Diagnostic("empty", f"`{name}` has no body", source.text.mark))
        return Walker(source, scope, self, (*self.stack, name)).only_expression(depth)

    def _arguments(self, name: str, helper: Helper, node: ast.Call, depth: int) -> dict[str, sympy.Basic]:
        given = {}
        for word in node.keywords:
            if word.arg not in helper.parameters:
                help = did_you_mean(str(word.arg), helper.parameters)
                self.source.fail("argument", f"`{name}` has no argument `{word.arg}`", word, help)
            given[word.arg] = self.read(word.value, depth)
        positional = [self.read(arg, depth) for arg in node.args]
        values = dict(zip(helper.parameters, positional, strict=False)) | given
        total = len(positional) + len(given)
        if len(values) != total or total != len(helper.parameters):
            message = f"`{name}` takes ({', '.join(helper.parameters)}); {total} given"
            self.source.fail("arity", message, node)
        return values


_READINGS = {
    ast.Constant: Walker._literal,
    ast.Name: Walker._name,
    ast.Subscript: Walker._subscript,
    ast.UnaryOp: Walker._unary,
    ast.BinOp: Walker._binary,
    ast.Compare: Walker._compare,
    ast.BoolOp: Walker._logic,
    ast.IfExp: Walker._conditional,
    ast.Call: Walker._call,
}
