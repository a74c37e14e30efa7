"""Declared moments of a model: of distributions on perches, and of panels."""

from typing import Any

import jax.numpy as jnp
import numpy as np


def _chosen(moment, clock) -> np.ndarray:
    """The periods of a moment's ages; `ValueError` where there is none."""
    low, high = moment.ages or (-np.inf, np.inf)
    found = np.flatnonzero((clock >= low) & (clock <= high))
    if not found.size:
        raise ValueError(f"moments: {moment.label}: no period lies there; ages are {clock[0]:g} to {clock[-1]:g}")
    return found


def _home(name: str) -> tuple[str, str]:
    stage, _, variable = name.rpartition(".")
    if not stage:
        raise ValueError(f"moments: write `{name}` with its stage, as CONS.{name}")
    return stage, variable


def _points(moment, pushed, clock, names) -> tuple[list, Any]:
    """Values and weights of all households in the periods of a moment."""
    stage = _home(names[0])[0]
    if any(_home(name)[0] != stage for name in names):
        raise ValueError(f"moments: {moment.label}: {' and '.join(names)} are of two stages, which distributions do not join; "
                         "give `agents`")  # fmt: skip
    values, weights = [[] for _ in names], []
    for t in _chosen(moment, clock):
        there = pushed[int(t)]
        if stage not in there.stages:
            continue
        perches = (there[stage].dcsn, there[stage].arvl, *there[stage].perches[2:])
        wanted = [_home(name)[1] for name in names]
        people = next((p.dist for p in perches if all(n in p.dist.states for n in wanted)), None)
        if people is None:
            known = ", ".join(dict.fromkeys(n for p in perches for n in p.dist.states))
            raise ValueError(
                f"moments: {moment.label}: no perch of stage {stage} has {', '.join(wanted)} together; there are {known}"
            )
        for box, name in zip(values, wanted, strict=True):
            box.append(people.states[name])
        weights.append(people.weights)
    if not weights:
        raise ValueError(f"moments: {moment.label}: stage {stage} is in none of these periods")
    return [jnp.concatenate(x) for x in values], jnp.concatenate(weights)


def of_push(moment, pushed, clock):
    """One moment of a pushed circuit."""
    if moment.kind == "autocovariance":
        raise ValueError(
            f"moments: {moment.label}: a distribution does not know who is who from period to period; give `agents`"
        )
    names = [moment.of, *([moment.beside] if moment.beside else [])]
    values, weights = _points(moment, pushed, clock, names)
    if moment.kind == "quantile":
        stage = _home(moment.of)[0]
        people = next(p.dist for p in pushed[int(_chosen(moment, clock)[0])][stage].perches)
        x = jnp.log(values[0]) if moment.log else values[0]
        return type(people)({"x": x}, weights).quantile("x", moment.q)
    return _told(moment, values, weights)


def _told(moment, values, weights):
    """A moment of weighted values, of those that are there."""
    here = weights > 0
    values = [jnp.where(here, x, 1.0) for x in values]
    x = jnp.log(values[0]) if moment.log else values[0]
    mean = lambda y: jnp.sum(weights * y) / jnp.sum(weights)
    if moment.kind == "share":
        return mean(jnp.where((x >= moment.low) & (x <= moment.high), 1.0, 0.0))
    if moment.kind == "mean":
        return mean(x)
    other = x if moment.kind == "variance" else jnp.log(values[1]) if moment.log else values[1]
    return mean((x - mean(x)) * (other - mean(other)))


def of_panel(moment, panel, clock):
    """One moment of a panel; the derivative is that of the expectation, in probabilities, too."""
    t = _chosen(moment, clock)
    if moment.kind == "autocovariance":
        t = t[t >= moment.lag]
        if not t.size:
            raise ValueError(f"moments: {moment.label}: no period has one {moment.lag} periods before it")
    wanted = [(moment.of, t), *([(moment.beside, t)] if moment.beside else [])]
    wanted += [(moment.of, t - moment.lag)] if moment.kind == "autocovariance" else []
    values = [_variable(moment, panel, name)[at].ravel() for name, at in wanted]
    here = jnp.all(jnp.stack([~jnp.isnan(x) for x in values]), axis=0)
    weights = jnp.where(here, 1.0 if panel.weights is None else panel.weights[t].ravel(), 0.0)
    values = [jnp.where(here, x, 1.0) for x in values]
    if moment.kind == "quantile":
        x = jnp.log(values[0]) if moment.log else values[0]
        x = jnp.where(here, x, jnp.inf)
        order = jnp.argsort(x)
        return jnp.interp(moment.q * jnp.sum(weights), jnp.cumsum(weights[order]) - 0.5 * weights[order], x[order])
    return _told(moment, values, weights)


def _variable(moment, panel, name):
    """A variable of a panel, (periods, agents)."""
    stage, variable = _home(name)
    try:
        return panel[stage][variable]
    except KeyError as error:
        raise ValueError(f"moments: {moment.label}: the panel has no `{name}`; {error.args[0]}") from None
