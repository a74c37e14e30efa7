"""A method: at every knot of `m` the best of many shares of it. Its record, its whisperer (`of`), and the horse."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp

import heptapod
import stagecraft as sc


@dataclass(frozen=True)
class Shares(heptapod.AbstractSolution):
    @classmethod
    def of(cls, num):
        if (num.dimensions("dcsn"), num.controls) != (("m",), ("c",)):
            raise ValueError("it eats `c` out of `m`, and knows of nothing else")
        return cls()


class BestShare(sc.AbstractHorse):
    num: object = eqx.field(static=True)
    scope: dict
    m: jnp.ndarray
    record = Shares
    of = classmethod(lambda cls, num, scope: cls(num, dict(scope), num.grid("cntn", "a_nxt").build(scope)[1:, None]))
    c = property(lambda self: self.m * jnp.linspace(0.001, 0.999, 999, dtype=self.m.dtype))
    placeholder = lambda self: sc.Lines(self.m[:, 0], {"c": self.m[:, 0]}, self.m[:, 0])
    decide = lambda self, stored: sc.AlongLines(stored, "m")
    health = lambda self, stored: {"decision": jnp.all(jnp.isfinite(stored.value))}

    def ask(self, continuation):
        points = self.num.to_continuation(self.scope, {"m": self.m}, {"c": self.c})
        return points, continuation.at(points)

    def solve(self, points, answer):
        names = {**self.scope, "m[~]": self.m, "c": self.c, "a_nxt[>]": points["a_nxt"], "V[>]": answer.value}
        worth = jnp.where(answer.feasible, self.num.branches[0].objective(names), -jnp.inf)
        row, best = jnp.arange(worth.shape[0]), jnp.argmax(worth, axis=1)
        return sc.Lines(self.m[:, 0], {"c": self.c[row, best]}, worth[row, best])
