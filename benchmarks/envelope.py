"""What refining an upper envelope costs, cold and warm, beside a sweep over runs in Numba (linear values): one table.

python benchmarks/envelope.py        (the last column needs numba, in an environment of its own)
"""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from timing import best

from stagecraft.operators.envelope.envelope import refine


def correspondence(n: int, folds: int, fall: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Cash, value and marginal value from an Euler equation whose consumption falls at a few switches ahead."""
    a = np.linspace(0.0, 10.0, n)
    at = np.random.default_rng(seed).uniform(0.5, 9.5, folds)
    c = 0.3 * a - fall * (a[:, None] > at).sum(axis=1)
    c = c - c.min() + 0.1
    m = a + c
    return m, np.append(0.0, np.cumsum(0.5 * (1 / c[1:] + 1 / c[:-1]) * np.diff(m))), 1 / c


def sweep(m, v):
    """Every run walks over the sorted knots in its reach; then the knots kept and the crossings between them."""
    order = np.argsort(m)
    q = m[order]
    n = q.size
    best, owner = np.full(n, -np.inf), np.full(n, -1)
    s = 0
    while s < n - 1:
        if m[s + 1] <= m[s]:
            s += 1
            continue
        e = s + 1
        while e < n - 1 and m[e + 1] > m[e]:
            e += 1
        reach = np.inf if e == n - 1 else 2 * m[e] - m[e - 1]
        i, k = s, np.searchsorted(q, m[s])
        while k < n and q[k] <= reach:
            while i < e - 1 and m[i + 1] <= q[k]:
                i += 1
            value = v[i] + (v[i + 1] - v[i]) / (m[i + 1] - m[i]) * (q[k] - m[i])
            if value > best[k]:
                best[k], owner[k] = value, i
            k += 1
        s = e
    knots, segments, found = np.empty(2 * n), np.empty(2 * n, np.int64), 0
    for k in range(n):
        if k > 0 and owner[k] - owner[k - 1] not in (0, 1):
            a, b = owner[k - 1], owner[k]
            left, right = (v[a + 1] - v[a]) / (m[a + 1] - m[a]), (v[b + 1] - v[b]) / (m[b + 1] - m[b])
            place = (v[b] - right * m[b] - v[a] + left * m[a]) / (left - right)
            knots[found], knots[found + 1], segments[found], segments[found + 1] = place, place, a, b
            found += 2
        if owner[k] == order[k] or owner[k] == order[k] - 1:
            knots[found], segments[found] = q[k], owner[k]
            found += 1
    return knots[:found], segments[:found]


def row(n: int, folds: int, fall: float, rows: int = 1) -> dict:
    """Time one size, linear and Hermite."""
    m, v, slope = (np.stack(x) for x in zip(*[correspondence(n, folds, fall, s) for s in range(rows)], strict=True))
    one = lambda m, v, d: refine(m, v, d, jnp.ones(m.shape, bool), size=n + n // 8 + 16)
    found = {"knots": f"{rows} x {n}" if rows > 1 else n, "folds": folds, "fall": fall}
    for name, d in (("linear", None), ("hermite", slope)):
        jax.clear_caches()
        args = [None if x is None else jnp.asarray(x if rows > 1 else x[0]) for x in (m, v, d)]
        lowered = jax.jit(one if rows == 1 else jax.vmap(one)).lower(*args)
        found[f"{name} compile [s]"] = best(lambda lowered=lowered: lowered.compile() and 0, 1)
        compiled = lowered.compile()
        found[f"{name} [ms]"] = 1e3 * best(lambda compiled=compiled, args=args: compiled(*args), 30)
        found["crossings"] = int(compiled(*args).crossings.max())
    if importlib.util.find_spec("numba"):
        import numba

        fast = numba.njit(sweep)
        fast(m[0], v[0])
        found["numba sweep [ms]"] = 1e3 * best(lambda: [fast(m[i], v[i]) for i in range(rows)] and 0, 10)
    return found


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    cases = [(500, 5, 0.6), (1000, 5, 0.6), (10_000, 0, 0.0), (10_000, 5, 0.2), (10_000, 5, 0.6), (10_000, 40, 0.1)]
    table = [row(*case) for case in cases] + [row(200, 3, 0.6, rows=1000)]
    print(pd.DataFrame(table).to_string(index=False, float_format="{:.3g}".format))
