"""Why a method that was asked for cannot solve a stage, and what can."""

_SPELLED = {"choice": "discrete"}


def refusal(stage: str, asked: str, found, controls: tuple[str, ...]) -> tuple[str, str]:
    """The message and the help.

    **Arguments:** `found`: what follows from the equations, with `method`, `reason` and `derived.problem`; `controls`: those
    that are chosen from an interval.
    """
    why, method = _why(asked, controls, found.derived.problem, found.reason), found.method
    instead = "nothing is chosen" if method == "identity" else f"`{_SPELLED.get(method, method)}` follows from the equations"
    other = "; `vfi` solves the stage, too" if method in ("egm", "nested") else ""
    return f"`{asked}` cannot solve stage {stage}: {why}", f"leave it out: {instead}{other}"


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
