"""Why a method that was asked for cannot solve a stage, and what can."""

from heptapod.formulas.equation import real

_SPELLED = {"choice": "discrete"}


def refusal(stage: str, asked: str, found, equations) -> tuple[str, str]:
    """The message and the help.

    **Arguments:** `found`: what follows from the `equations` of the stage, with `method`, `reason` and `derived.problem`.
    """
    controls = equations.controls
    why, method = _why(asked, controls, found.derived.problem, found.reason), found.method
    instead = "nothing is chosen" if method == "identity" else f"`{_SPELLED.get(method, method)}` follows from the equations"
    other = "; `vfi` solves the stage, too" if method in ("egm", "nested") else ""
    return f"`{asked}` cannot solve stage {stage}: {why}", f"leave it out: {instead}{other}{apart(equations)}"


def apart(equations) -> str:
    """What else helps where two controls move two post-states; nothing where they do not."""
    (branch, *_), controls = equations.branches, equations.controls
    moved = {c: [post for post, g in branch.g_ve.items() if g.has(real(c))] for c in controls}
    if len(controls) < 2 or len({post for posts in moved.values() for post in posts}) < 2:
        return ""
    first = max(controls, key=lambda c: len(moved[c]))
    others = " and ".join(f"`{c}`" for c in controls if c != first)
    return (
        f"; or choose `{first}` in a stage of its own before that of {others}: then that stage alone is searched, or takes "
        f"`{first}` from a finite set, as examples/gallery/durable.yml does"
    )


def _why(asked, controls, problem, reason) -> str:
    if not controls:
        return "no control of it is chosen from an interval"
    some, are = " and ".join(controls), "is" if len(controls) == 1 else "are"
    if asked == "discrete":
        return f"{some} {are} chosen from an interval, not from a finite set"
    if asked == "egm" and len(controls) > 1:
        what = f"it chooses one control, and here are {some}"
        return what if problem is None else f"{what}; {problem}"
    if asked == "nested" and len(controls) != 2:
        alone = " alone" if len(controls) == 1 else ""
        what = f"it chooses two controls, one after the other, and here {are} {some}{alone}"
        return what if problem is None else f"{what}; and {problem}"
    return problem or reason
