"""What is seen of a circuit: which variables of which stages, and what each of them says; static, read once."""

from collections.abc import Mapping
from dataclasses import dataclass

from dynx_runner.estimation import adapter
from heptapod.errors import did_you_mean


@dataclass(frozen=True)
class Seen:
    """What is seen of one stage.

    **Attributes:**

    - `name`; `columns`: (variable, role) pairs of what is seen, the role one of `arrival`, `shock`, `state`, `option`,
      `control`, `post`, `branch`.
    - `errors`: (variable, kind, path of its standard deviation) of those that are seen with an error.
    - `hidden`: decision states that are not seen, or not always, and take listed values.
    - `computed`: decision states that follow from what is seen of the arrival and the shocks.
    - `decides`: whether anything of the decision is seen, or needed by what is seen afterwards.
    - `arrives`: whether all arrival states are seen; `law`: whether the law of what is drawn is part of the likelihood.
    - `branches`, `nature`: of a branching stage.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    errors: tuple[tuple[str, str, str], ...] = ()
    hidden: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    decides: bool = True
    arrives: bool = False
    law: bool = False
    branches: tuple[str, ...] = ()

    def of(self, *roles: str) -> tuple[str, ...]:
        """The variables of some roles that are seen exactly."""
        noisy = {name for name, *_ in self.errors}
        return tuple(name for name, role in self.columns if role in roles and name not in noisy)

    @property
    def branch_seen(self) -> bool:
        """Whether the branch taken is seen."""
        return bool(self.of("branch"))


def roles(circuit, stage: str) -> dict[str, str]:
    """Every variable of a stage as a panel names it, and what it is there."""
    num, found = circuit.structure.stage(stage), {}
    posts = [name for space, names in num.spaces if space.startswith("cntn") for name in names.dimensions]
    shocks = [name for shock in num.shocks for name in shock.dimensions]
    groups = (
        ("arrival", "arvl", num.dimensions("arvl")),
        ("shock", "shocks", shocks),
        ("state", "dcsn", num.dimensions("dcsn")),
        ("option", "controls", [name for name, _ in num.discrete]),
        ("control", "controls", num.controls),
        ("post", "cntn", dict.fromkeys(posts)),
    )
    for role, perch, names in groups:
        for name in names:
            found[name if name not in found else f"{name}_{perch}"] = role
    return found | ({"branch": "branch"} if num.branching else {})


def state_column(circuit, stage: str, name: str) -> str:
    """What a panel calls a decision state."""
    return name if roles(circuit, stage).get(name) == "state" else f"{name}_dcsn"


def read_seen(circuit, stage: str, names, errors: Mapping, missing: set[str], transitions: bool, chained: bool) -> Seen:
    """What is seen of one stage, checked.

    **Arguments:** `errors`: of the variables of this stage; `missing`: variables that are not seen in some rows; `chained`:
    whether rows tell of consecutive periods.

    **Raises:** `ValueError` for what is not there, and for what would have no likelihood.
    """
    known = roles(circuit, stage)
    for name in (*names, *errors):
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            raise ValueError(f"observe: stage {stage} has no `{name}`; {hint}")
    columns = tuple((name, known[name]) for name in dict.fromkeys((*names, *errors)))
    noisy = tuple((name, *_error(name, given)) for name, given in errors.items())
    seen = Seen(stage, columns, noisy, branches=adapter.branch_names(circuit, stage))
    for name, *_ in noisy:
        if known[name] not in ("state", "control"):
            raise ValueError(
                f"errors: `{name}` of stage {stage} is no decision state or continuous control; only these take one"
            )
    exact = [name for name in seen.of("control") if name not in errors]
    if exact or seen.of("post"):
        name = (*exact, *seen.of("post"))[0]
        raise ValueError(
            f"observe: `{name}` of stage {stage} follows from the state without a doubt, so that it has no density; give it an "
            f'error of measurement, errors={{"{name}": "main.sigma"}}, or leave it out'
        )
    return _completed(circuit, seen, missing, transitions, chained)


def _error(name, given) -> tuple[str, str]:
    """The kind of an error and the path of its standard deviation."""
    kind, path = ("normal", given) if isinstance(given, str) else (tuple(given) if len(given) == 2 else ("", ""))
    if kind not in ("normal", "log"):
        raise ValueError(f'errors: `{name}` takes "main.sigma" (normal, additive) or ("log", "main.sigma"); found {given!r}')
    return kind, path


def _completed(circuit, seen: Seen, missing, transitions, chained) -> Seen:
    """With what follows from what is seen, and what remains hidden."""
    num, stage = circuit.structure.stage(seen.name), seen.name
    arrival, shocks, states = set(seen.of("arrival")), set(seen.of("shock")), set(seen.of("state"))
    arrives = set(num.dimensions("arvl")) <= arrival - missing
    decides = bool(seen.of("option", "branch") or seen.errors or states)
    hidden, computed = [], []
    for name in num.dimensions("dcsn") if decides else ():
        column = state_column(circuit, stage, name)
        if column in states and column not in missing:
            continue
        if column not in states and adapter.depends_on(circuit, stage, name) <= (arrival | shocks) - missing:
            computed.append(name)
        elif adapter.set_of(circuit, stage, name, 0) is not None:
            hidden.append(name)
        else:
            what = "is missing in some rows" if column in states else "is not observed"
            raise ValueError(
                f"observe: `{column}` of stage {stage} {what}, and takes no listed values to sum over; observe it, "
                f"or what it follows from ({', '.join(sorted(adapter.depends_on(circuit, stage, name)))})"
            )
    law = bool(transitions) and (arrives or chained or bool(shocks))
    return Seen(stage, seen.columns, seen.errors, tuple(hidden), tuple(computed), decides, arrives,
                law and _says(circuit, seen, hidden), seen.branches)  # fmt: skip


def _says(circuit, seen: Seen, hidden) -> bool:
    """Whether a law of what is drawn tells anything of what is seen; speaks of what has no density."""
    stage, num = seen.name, circuit.structure.stage(seen.name)
    drawn = {name: shock for shock in num.shocks for name in shock.dimensions}
    watched = set(seen.of("shock"))
    seen_states = [n for n in num.dimensions("dcsn") if state_column(circuit, stage, n) in seen.of("state")]
    used = watched.union(*[adapter.depends_on(circuit, stage, n) for n in seen_states])
    for name, shock in drawn.items():
        if name in used and not adapter.listed(shock) and not adapter.dense(shock):
            raise ValueError(
                f"observe: the density of `{name}` of stage {stage} is not known; give its law {type(shock).__name__} a method "
                "log_density(self, scope, drawn), drawn a dictionary of its dimensions, or set transitions=False"
            )
    by_shock = {name: adapter.depends_on(circuit, stage, name) & set(drawn) for name in num.dimensions("dcsn")}
    says = bool(watched) or bool(hidden)
    for name, given in by_shock.items():
        if state_column(circuit, stage, name) not in seen.of("state") or name in hidden:
            continue
        unseen = given - watched
        says = says or bool(unseen) or adapter.set_of(circuit, stage, name, 0) is not None
        continuous = any(not adapter.listed(drawn[n]) for n in unseen)
        if unseen and not continuous and adapter.set_of(circuit, stage, name, 0) is None:
            raise ValueError(
                f"observe: `{name}` of stage {stage} is continuous, but the draws ({', '.join(sorted(unseen))}) take listed "
                f"values, so that it has no density; observe the draw, give it errors={{...}}, or set transitions=False"
            )
    return says


def inverted_states(circuit, seen: Seen) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The continuous draws that are found from states that are seen, and these states; `ValueError` where not unique."""
    num, watched = circuit.structure.stage(seen.name), set(seen.of("shock"))
    draws = [n for shock in num.shocks if not adapter.listed(shock) for n in shock.dimensions if n not in watched]
    states = [name for name in num.dimensions("dcsn") if state_column(circuit, seen.name, name) in seen.of("state")
              and adapter.depends_on(circuit, seen.name, name) & set(draws)]  # fmt: skip
    used = {n for name in num.dimensions("dcsn") for n in adapter.depends_on(circuit, seen.name, name)} & set(draws)
    used = [n for n in draws if n in used]
    if used and len(states) != len(used):
        raise ValueError(
            f"observe: of stage {seen.name} {', '.join(states) or 'no state'} is seen, from which the draws {', '.join(used)} "
            "cannot be told; observe them, or as many states as there are draws, or set transitions=False"
        )
    return tuple(used), tuple(states)


def errors_by_stage(circuit, observe, errors: Mapping) -> dict[str, dict]:
    """The errors of each stage; `"c"` belongs to the one observed stage that has a `c`."""
    names = [num.name for num in circuit.structure.stages]
    for stage in observe:
        if stage not in names:
            raise ValueError(f"observe: no stage `{stage}`; {did_you_mean(stage, names) or ''} there are {', '.join(names)}")
    found: dict[str, dict] = {stage: {} for stage in observe}
    for name, given in errors.items():
        stage, _, variable = name.rpartition(".")
        homes = [s for s in observe if variable in roles(circuit, s)] if not stage else [stage]
        if len(homes) != 1 or homes[0] not in found:
            raise ValueError(f"errors: `{name}` is in {len(homes)} of the observed stages; write it as STAGE.{variable}")
        found[homes[0]][variable] = given
    return found
