"""Definitions that wait for each other."""


def ring_of(waiting) -> list[str]:
    """One cycle among the definitions that wait for each other."""
    walk = [next(iter(waiting))]
    while True:
        step = sorted({str(s) for s in waiting[walk[-1]][1].free_symbols} & set(waiting))[0]
        if step in walk:
            return [*walk[walk.index(step) :], step]
        walk.append(step)
