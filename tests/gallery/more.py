"""Oracles of the second twenty: closed forms, value iteration and backward induction in NumPy; nothing of DynX is imported here."""

import numpy as np
from searches import settled


def engine(p):
    """Rust (1987): a logit of keeping and replacing at every mileage, iterated until nothing moves."""
    s = np.arange(31)
    to = np.minimum(s[:, None] + p["steps"].astype(int), 30)

    def worth(v):
        later = v[to] @ p["drift"]
        return np.stack([-p["theta"] * s + p["beta"] * (v @ law(p, to).T), -p["RC"] + p["beta"] * later[0] + 0 * s])

    def joined(v):
        options = worth(v)
        return options.max(axis=0) + np.log(np.exp(options - options.max(axis=0)).sum(axis=0))

    value = settled(joined, np.zeros(31))
    odds = np.exp(worth(value)[1] - value)
    rows = [(0, "BUS.value", {"s": float(k)}, value[k]) for k in (0, 10, 25)]
    return rows + [(0, "BUS.d[1]", {"s": float(k)}, odds[k]) for k in (0, 10, 25)]


def law(p, to):
    """Where a kept engine is in the next period, by mileage."""
    found = np.zeros((31, 31))
    for column, chance in zip(to.T, p["drift"], strict=True):
        np.add.at(found, (np.arange(31), column), chance)
    return found


def forest(p):
    """Faustmann (1849), with fires: to cut or not at every age, until nothing moves."""
    n = np.arange(61)
    timber = p["size"] * (1 - np.exp(-p["speed"] * n)) ** 3 - p["plant"]

    def worth(v):
        arrival = (1 - p["fire"]) * v + p["fire"] * v[0]
        return np.stack([p["beta"] * arrival[np.minimum(n + 1, 60)], timber + p["beta"] * arrival[1]])

    value = settled(lambda v: worth(v).max(axis=0), np.zeros(61))
    cut = worth(value).argmax(axis=0)
    assert 0 < cut.argmax() < 60, "an age at which trees are cut"
    rows = [(0, "GROVE.value", {"n": float(k)}, value[k]) for k in (0, 10, 30, 60)]
    return rows + [(0, "GROVE.cut", {"n": float(k)}, float(cut[k])) for k in range(20, 40)]


def yaari(p):
    """No income: c is a share of m, and 1/share = 1 + (beta s R^(1-gamma))^(1/gamma)/share of the next year."""
    share, rows = 1.0, []
    for t in range(39, -1, -1):
        if t < 39:
            share = 1 / (1 + (p["beta"] * p["alive"][t] * p["R"] ** (1 - p["gamma"])) ** (1 / p["gamma"]) / share)
        if t in (0, 20, 35, 38):
            rows += [(t, "LIVE.c", {"m": m}, share * m) for m in (1.0, 10.0)]
    return rows


def bandit(p):
    """Gittins (1979), with an end: backward over all pairs of wins and losses, under Laplace's rule."""
    w, lost = np.meshgrid(np.arange(13), np.arange(13), indexing="ij")
    good, up = (w + 1) / (w + lost + 2), np.minimum(np.arange(13) + 1, 12)
    value, rows = np.zeros((13, 13)), []
    for t in range(11, -1, -1):
        risky = good * (1 + p["beta"] * value[up]) + (1 - good) * p["beta"] * value[:, up]
        sure = p["safe"] + p["beta"] * value
        value = np.maximum(risky, sure)
        if t in (0, 4, 8):
            for at in ((0, 0), (0, 1), (1, 1), (2, 1)):
                states = {"w": float(at[0]), "l": float(at[1])}
                rows += [(t, "CHOOSE.value", states, value[at]), (t, "CHOOSE.risky", states, float(risky[at] > sure[at]))]
    return rows


def study(p):
    """Ben-Porath (1967), in years: a logit of school and work, backward over all skills."""
    h = np.arange(13)
    arrival, rows, sigma = np.zeros(13), [], p["sigma_v"]
    for t in range(19, -1, -1):
        work = p["pay"] * np.exp(p["growth"] * h) + p["beta"] * arrival
        school = -p["fee"] + p["beta"] * arrival[np.minimum(h + 1, 12)]
        top = np.maximum(work, school)
        value = top + sigma * np.log(np.exp((work - top) / sigma) + np.exp((school - top) / sigma))
        if t in (0, 5, 12):
            odds = np.exp((school - value) / sigma)
            rows += [(t, "YEAR.value", {"h": float(k)}, value[k]) for k in (0, 6)]
            rows += [(t, "YEAR.d[1]", {"h": float(k)}, odds[k]) for k in (0, 6)]
        arrival = (1 - p["fade"]) * value + p["fade"] * value[np.maximum(h - 1, 0)]
    return rows


def storage(p):
    """Every trade from every stock at every price is tried, until nothing moves."""
    s, q = np.arange(9), np.arange(9)[None, :] - np.arange(9)[:, None]
    price = p["p_vals"][:, None, None] + p["spread"] * (q > 0)
    flow = -price * q - p["wear"] * q**2 - p["rent"] * s[None, None, :]
    worth = lambda v: flow + p["beta"] * (p["Pi"] @ v)[:, None, :]
    value = settled(lambda v: worth(v).max(axis=2), np.zeros((4, 9)))
    trade = worth(value).argmax(axis=2) - s
    at = [(k, n) for k in range(4) for n in (0, 3, 8)]
    rows = [(0, "TRADE.value", {"s": float(n), "p": p["p_vals"][k]}, value[k, n]) for k, n in at]
    return rows + [(0, "TRADE.q", {"s": float(n), "p": p["p_vals"][k]}, float(trade[k, n])) for k, n in at]


def fishery(p):
    """Levhari and Mirman (1980): V = b log(fish) + a constant with b = 1 + alpha beta b', and c = fish/b."""
    rows, weight = [], 1 / p["alpha"]  # What comes after the last season is worth log(x) on arrival, hence b' = 1/alpha.
    for t in range(14, -1, -1):
        weight = 1 + p["alpha"] * p["beta"] * weight
        if t in (0, 7, 13, 14):
            rows += [(t, "LAKE.c", {"fish": x}, x / weight) for x in (0.1, 0.6)]
            rows += [(t, "LAKE.marginal", {"fish": 0.4}, weight / 0.4)]
    return rows


def house_sale(p):
    """Offers are taken where they beat what a week more is worth, backward from the last day."""
    later, rows = 60.0, []
    for t in range(25, -1, -1):
        wait = -p["cost"] + p["beta"] * later
        value = np.maximum(p["p_vals"], wait)
        if t in (0, 15, 23, 25):
            rows += [(t, "OFFER.value", {"none": 0.0, "p": x}, v) for x, v in zip(p["p_vals"], value, strict=True)]
            rows += [(t, "OFFER.sell", {"none": 0.0, "p": x}, float(x > wait)) for x in p["p_vals"]]
        later = value @ p["odds"]
    return rows
