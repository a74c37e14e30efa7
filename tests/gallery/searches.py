"""Oracles of the models whose last periods are searched backward by hand: NumPy alone, nothing of DynX is imported here."""

import sys
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

sys.path.insert(0, str(Path(__file__).parents[1] / "theory"))
from referee import between, fine, lognormal, logsum, search_all


def crra(c, gamma):
    """Power utility that is zero at one, and its limit at gamma = 1."""
    return np.log(c) if gamma == 1 else (c ** (1 - gamma) - 1) / (1 - gamma)


def settled(update, value):
    """Iterate until nothing moves."""
    for _ in range(20_000):
        value, before = update(value), value
        if np.max(np.abs(value - before)) < 1e-14 * (1 + np.max(np.abs(value))):
            return value
    raise AssertionError("no fixed point")


def eaten(m, marginal, later):
    """The c in (0, m] where `marginal(c)` is `later(m - c)`, by bisection; all of m where that is worth more than the first saving."""
    low, high = np.zeros_like(m), np.asarray(m, float).copy()
    with np.errstate(all="ignore"):
        bound = marginal(high) >= later(np.zeros_like(m))
        for _ in range(55):
            middle = 0.5 * (low + high)
            more = marginal(middle) > later(m - middle)
            low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.where(bound, m, 0.5 * (low + high))


def mccall(p):
    """The reservation wage solves w* = b + beta/(1 - beta) E max(w - w*, 0), by bisection; the value is max(w, w*)/(1 - beta)."""
    beta, w, probs = p["beta"], p["w_vals"], p["w_probs"]
    low, high = 0.0, 2.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        excess = p["benefit"] + beta / (1 - beta) * probs @ np.maximum(w - middle, 0) - middle
        low, high = (middle, high) if excess > 0 else (low, middle)
    rows = [(0, "SEARCH.value", {"w": x}, max(x, low) / (1 - beta)) for x in w]
    return rows + [(0, "SEARCH.accept", {"w": x}, float(x > low)) for x in w]


def quasi_hyperbolic(p):
    """Laibson (1997): the plan solves u'(c) = delta R E u'(c'), the present self u'(c) = beta delta R E u'(c'), with the planned c'."""
    y, w = lognormal(1.0, p["sigma"], 5)
    grid = fine(1e-6, 40.0, 4_000)
    marginal = lambda c: c ** -p["gamma"]
    plan, rows = grid, []
    for t in (28, 27, 26, 25):
        next_plan = plan
        after = lambda a, next_plan=next_plan: (
            p["R"] * (marginal(np.interp(p["R"] * a[..., None] + p["wage"] * y, grid, next_plan)) @ w)
        )
        m = np.array([0.6, 1.5, 4.0, 10.0])
        now = eaten(m, marginal, lambda a: p["beta"] * p["delta"] * after(a))
        planned = eaten(m, marginal, lambda a: p["delta"] * after(a))
        if t in (27, 25):
            rows += [(t, "NOW.c", {"m": x}, c) for x, c in zip(m, now, strict=True)]
            rows += [(t, "PLAN.c", {"m": x}, c) for x, c in zip(m, planned, strict=True)]
        plan = eaten(grid, marginal, lambda a: p["delta"] * after(a))
    return rows


def sophisticated(p):
    """Harris and Laibson (2001): each self is searched, and what its choice is worth to those before it is kept beside it."""
    y, w = lognormal(p["wage"], p["sigma"], 5)
    grid, utility = fine(0.0, 40.0, 3_000), lambda c: crra(c, p["gamma"])
    m, after, rows = np.array([0.4, 1.0, 1.8, 4.0, 12.0]), np.zeros(3_000), []
    for t in (19, 18, 17):
        spline = PchipInterpolator(grid, after)  # V is smooth between its falls, and a line between points is not.
        later = lambda a, spline=spline: np.where(a >= 0, spline(np.maximum(a, 0)), -np.inf)

        def play(x, later=later):
            worth = lambda c: utility(c) + p["beta"] * p["delta"] * later(x.reshape(-1, 1) - c)
            choice = search_all(worth, 0 * x, x)[1]
            return choice, utility(choice) + p["delta"] * later(x - choice)

        choice, value = play(m)
        rows += [(t, "SELF.c", {"m": x}, c) for x, c in zip(m, choice, strict=True)]
        rows += [(t, "SELF.value", {"m": x}, v) for x, v in zip(m, value, strict=True)]
        after = play(p["R"] * grid[:, None] + y)[1] @ w
    return rows


def habit(p):
    """Two last periods, one searched inside the other: consumption moves savings and habit."""
    reward = lambda c, h: crra(c / h ** p["strength"], p["rho"])
    end = lambda a: np.where(a >= 0, p["theta"] * crra(np.maximum(a, 0) + 1, p["rho"]), -np.inf)
    y, w = lognormal(1.0, p["sigma"], 3)
    how = {"looks": 40, "zooms": 5, "starts": 1}

    def last(m, h):
        m, h = (x.reshape(-1, 1) for x in np.broadcast_arrays(m, h))
        return search_all(lambda c: reward(c, h) + p["beta"] * end(m - c), 0 * m[:, 0], m[:, 0], **how)

    m, h = np.array([0.7, 1.2, 2.0, 3.5, 6.0]), np.array([0.3, 0.9, 1.7, 2.4, 1.1])

    def worth(c):
        a, after = np.maximum(m[:, None] - c, 0.0), (1 - p["lam"]) * h[:, None] + p["lam"] * c
        onward = sum(k * last(p["R"] * a + x, after)[0].reshape(c.shape) for x, k in zip(y, w, strict=True))
        return reward(c, h[:, None]) + p["beta"] * onward

    rows = []
    for t, (value, _) in ((7, last(m, h)), (6, search_all(worth, 0 * m, m, **how))):
        rows += [(t, "CONS.value", {"m": x, "h": z}, v) for x, z, v in zip(m, h, value, strict=True)]
    return rows


def health(p):
    """From 88 on pensions are safe, so each year is one Euler equation for the well and one for the sick, solved by bisection."""
    gamma, grid, rows = p["gamma"], fine(1e-6, 80.0, 3_000), []
    marginal = lambda c: c**-gamma
    # What a unit saved is worth next year to those who were well, and to those who were sick.
    onward = {h: lambda a: p["theta"] * (a + p["a_0"]) ** -gamma for h in (1, 0)}
    for t in range(74, 62, -1):
        dies = {1: p["mort"][t], 0: p["mort"][t] * (1 + p["excess"])}
        left = lambda a: p["theta"] * (a + p["a_0"]) ** -gamma
        good = {1: 1.0, 0: 1 - p["eta"]}
        policy = {}
        for h, name in ((1, "WELL"), (0, "SICK")):
            later = lambda a, h=h: p["beta"] * ((1 - dies[h]) * onward[h](a) + dies[h] * left(a))
            own = lambda c, h=h: good[h] * marginal(c)
            if t in (74, 72, 63):
                m = np.array([0.6, 2.0, 6.0, 20.0])
                rows += [(t, f"{name}.c", {"m": x}, c) for x, c in zip(m, eaten(m, own, later), strict=True)]
            policy[h] = eaten(grid, own, later)
        income = {1: p["earn"][t], 0: p["earn"][t] * (1 - p["loss"] * p["work"][t]) - p["med"]}
        heal = {1: 1 - p["p_sick"][t], 0: p["p_heal"][t]}

        def worth(a, was, policy=policy, income=income, heal=heal):
            of = lambda h: good[h] * marginal(np.interp(p["R"] * a + income[h], grid, policy[h]))
            return p["R"] * (heal[was] * of(1) + (1 - heal[was]) * of(0))

        onward = {h: lambda a, h=h, worth=worth: worth(a, h) for h in (1, 0)}
    return rows


def durable(p):
    """The last period of three stages by search: what to eat with every stock, which stock to buy, and whether to sell."""
    gamma, alpha = p["gamma"], p["alpha"]

    def consume(m, d):
        u = lambda c: crra(c**alpha * (d[..., None] + p["d_0"]) ** (1 - alpha), gamma)
        left = lambda a: p["R"] * a + (1 - p["tau"]) * (1 - p["delta"]) * d[..., None] + p["b_0"]
        worth = lambda c: u(c) + p["beta"] * p["theta"] * crra(left(m[..., None] - c), gamma)
        return search_all(worth, 0 * m, m)

    m, d = np.array([0.8, 2.0, 5.0, 9.0]), np.array([0.375, 1.5, 0.375, 3.375])
    value, c = consume(m, d)
    rows = [(39, "CONS.c", {"m": x, "d": z}, v) for x, z, v in zip(m, d, c, strict=True)]
    rows += [(39, "CONS.value", {"m": x, "d": z}, v) for x, z, v in zip(m, d, value, strict=True)]
    cash = m + (1 - p["tau"]) * d
    new = [consume(np.maximum(cash - k, 1e-12), k + 0 * m)[0] for k in p["d_vals"]]
    sell = np.max([np.where(cash > k, v, -np.inf) for k, v in zip(p["d_vals"], new, strict=True)], axis=0)
    adjust, odds = logsum(np.stack([value, sell]), float(p["sigma_v"]))
    rows += [(39, "ADJ.value", {"m": x, "d": z}, v) for x, z, v in zip(m, d, adjust, strict=True)]
    return rows + [(39, "ADJ.sell", {"m": x, "d": z}, v) for x, z, v in zip(m, d, odds[1], strict=True)]


def movers(p, nodes, points):
    """What cash in a house is worth to who may move, and the odds of every new one, and what follows in the last years.

    **Arguments:** `nodes` of income; `points` of savings.

    **Returns:** `move(m, H, onward)`, and of every house what is saved is worth in the last year and in the one before.
    """
    houses, (y, w) = p["H_vals"], lognormal(1.0, float(p["sigma_y"]), nodes)
    cash = lambda e, H: p["R"] * (e - p["ltv"] * H)

    def move(m, H, onward):
        found = []
        for k, new in enumerate(houses):
            x = m + H - (1 + p["upkeep"] - p["ltv"]) * new - p["tau"] * H * (new != H)
            eat = lambda c, x=x, k=k: p["alpha"] * np.log(c) + p["beta"] * onward[k](x[:, None] - c)
            found.append(search_all(eat, 0 * x, x)[0] + (1 - p["alpha"]) * np.log(new + p["h_0"]))
        return logsum(np.stack(found), float(p["sigma_v"]))

    end = lambda H: lambda e: np.where(e >= 0, p["theta"] * np.log(cash(e, H) + (1 - p["tau"]) * H + p["b_0"]), -np.inf)
    grid, last = fine(0, 14, points), [end(H) for H in houses]
    after = [sum(k * move(cash(grid, H) + z, H, last)[0] for z, k in zip(y, w, strict=True)) for H in houses]
    return move, last, [between(grid, values) for values in after]


def house(p):
    """The last two years by search: every house is tried, and every amount looked at; the house is a logit."""
    (move, last, after), m, rows = movers(p, 5, 500), np.array([0.6, 1.9, 6.0]), []
    for t, onward in ((29, last), (28, after)):
        for H in p["H_vals"][:3]:
            value, odds = move(m - p["ltv"] * H, H, onward)
            rows += [(t, "MOVE.value", {"m": x - p["ltv"] * H, "H": H}, v) for x, v in zip(m, value, strict=True)]
            rows += [(t, "MOVE.H_new[1]", {"m": x - p["ltv"] * H, "H": H}, v) for x, v in zip(m, odds[1], strict=True)]
    return rows


def job_search(p):
    """The last two years of work by search over what is kept; whether an offer is taken is a logit."""
    wages, sigma, rows = p["w_vals"], float(p["sigma_v"]), []
    grid = fine(0.0, 30.0, 1_200)
    end = lambda a: np.where(a >= 0, p["years"] * np.log(p["R"] * np.maximum(a, 0) / p["years"] + p["pension"]), -np.inf)
    after_work, after_none = [end] * wages.size, end
    for t in (44, 43):
        eat = lambda m, onward: search_all(lambda c: np.log(c) + p["beta"] * onward(m.reshape(-1, 1) - c), 0 * m, m)
        m = np.array([0.7, 2.0, 8.0])
        rows += [(t, "UNEM.c", {"m": x}, c) for x, c in zip(m, eat(m, after_none)[1], strict=True)]
        for k in (0, 4):
            rows += [(t, "WORK.c", {"m": x, "w": wages[k]}, c) for x, c in zip(m, eat(m, after_work[k])[1], strict=True)]
        none = lambda a, f=after_none: p["zeta"] + eat(p["R"] * a + p["benefit"], f)[0]
        work = lambda a, k, fs=after_work, t=t: eat(p["R"] * a + p["skill"][t] * wages[k], fs[k])[0]
        a = np.array([0.0, 2.0, 10.0])
        for k in (1, 2):
            value, odds = logsum(np.stack([work(a, k), none(a)]), sigma)
            for name, found in (("value", value), ("accept", odds[0])):
                rows += [(t, f"SEARCH.{name}", {"a": x, "w": wages[k], "met": 1.0}, v) for x, v in zip(a, found, strict=True)]
        if t == 44:
            jobs, idle, lose, offer = [work(grid, k) for k in range(5)], none(grid), p["lose"][t], p["offer"][t]
            after_work = [between(grid, (1 - lose) * job + lose * idle) for job in jobs]
            met = sum(q * logsum(np.stack([job, idle]), sigma)[0] for q, job in zip(p["w_probs"], jobs, strict=True))
            # Whoever meets nobody has one alternative, hence no gain from choosing.
            after_none = between(grid, offer * met + (1 - offer) * idle)
    return rows
