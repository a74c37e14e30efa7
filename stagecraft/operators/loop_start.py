"""Where a loop starts, as something that parameters may move.

JAX finds out which of the arrays that a loop carries have derivatives by differentiating the body until the answer repeats:
with those that move at the start, and again with those that move after a step. A start that moves with the rest is
differentiated once, which takes a third off the tracing of a gradient.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from stagecraft.arrays import floating, where


def loop_start(carry: Any, by: Any) -> Any:
    """`carry` itself; where something in `by` has a derivative, so have all of its floating-point leaves, be it zero."""
    leaves, tree = jax.tree.flatten(carry)
    moved = iter(_moved([x for x in leaves if floating(x)], [x for x in jax.tree.leaves(by) if floating(x)]))
    return jax.tree.unflatten(tree, [next(moved) if floating(x) else x for x in leaves])


@jax.custom_jvp
def _moved(leaves, by):
    del by
    return leaves


def _moved_jvp(primals, tangents):
    (leaves, by), (slopes, moves) = primals, tangents
    some = [x.ravel()[0] for x in moves if type(x) is not SymbolicZero][:1]
    # Zero is chosen and not multiplied, so that nothing infinite behind it comes back as NaN.
    zero = [where(False, x, jnp.zeros_like(x)) for x in some]
    spread = lambda x: jnp.broadcast_to(zero[0].astype(x.dtype), x.shape)
    rest = [spread(x) if zero and type(slope) is SymbolicZero else slope for x, slope in zip(leaves, slopes, strict=True)]
    return _moved(leaves, by), _moved(rest, by)  # For the derivatives of these.


_moved.defjvp(_moved_jvp, symbolic_zeros=True)
