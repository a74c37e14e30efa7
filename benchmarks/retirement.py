"""What the retirement model costs, cold and warm, beside an exact run-sweep DC-EGM written by hand in Numba.

python benchmarks/retirement.py        (the Numba rows need numba, in an environment of its own)
"""

import importlib.util
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from timing import seconds

import stagecraft as sc

TEXT = (Path(__file__).parents[1] / "examples" / "ret_choice" / "ret_choice.yml").read_text()
CASH = np.linspace(5.0, 500.0, 800)


def text(points: int, periods: int, interp: str) -> str:
    """The example at another size."""
    found = re.sub(r"\bn: \d+", f"n: {points}", re.sub(r"horizon: \d+", f"horizon: {periods}", TEXT))
    return re.sub(r"(  WORK: &\w+\n)", rf"\1    methods: {{interp: {interp}}}\n", found)


# The yardstick, in Numba: scalar loops, sorted queries, the exact envelope of the polyline, the constrained branch as it is.


def follow(knots, control, value, count, corner, behind, query, i):
    """Consumption and value of a worker or retiree at a query not below the last one; the cell is carried along."""
    if query <= corner:
        return query, np.log(query) + behind, i
    while i < count - 2 and knots[i + 1] <= query:
        i += 1
    share = (query - knots[i]) / (knots[i + 1] - knots[i])
    return control[i] + share * (control[i + 1] - control[i]), value[i] + share * (value[i + 1] - value[i]), i


def invert(post, slope, worth, beta, m, c, v):
    """The Euler equation at every post-state."""
    folded = False
    for i in range(post.size):
        c[i] = 1.0 / (beta * slope[i])
        m[i] = post[i] + c[i]
        v[i] = np.log(c[i]) + beta * worth[i]
        folded |= i > 0 and m[i] <= m[i - 1]
    return folded


def cross(m, v, behind, a, b, right):
    """Where segment b overtakes segment a (-1 for the constrained branch) below `right`."""
    slope = (v[b + 1] - v[b]) / (m[b + 1] - m[b])
    if a >= 0:
        left = (v[a + 1] - v[a]) / (m[a + 1] - m[a])
        return (v[b] - slope * m[b] - v[a] + left * m[a]) / (left - slope)
    place = right
    for _ in range(50):
        gap = np.log(place) + behind - v[b] - slope * (place - m[b])
        step = gap / (1.0 / place - slope)
        place -= step
        if abs(step) < 1e-14 * place:
            break
    return place


def sweep(m, c, v, behind, knots, control, value):
    """Every rising run walks over the sorted knots in its reach; then the knots kept and the crossings between them."""
    n = m.size
    order = np.argsort(m)
    best, owner = np.full(n, -np.inf), np.full(n, -2)
    k = 0
    while k < n and m[order[k]] <= m[0]:
        best[k], owner[k] = np.log(m[order[k]]) + behind, -1
        k += 1
    s = 0
    while s < n - 1:
        if m[s + 1] <= m[s]:
            s += 1
            continue
        e = s + 1
        while e < n - 1 and m[e + 1] > m[e]:
            e += 1
        reach = np.inf if e == n - 1 else 2 * m[e] - m[e - 1]
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            if m[order[middle]] < m[s]:
                low = middle + 1
            else:
                high = middle
        i, k = s, low
        while k < n and m[order[k]] <= reach:
            place = m[order[k]]
            while i < e - 1 and m[i + 1] <= place:
                i += 1
            level = v[i] + (v[i + 1] - v[i]) / (m[i + 1] - m[i]) * (place - m[i])
            if level > best[k]:
                best[k], owner[k] = level, i
            k += 1
        s = e
    count, corner, last = 0, m[0], -1
    for k in range(n):
        here = owner[k]
        if here != last and not (here == last + 1):
            place = cross(m, v, behind, last, here, m[order[k]])
            for side in (last, here):
                if side < 0:
                    corner = place
                    continue
                share = (place - m[side]) / (m[side + 1] - m[side])
                knots[count] = place
                control[count] = c[side] + share * (c[side + 1] - c[side])
                value[count] = v[side] + share * (v[side + 1] - v[side])
                count += 1
        if here >= 0 and (here == order[k] or here == order[k] - 1):
            knots[count], control[count], value[count] = m[order[k]], c[order[k]], v[order[k]]
            count += 1
        last = here
    return count, corner


def induct(periods, post, beta, r, w, delta, scale, knots, control, value, count, corner, behind, retired, eaten, worth):
    """All periods backward: workers on `knots`, retirees on `retired`; the last period eats everything."""
    n, R = post.size, 1.0 + r
    m, c, v, slope, level = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    corner[periods - 1], behind[periods - 1], count[periods - 1] = np.inf, 0.0, 2
    bound = np.inf
    for t in range(periods - 2, -1, -1):
        i = j = 0
        for k in range(n):
            query = R * post[k]
            eats, works, i = follow(
                knots[t + 1], control[t + 1], value[t + 1], count[t + 1], corner[t + 1], behind[t + 1], query + w, i
            )
            works -= delta
            if k == 0:
                slope[k], level[k] = R / eats, works
                continue
            dines, rests, j = follow(retired[t + 1], eaten[t + 1], worth[t + 1], n, bound, 0.0, query, j)
            gap = works - rests
            if scale > 0:
                chance = 1.0 / (1.0 + np.exp(-gap / scale))
                level[k] = max(works, rests) + scale * np.log1p(np.exp(-abs(gap) / scale))
            else:
                chance = 1.0 if gap >= 0 else 0.0
                level[k] = max(works, rests)
            slope[k] = R * (chance / eats + (1.0 - chance) / dines)
        folded = invert(post, slope, level, beta, m, c, v)
        behind[t] = beta * level[0]
        if folded:
            count[t], corner[t] = sweep(m, c, v, behind[t], knots[t], control[t], value[t])
        else:
            knots[t, :n], control[t, :n], value[t, :n], count[t], corner[t] = m, c, v, n, m[0]
        j = 0
        for k in range(1, n):
            dines, rests, j = follow(retired[t + 1], eaten[t + 1], worth[t + 1], n, bound, 0.0, R * post[k], j)
            eaten[t, k] = dines / (beta * R)
            retired[t, k] = post[k] + eaten[t, k]
            worth[t, k] = np.log(eaten[t, k]) + beta * rests
        # Nothing saved is nothing eaten: the line from the origin, and no value there.
        retired[t, 0] = eaten[t, 0] = 0.0
        worth[t, 0] = -1e10
        bound = 0.0


def compiled():
    """The yardstick, compiled."""
    import numba

    scope = {"np": np}
    for function in (follow, invert, cross, sweep, induct):
        scope[function.__name__] = numba.njit(function)
        function.__globals__[function.__name__] = scope[function.__name__]
    return scope["induct"]


def by_hand(program, points, periods, beta, r, w, delta, scale):
    """Run the yardstick."""
    post = 500.0 * np.linspace(0.0, 1.0, points) ** 2
    workers = [np.zeros((periods, 2 * points)) for _ in range(3)]
    rest = np.zeros(periods, np.int64), np.zeros(periods), np.zeros(periods)
    retirees = [np.zeros((periods, points)) for _ in range(3)]
    program(periods, post, beta, r, w, delta, scale, *workers, *rest, *retirees)
    return workers, rest


def row(program, points: int, periods: int, interp: str, scale: float) -> dict:
    """One size, compiled anew: ours beside the yardstick, and how far apart the two solutions are."""
    jax.clear_caches()
    circuit = sc.load(text(points, periods, interp), parameters={"main.sigma_eps": scale})
    given = {name: float(circuit.parameters["main"][name]) for name in ("beta", "r", "w", "delta")}
    value = lambda p: sc.solve(circuit.with_parameters(p))[0]["WORK"].dcsn.sol.value(m=100.0)
    reverse = jax.jit(jax.grad(value))
    solve, gradient = lambda: sc.solve(circuit).stored, lambda: reverse(circuit.parameters)
    hand = lambda: by_hand(program, points, periods, **given, scale=scale) and 0
    cold, cold_gradient = seconds(solve, gradient)
    works = [solve, gradient] if program is None else [solve, gradient, hand]
    warm, warm_gradient, *yardstick = seconds(*works, repeat=40)
    found = {
        "points": points,
        "T": periods,
        "interp": interp,
        "sigma": scale,
        "solve cold [s]": cold,
        "solve [ms]": 1e3 * warm,
        "gradient cold [s]": cold_gradient,
        "gradient / solve": warm_gradient / warm,
    }
    if program is None:
        return found
    apart = gap(sc.solve(circuit), by_hand(program, points, periods, **given, scale=scale))
    return found | {"numba [ms]": 1e3 * yardstick[0], "ours / numba": warm / yardstick[0], "values apart": apart}


def gap(solved, found) -> float:
    """The greatest difference of the two values of a worker in the first period."""
    (knots, _, value), (count, corner, behind) = found
    theirs = np.interp(CASH, knots[0, : count[0]], value[0, : count[0]])
    theirs = np.where(corner[0] >= CASH, np.log(CASH) + behind[0], theirs)
    return float(np.max(np.abs(np.asarray(solved[0]["WORK"].dcsn.sol.value(m=jnp.asarray(CASH))) - theirs)))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    program = compiled() if importlib.util.find_spec("numba") else None
    cases = [(10_000, 20, "auto", 0.05), (10_000, 20, "auto", 0.0), (10_000, 20, "linear", 0.05), (1_000, 20, "auto", 0.05)]
    for case in cases:
        print(pd.Series(row(program, *case), dtype=object).to_string(float_format="{:.3g}".format), "\n", flush=True)
