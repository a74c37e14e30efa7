"""The API page: docstrings, which are Markdown, put into the page as Markdown.

A comment `<!-- api stagecraft -->` stands for all public names of a package, `<!-- api stagecraft.board.draw: svg -->` for
some names of a module that its package does not hand on itself.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MARK = re.compile(r"^<!-- api ([\w.]+)(?:: ([\w ]+))? -->$", flags=re.M)
SHOWN = ("__call__", "__getitem__", "__len__")


def insert(app: Any, docname: str, source: list[str]) -> None:
    """Replace every mark of a page by the descriptions of what it names."""
    del app, docname  # Sphinx hands over more than is needed.
    source[0] = MARK.sub(lambda match: "\n\n".join(described(match[1], match[2])), source[0])


def described(module: str, names: str | None = None) -> Iterator[str]:
    """The Markdown of each name: functions first, then classes."""
    room = importlib.import_module(module)
    found = public(room) if names is None else {name: getattr(room, name) for name in names.split()}
    for kind in (inspect.isfunction, inspect.isclass):
        yield from (one(f"{module}.{name}", thing) for name, thing in found.items() if kind(thing))


def public(package: ModuleType) -> dict[str, Any]:
    """The functions and classes that a package hands on, by name."""
    own = lambda thing: getattr(thing, "__module__", "").split(".")[0] == package.__name__
    kinds = lambda thing: inspect.isfunction(thing) or inspect.isclass(thing)
    return {name: thing for name, thing in vars(package).items() if name[0] != "_" and kinds(thing) and own(thing)}


def one(path: str, thing: Any) -> str:
    """A function, or a class with its methods, in the directives of Sphinx's Python domain, which link the source."""
    module, _, name = path.rpartition(".")
    if inspect.isfunction(thing):
        return f"````{{py:function}} {name}{signature(thing)}\n:module: {module}\n\n{text(thing)}\n````"
    kind = "exception" if issubclass(thing, Exception) else "class"
    made = None if kind == "exception" else constructor(thing)
    head, more = ("", "") if made is None else (signature(made, bound=True), text(made))
    body = "\n\n".join([text(thing), more, *(member(name, m) for name, m in members(thing))])
    return f"`````{{py:{kind}}} {name}{head}\n:module: {module}\n\n{body}\n`````"


def constructor(cls: type) -> Any:
    """The `__init__` that a class writes itself, `None` where its arguments are its fields."""
    made = vars(cls).get("__init__")
    made = inspect.unwrap(made) if inspect.isfunction(made) else None
    return made if made is not None and made.__code__.co_filename == inspect.getsourcefile(cls) else None


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The methods and properties that a class defines itself, public and with a docstring."""
    for name, thing in vars(cls).items():
        thing = getattr(thing, "__func__", thing)
        if not isinstance(thing, property):
            thing = getattr(thing, "method", thing)
        known = isinstance(thing, property) or inspect.isfunction(thing)
        if known and (name[0] != "_" or name in SHOWN) and thing.__doc__:
            yield name, thing


def member(name: str, thing: Any) -> str:
    """One method or property inside its class."""
    if isinstance(thing, property):
        return f"````{{py:property}} {name}\n{text(thing)}\n````"
    return f"````{{py:method}} {name}{signature(inspect.unwrap(thing), bound=True)}\n{text(thing)}\n````"


def signature(function: Any, *, bound: bool = False) -> str:
    """The arguments with their defaults and without their types, which the docstring tells in words."""
    arguments = list(inspect.signature(function).parameters.values())[int(bound) :]
    return str(inspect.Signature([a.replace(annotation=inspect.Parameter.empty) for a in arguments]))


def text(thing: Any) -> str:
    """The docstring, with `Raises` set off as the other headings are."""
    return re.sub(r"(^|(?<=\. ))Raises (?=`)", "**Raises:** ", inspect.getdoc(thing) or "", flags=re.M)
