"""What a push is told of: mass without a choice, mass beyond a grid, and derivatives that are not to be trusted."""

import contextlib
import contextvars
import dataclasses
import functools
import warnings
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import traced
from stagecraft.forward.jumps import REPORT
from stagecraft.programs.unsaid import leave_unsaid

# From these shares on, mass without a choice is an error, and mass beyond a grid a warning.
_INFEASIBLE, _OUTSIDE = 1e-6, 1e-4

# From these on, derivatives of a push are not to be trusted: shares of households, and a relative difference of densities.
DOUBTS = {
    "unseen": (1e-3, "{0:.1%} of the households of period {1} are where the policy may jump, and are not seen to change sides: "
               "it was found by search, no grid runs along the state in which it jumps, or three choices meet in a cell"),
    "steep": (1e-2, "a choice under small taste shocks turns within one cell for {0:.1%} of the households of period {1}; "
              "`refine` the grid, or set their scale to 0"),
    "rough": (0.25, "the densities on both sides of the jumps that households of period {1} meet differ by {0:.0%} of their "
              "sum; `refine` the grid, or let `initial` be smoother"),
}  # fmt: skip


def check(solved, dists):
    """Speak of mass without a choice, and of mass beyond a grid, where numbers are concrete."""
    if traced(dists):
        for x in dists.infeasible.values():
            leave_unsaid(lambda x=x: ~(x <= _INFEASIBLE))
        return
    check_feasible(solved, dists)
    over_types = lambda x: np.asarray(x).sum(0) if solved.types is not None else np.asarray(x)
    for name, x in dists.outside.items():
        x = over_types(x)
        for i, state in enumerate(solved.structure.stage(name).dimensions("arvl")):
            for side, where, fix in (
                (0, "above the last knot", "raise its `max`"),
                (1, "below the first knot", "lower its `min`"),
            ):
                share = x[:, i, side]
                if share.max(initial=0.0) > _OUTSIDE:
                    t = int(share.argmax())
                    owner, perch, grid = solved.structure.homes[name][state]
                    if grid.discrete:
                        where, fix = "on no value of the set", "let the transition land on the set"
                    warnings.warn(
                        f"stage {name}, arrival: {share[t]:.2%} of the households of period {t} lie {where} of the grid of "
                        f"`{state}` (declared at {owner}.{perch}), and were put on the nearest; {fix}",
                        stacklevel=3,
                    )


def check_feasible(solved, dists):
    """Speak of mass without a choice; `ValueError` with the first stage and period."""
    found = []
    for name, x in dists.infeasible.items():
        x = np.asarray(x).sum(0) if solved.types is not None else np.asarray(x)
        bad = np.flatnonzero(~(x <= _INFEASIBLE))
        if bad.size:
            block = solved.structure.block(int(bad[0]))
            found.append((bad[0], block.stages.index(name), name, x[bad[0]]))
    if found:
        t, _, name, share = min(found)
        raise ValueError(
            f"stage {name}: no feasible choice for {share:.2g} of the households in period {t}; give initial states from which "
            "bounds, constraints and `when:` leave room; where the edge of what is feasible lies inside a cell, `refine` it"
        )


def doubts(reports: dict, reasons: Iterable[str] = tuple(DOUBTS)) -> list[str]:
    """Why derivatives of a push are not to be trusted, a line for each stage and reason.

    **Arguments:** `reports`: by stage, an array of periods and the columns of `REPORT`, perhaps with an axis of types before;
    `reasons`: those that count.
    """
    found = []
    for name, report in reports.items():
        report = np.asarray(report).reshape(-1, *np.shape(report)[-2:])
        for reason in reasons:
            most, words = DOUBTS[reason]
            column = report[..., REPORT.index(reason)]
            # Where few households are beside a jump, how rough their density is does not matter.
            size = column * (report[..., REPORT.index("beside")] > 1e-3) if reason == "rough" else column
            worst = size.max(axis=0)
            if worst.size and worst.max() > most:
                t = int(worst.argmax())
                found.append(f"stage {name}: " + words.format(worst[t], t))
    return found


def refinable(reports: dict) -> bool:
    """Whether finer cells would make derivatives better."""
    several = any(np.any(np.asarray(x)[..., REPORT.index("most")] > 1) for x in reports.values())
    return several or bool(doubts(reports, ("steep", "rough")))


_speaking = contextvars.ContextVar("speaking", default=True)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Derivatives that are traced in here hold no warning, as in programs that run where no Python hears it."""
    token = _speaking.set(False)
    try:
        yield
    finally:
        _speaking.reset(token)


def watched(dists):
    """The same; when a derivative is taken, and the compiled program runs, `doubts` are warned of."""
    if not dists.jumps:
        return dists
    return dataclasses.replace(dists, masses=_watched(tuple(dists.jumps), dists.masses, tuple(dists.jumps.values())))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _watched(names, masses, reports):
    del names, reports
    return masses


@_watched.defjvp
def _watched_jvp(names, primals, tangents):
    masses, reports = primals
    if not _speaking.get():
        return masses, tangents[0]
    speak = lambda: jax.debug.callback(functools.partial(_speak_of_jumps, names), *reports)
    # A call of the host takes a tenth as long as a small push; where nothing jumps there is nothing to say.
    jax.lax.cond(functools.reduce(jnp.logical_or, [jnp.any(x > 0) for x in reports]), speak, lambda: None)
    return masses, tangents[0]


def _speak_of_jumps(names, *reports):
    """Warn of derivatives that are not to be trusted."""
    for line in doubts(dict(zip(names, reports, strict=True))):
        warnings.warn(f"{line}; derivatives of this distribution are not to be trusted there", stacklevel=2)
