"""A posterior by the No-U-Turn sampler, on the likelihood and the transforms of an estimator."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynx_runner.design import laws
from dynx_runner.estimation import adapter, inference, search
from dynx_runner.estimation.free import Free
from dynx_runner.estimation.posterior import Posterior
from dynx_runner.estimation.task import FEW, criterion

Vector = Float[Array, " coordinates"]


@dataclass(frozen=True)
class _Target:
    """The logarithm of a posterior over real numbers; static.

    **Attributes:** `terms`: of the likelihood; `free`; `priors`: (path, law), a law of every coordinate or a function of the
    whole value.
    """

    terms: Callable
    free: Free
    priors: tuple[tuple[str, Any], ...]

    def __call__(self, circuit, inputs, weights, x: Vector) -> Float[Array, ""]:
        """Likelihood, priors, and the change of variables; minus infinity where the circuit cannot be solved."""
        z = self.free.inside(x)
        known = dict(self.priors)
        found = -criterion(self.terms(self.free.put(z, circuit), inputs), weights)
        found += jnp.linalg.slogdet(jax.jacfwd(self.free.inside)(x))[1]
        for path, transform, part in self.free.parts(z):
            if path in known:
                value = transform.fill(part, adapter.values(circuit)[path])
                found += _log_prior(known[path], part, value)
        return jnp.where(jnp.isfinite(found), found, -jnp.inf)


def _log_prior(law, part: Vector, value):
    """Of one parameter, but for a constant."""
    if not isinstance(law, laws.AbstractPrior):
        return jnp.sum(law(value))
    inside = jnp.all((part >= law.low) & (part <= law.high))
    safe = jnp.clip(part, law.low, law.high)
    return jnp.where(inside, jnp.sum(_log_law(law, safe)), -jnp.inf)


def _log_law(law, x: Vector) -> Vector:
    match law:
        case laws.NormalPrior():
            return -0.5 * ((x - law.mean) / law.sd) ** 2
        case laws.LogNormalPrior():
            log = jnp.log(x)
            return -0.5 * ((log - np.log(law.median)) / law.sd) ** 2 - log
        case laws.BetaPrior():
            share = (x - law.low) / (law.high - law.low)
            return (law.a - 1) * jnp.log(share) + (law.b - 1) * jnp.log1p(-share)
        case _:
            return jnp.zeros_like(x)


def read_priors(free: Free, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Laws by path, checked; `ValueError` for what is not free, and for laws without a density that JAX knows."""
    known = (laws.UniformPrior, laws.NormalPrior, laws.LogNormalPrior, laws.BetaPrior)
    for path, law in given.items():
        if path not in free.paths:
            raise ValueError(f"priors: `{path}` is not free; free are {', '.join(free.paths)}")
        if not isinstance(law, known) and not (callable(law) and not isinstance(law, (type, laws.AbstractPrior))):
            names = ", ".join(one.__name__ for one in known)
            raise ValueError(f"priors: `{path}` takes {names}, or a JAX function of its value to the log of a density; "
                             f"found {law!r:.80}")  # fmt: skip
    return tuple(given.items())


def sampled(
    estimator, key: Any, priors: Mapping[str, Any] | None, start: Any, chains: int, draws: int, warmup: int
) -> Posterior:
    """Draws of all chains, one after the other by one program.

    Chains begin around the start, as far apart as the curvature there says that the posterior is wide, and move in its units.
    """
    try:
        import blackjax  # noqa: F401 - said before anything is computed.
    except ImportError:
        raise ImportError('sample needs blackjax: pip install "dynx[bayes]"') from None
    if chains < 2 or draws < 4:
        raise ValueError(f"sample: chains = {chains} and draws = {draws}; two chains or more of four draws or more tell R-hat")
    task = estimator.task
    target = _Target(task.terms, task.free, read_priors(task.free, priors or {}))
    z = search.begin(task, start, 1, None)[0]
    estimator.check_start(z)
    still = inference.unmoved(task, z)
    if set(still) - set(priors or {}):
        raise ValueError(f"nothing that is observed depends on {', '.join(still)}; fix it, observe more, or give it a prior")
    x, root = np.asarray(task.free.real(jnp.asarray(z))), _root(task, z)
    common = (target, task.circuit, task.inputs, task.weights, jnp.asarray(x), jnp.asarray(root))
    found = [jax.device_get(_chain(*common, k, draws, warmup)) for k in jax.random.split(key, chains)]
    reals, density, divergent, acceptance, steps = (np.stack(parts) for parts in zip(*found, strict=True))
    z, filled = jax.device_get(_read(task.free, task.circuit, jnp.asarray(reals)))
    return Posterior(estimator, filled, z, density, divergent, acceptance, steps)


def _root(task, z) -> np.ndarray:
    """A factor of the inverse of the curvature over real numbers, at least that of a unit normal law."""
    curve = np.asarray(task.of_reals().point(np.asarray(task.free.real(jnp.asarray(z)))).curve)
    return np.linalg.inv(np.linalg.cholesky(curve + np.eye(len(z)))).T


@functools.partial(jax.jit, static_argnames=("target", "draws", "warmup"))
def _chain(target, circuit, inputs, weights, center, root, key, draws, warmup):
    """One chain: real numbers, log density, and what is said of every trajectory."""
    import blackjax

    density = _with_slopes(lambda u: target(circuit, inputs, weights, center + root @ u))
    first, adapt, walk = jax.random.split(key, 3)
    begin = jax.random.normal(first, center.shape, center.dtype)
    # A start that cannot be is no start.
    begin = jnp.where(jnp.isfinite(density(begin)), begin, jnp.zeros_like(begin))
    sampler: Any = blackjax
    (state, tuned), _ = sampler.window_adaptation(sampler.nuts, density).run(adapt, begin, num_steps=warmup)
    kernel = sampler.nuts(density, **tuned).step

    def step(state, key):
        state, info = kernel(key, state)
        told = (info.is_divergent, info.acceptance_rate, info.num_integration_steps)
        return state, (center + root @ state.position, state.logdensity, *told)

    return jax.lax.scan(step, state, jax.random.split(walk, draws))[1]


def _with_slopes(function):
    """A function whose gradient goes forward where it has few arguments, since back through a solve costs more to compile."""

    @jax.custom_vjp
    def found(u):
        return function(u)

    def both(u):
        twice = lambda u: (lambda x: (x, x))(function(u))
        slope, value = jax.jacfwd(twice, has_aux=True)(u)
        return value, jnp.where(jnp.isfinite(slope), slope, 0.0)

    def chosen(u):
        return both(u) if u.shape[0] <= FEW else jax.value_and_grad(function)(u)

    found.defvjp(chosen, lambda slope, up: (up * slope,))
    return found


@functools.partial(jax.jit, static_argnames="free")
def _read(free, circuit, reals):
    """Coordinates and parameters of real numbers, two leading axes."""
    z = jax.vmap(jax.vmap(free.inside))(reals)
    return z, jax.vmap(jax.vmap(lambda z: free.fill(z, circuit)))(z)
