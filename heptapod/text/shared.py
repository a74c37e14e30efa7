"""What a model declares once for all of its stages: helpers and shocks, handed to the stages that name them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heptapod.errors import Diagnostic, Mark

HELPER = re.compile(r"^\s*([^\W\d]\w*)\s*\(([^()]*)\)\s*$")
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Shared:
    """A document in which every stage holds the helpers and shocks of the model that it names.

    **Attributes:** `document`: as it was written; `data`; `homes`: where what a stage holds is written; `idle`: what no stage
    names.
    """

    document: Any
    data: Any
    homes: Mapping[tuple, tuple] = field(default_factory=dict)
    idle: tuple[tuple, ...] = ()

    @property
    def file(self) -> str:
        """Of the document."""
        return self.document.file

    @property
    def text(self) -> str:
        """As it was written."""
        return self.document.text

    @property
    def found(self) -> tuple[Diagnostic, ...]:
        """What the document had to say."""
        return tuple(getattr(self.document, "found", ()))

    def mark(self, path: tuple, key: bool = False) -> Mark:
        """The place of a value, or of its key; of what is shared where it is written."""
        path = tuple(path)
        for place, home in self.homes.items():
            if path[: len(place)] == place:
                path = (*home, *path[len(place) :])
        return self.document.mark(path, key=key)


def share(document: Any) -> Any:
    """The document with `model: functions:` and `model: shocks:` in the stages that name them; as it is where there are none.

    A stage names a helper where it, its terminal value or a connection from it calls it; it names a shock where its equations
    on the way to the decision, or a state of the decision, have the name of one of its dimensions, or where it lists the shock,
    `shocks: ["income"]`. A stage's own helper or shock of the same name comes first.
    """
    data = document.data
    model = data.get("model") if isinstance(data, Mapping) else None
    groups = {name: _mapping(model, name) for name in ("functions", "shocks")}
    if not any(groups.values()):
        return document
    helpers = {match[1]: text for text in groups["functions"] if (match := HELPER.match(text))}
    homes, stages = {}, _stages(data)
    for path, stage in stages.items():
        name = path[1] if len(path) > 1 else stage.get("name")
        math = dict(_mapping(stage, "math"))
        if not math:
            continue
        math["shocks"] = _with_shocks(stage, math, groups["shocks"], homes, path)
        words = _words([math, stage.get("movers"), _around(model, name)])
        math["functions"] = _with_helpers(math, groups["functions"], helpers, words, homes, path)
        stages[path] = {**stage, "math": {k: v for k, v in math.items() if v is not None}}
    stages = _nodes_at_owners(stages, groups["shocks"])
    named = {("model", g, n) for g, names in groups.items() for n in names if g == "shocks" or HELPER.match(n)}
    return Shared(document, _placed(data, stages), homes, tuple(sorted(named - {*homes.values()})))


def _mapping(node: Any, key: str) -> Mapping:
    found = node.get(key) if isinstance(node, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _stages(data) -> dict[tuple, Mapping]:
    """The stages by their paths."""
    found = {("stages", name): stage for name, stage in _mapping(data, "stages").items()} | {("stage",): data.get("stage")}
    return {path: stage for path, stage in found.items() if isinstance(stage, Mapping)}


def _placed(data, stages):
    """The data with other stages."""
    several = {path[1]: stage for path, stage in stages.items() if len(path) > 1}
    found = {**data}
    if several:
        found["stages"] = {**data["stages"], **several}
    return found | ({"stage": stages[("stage",)]} if ("stage",) in stages else {})


def _around(model, name) -> list:
    """What the model says of a stage: the terminal value, and the connections that leave it."""
    groups = [_mapping(model, "connections").get(k) for k in ("intra_period", "inter_period")]
    links = [link for group in groups if isinstance(group, list) for link in group if isinstance(link, Mapping)]
    return [model.get("terminal"), *[x for x in links if str(x.get("source")).partition(".")[0] == name]]


def _words(node: Any) -> set[str]:
    """All names in the texts of a tree; of a Python function those that it takes and calls."""
    if isinstance(node, Mapping):
        return {word for value in node.values() for word in _words(value)}
    if isinstance(node, list):
        return {word for value in node for word in _words(value)}
    code = getattr(node, "__code__", None)
    if code is not None:
        return {*code.co_names, *code.co_varnames}
    return set(_WORD.findall(node)) if isinstance(node, str) else set()


def _with_helpers(math, functions, helpers, words, homes, path):
    """The functions of a stage, and of the model's helpers those that it calls, and those that these call."""
    own = _mapping(math, "functions")
    named = {match[1] for text in own if (match := HELPER.match(str(text)))}
    wait, found = [n for n in helpers if n in words and n not in named], {}
    while wait:
        name = wait.pop()
        text = helpers[name]
        if text not in found:
            found[text] = functions[text]
            homes[(*path, "math", "functions", text)] = ("model", "functions", text)
            wait += [n for n in helpers if n in _words(functions[text]) and n not in named]
    return {**own, **found} if found else math.get("functions")


def _with_shocks(stage, math, shocks, homes, path):
    """The shocks of a stage, and those of the model that it names."""
    own = math.get("shocks")
    listed = [str(x) for x in own] if isinstance(own, list) else []
    present = _mapping(math, "shocks")
    space = _mapping(math, "state_space")
    arriving, deciding = (_dimensions(space, perch) for perch in ("arvl", "dcsn"))
    drawn = {x for block in present.values() for x in _listed(block)}
    movers = [_mapping(_mapping(stage, "movers"), m).get("functions") for m in ("arvl_to_dcsn", "dcsn_to_arvl")]
    words = deciding | _words([block.get(slot) for block in (_mapping(math, "functions"), *filter(None, movers))
                               for slot in ("g_av", "A")])  # fmt: skip
    found = {}
    for name, block in shocks.items():
        dimensions = _listed(block)
        here = bool(dimensions & words) and not dimensions & (arriving | drawn)
        if name not in present and (name in listed or here):
            found[name] = block
            homes[(*path, "math", "shocks", name)] = ("model", "shocks", name)
    unknown = [x for x in listed if x not in shocks]
    return {**present, **found} if found and not unknown else own


def _dimensions(space, perch) -> set[str]:
    block = _mapping(space, perch)
    return {*_listed(block), *map(str, _mapping(block, "grid"))}


def _listed(block) -> set[str]:
    names = block.get("dimensions") if isinstance(block, Mapping) else None
    return {str(x) for x in names} if isinstance(names, list) else set()


def _nodes_at_owners(stages, shocks) -> dict:
    """`nodes_of: health` in a stage that does not draw it means the first stage that does."""
    owners = {}
    for path, stage in stages.items():
        for name in shocks:
            if name in _mapping(_mapping(stage, "math"), "shocks"):
                owners.setdefault(name, path[1] if len(path) > 1 else stage.get("name"))

    def renamed(node, own):
        if isinstance(node, list):
            return [renamed(x, own) for x in node]
        if not isinstance(node, Mapping):
            return node
        new = {k: renamed(v, own) for k, v in node.items()}
        name = new.get("nodes_of")
        if isinstance(name, str) and name in owners and name not in own:
            new["nodes_of"] = f"{owners[name]}.{name}"
        return new

    return {path: {**s, "math": renamed(s["math"], _mapping(s["math"], "shocks"))} if isinstance(s.get("math"), Mapping) else s
            for path, s in stages.items()}  # fmt: skip
