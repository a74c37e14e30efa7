"""What the writer of an unknown name may have meant."""

from collections.abc import Iterable


def advise(name: str, pool: Iterable[object]) -> str:
    """The names nearest to one that is unknown, or else all there are.

    **Arguments:**

    - `name`: what was written.
    - `pool`: what could have been meant.

    **Returns:** the end of a sentence, for a message.
    """
    # heptapod brings sympy, which a runner of hand-written models need not import.
    from heptapod.errors import did_you_mean

    pool = [str(candidate) for candidate in pool]
    return did_you_mean(name, pool) or f"there is {', '.join(f'`{one}`' for one in pool) or 'nothing'}"
