"""Oracles of savers who work, fear, doubt and hold stocks, in NumPy; nothing of DynX is imported here."""

import numpy as np
from scipy.interpolate import PchipInterpolator
from searches import eaten, fine, lognormal, search_all


def hours(p):
    """1/c = beta E[...] by bisection, with n = max(0, 1 - chi c/w) from the condition of hours; all is spent at the bound (MaCurdy 1981)."""
    y, weights = lognormal(0.3, p["sigma"], 5)
    grid, rows = fine(1e-6, 60.0, 2_000), []
    later = lambda a: p["bequest"] / (a + 1)
    for t in range(19, -1, -1):
        w = p["wage"][t]
        work = lambda c, w=w: np.clip(1 - p["chi"] * c / w, 0.0, p["most"])

        def eat(m, work=work, w=w, later=later):
            low, high = np.zeros_like(m), m + p["most"] * w
            for _ in range(55):
                c = 0.5 * (low + high)
                left = m + w * work(c) - c
                more = (left > 0) & (1 / c > p["beta"] * later(np.maximum(left, 0.0)))
                low, high = np.where(more, c, low), np.where(more, high, c)
            return low

        if t in (19, 12, 0):
            m = np.array([0.2, 1.0, 4.0, 20.0])
            rows += [(t, "WORK.c", {"m": x}, c) for x, c in zip(m, eat(m), strict=True)]
            rows += [(t, "WORK.n", {"m": x}, n) for x, n in zip(m, work(eat(m)), strict=True)]
            assert work(eat(m))[0] > 0 == work(eat(m))[-1], "the rich do not work"
        policy = eat(grid)
        later = lambda a, policy=policy: p["R"] * (1 / np.interp(p["R"] * a[..., None] + y, grid, policy)) @ weights
    return rows


def buffer(p):
    """The endogenous grid method, in thirty lines of NumPy, until nothing moves (Carroll 2006)."""
    (z, wz), (y, wy) = lognormal(1.0, p["sigma_p"], 5), lognormal(1.0, p["sigma_t"], 5)
    y, wy = np.append(y, p["relief"]), np.append((1 - p["jobless"]) * wy, p["jobless"])
    z, y, weights = np.repeat(p["G"] * z, 6), np.tile(y, 5), np.outer(wz, wy).ravel()
    a, gamma = fine(0.0, 60.0, 1_500), p["gamma"]
    cash, m, c = p["R"] / z * a[:, None] + y, np.array([0.0, 60.0]), np.array([0.0, 60.0])
    for _ in range(150):
        slope = p["beta"] * p["R"] * (z * np.interp(cash, m, c)) ** -gamma @ weights
        eat = slope ** (-1 / gamma)
        m, c = np.append(0.0, a + eat), np.append(0.0, eat)
    return [(0, "LIVE.c", {"m": x}, float(np.interp(x, m, c))) for x in (0.1, 0.5, 0.9, 1.2, 2.0, 5.0, 15.0)]


def ambiguity(p):
    """Each year by bisection; before it, V becomes -theta log E exp(-V/theta) over the laws, and slopes are weighed by exp(-V/theta)."""
    (y, weights), laws = lognormal(1.0, p["sigma"], 5), np.array([1 - p["belief"], p["belief"]])
    lost, grid, rows = np.array([1.0, 1 - p["worse"]]), fine(1e-6, 40.0, 2_000), []
    worth, slope = lambda a: np.log(a + 1), lambda a: 1 / (a + 1)
    for t in (9, 8, 7):
        m = np.array([0.4, 0.8, 1.5, 4.0])
        eat = lambda m, slope=slope: eaten(m, lambda c: 1 / c, lambda a: p["beta"] * slope(a))
        value = lambda m, worth=worth, eat=eat: np.log(eat(m)) + p["beta"] * worth(m - eat(m))
        rows += [(t, "LIVE.c", {"m": x}, c) for x, c in zip(m, eat(m), strict=True)]
        rows += [(t, "LIVE.value", {"m": x}, v) for x, v in zip(m, value(m), strict=True)]
        policy, level = eat(grid), value(grid)

        def after(a, policy=policy, level=level):
            cash = p["R"] * a[..., None, None] + lost[:, None] * y
            known = np.interp(cash, grid, level) @ weights
            tilt = laws * np.exp(-known / p["theta"])
            return tilt, p["R"] * (1 / np.interp(cash, grid, policy)) @ weights

        worth = lambda a, after=after: -p["theta"] * np.log(after(a)[0].sum(axis=-1))
        slope = lambda a, after=after: np.sum(np.prod(after(a), axis=0), axis=-1) / after(a)[0].sum(axis=-1)
    return rows


def participation(p):
    """The last three years by search: what is eaten, what share of the rest is at risk, and whether the cost is paid."""
    (r, wr), (y, wy) = lognormal(p["mean"], p["sigma_r"], 5), lognormal(1.0, p["sigma_y"], 3)
    gamma, cost, grid, rows = p["gamma"], p["cost"], fine(0.0, 30.0, 1_200), []
    u, certain = lambda c: c ** (1 - gamma) / (1 - gamma), lambda v: ((1 - gamma) * v) ** (1 / (1 - gamma))
    cash, m, level = (
        grid + 0.3,
        np.array([0.5, 0.9, 1.4, 2.2, 4.0, 9.0]),
        u,
    )  # In the last year all is eaten, and no cost is paid.

    def smooth(values):
        """What is worth as much for sure is nearly a line in wealth."""
        line = PchipInterpolator(grid, certain(values))
        return lambda a: np.where(a >= 0, p["beta"] * u(line(np.maximum(a, 0.0))), -np.inf)

    def eat(m, onward):
        return search_all(lambda c: u(c) + onward(m.reshape(-1, 1) - c), 0 * m, m)

    for t in (8, 7):

        def ahead(s, level=level):
            after = (p["safe"] + (r - p["safe"]) * s[..., None])[..., None] * grid[:, None, None, None] + y
            return level(after) @ wy @ wr

        risky, share = search_all(ahead, 0 * grid, 1 + 0 * grid, looks=20)
        inside, outside = smooth(risky), smooth(ahead(0 * grid[:, None])[:, 0])
        (v_in, c_in), (v_out, c_out) = eat(m - cost, inside), eat(m, outside)
        held = np.interp(m - cost - c_in, grid, share)
        for k, x in enumerate(m):
            rows += [(t, "OUT.c", {"m_out": x}, c_out[k]), (t, "IN.c", {"m_in": x - cost}, c_in[k])]
            rows += [
                (t, "MARKET.inside", {"m": x}, float(v_in[k] > v_out[k])),
                (t, "MARKET.value", {"m": x}, max(v_in[k], v_out[k])),
            ]
            rows += [(t, "IN.share", {"m_in": x - cost}, held[k])] if k > 2 else []
        best = PchipInterpolator(cash, certain(np.maximum(eat(cash - cost, inside)[0], eat(cash, outside)[0])))
        level = lambda m, best=best: u(best(m))
    assert 0 < np.sum(v_in > v_out) < m.size, "the poor keep away, the rich do not"
    return rows
