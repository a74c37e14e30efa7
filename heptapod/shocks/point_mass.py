"""One more value with a probability of its own: unemployment, a disaster, a jackpot."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from heptapod.formulas.formula import Formula
from heptapod.shocks.base import Moments, dtype_of, normalised


@dataclass(frozen=True)
class PointMass:
    r"""With probability $q$ a shock takes a fixed value, with $1 - q$ it follows its law.

    **Attributes:** `value`: a formula per dimension; `prob`: $q$.
    """

    value: tuple[Formula, ...]
    prob: Formula

    def with_node(
        self, scope: Mapping, values: dict[str, Float[Array, " nodes"]], weights: Float[Array, " nodes"]
    ) -> tuple[dict[str, Float[Array, " nodes+1"]], Float[Array, " nodes+1"]]:
        """The nodes of the law and, last, the fixed value."""
        fixed, q = self._read(scope)
        weights = jnp.append((1 - q) * weights, q)
        return {n: jnp.append(v, x) for (n, v), x in zip(values.items(), fixed, strict=True)}, weights

    def mixed(self, scope: Mapping, key: PRNGKeyArray, drawn: dict[str, Float[Array, " count"]]) -> dict:
        """Draws of the law, a share of them replaced in all dimensions together; differentiable in the value alone."""
        fixed, q = self._read(scope)
        count = next(iter(drawn.values())).shape[0]
        hit = jax.random.uniform(key, (count,), q.dtype) < q
        return {n: jnp.where(hit, x, v) for (n, v), x in zip(drawn.items(), fixed, strict=True)}

    def moments(self, scope: Mapping, law: Moments) -> Moments:
        r"""Of the mixture: $\Sigma = (1-q)\,\Sigma_0 + q(1-q)(\mu_0 - v)(\mu_0 - v)'$."""
        fixed, q = self._read(scope)
        corr = jnp.eye(len(law.mean), dtype=q.dtype) if law.corr is None else law.corr
        gap = law.mean - fixed
        spread = law.std[:, None] * corr * law.std[None, :] + q * gap[:, None] * gap[None, :]
        std, corr = normalised((1 - q) * spread)
        return Moments((1 - q) * law.mean + q * fixed, std, None if law.corr is None else corr)

    def _read(self, scope):
        dtype = dtype_of(scope)
        return jnp.stack([jnp.asarray(v(scope), dtype) for v in self.value]), jnp.asarray(self.prob(scope), dtype)
