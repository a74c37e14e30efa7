"""What the documentation shows runs, prints what it says, and lists every key and every error that there is."""

import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
import yaml

import heptapod
import stagecraft

matplotlib.use("Agg")
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
LANGUAGE = (DOCS / "language.md").read_text()
FENCE = re.compile(r"^```(\{code-cell\}|\w+)[^\n]*\n(.*?)^```", flags=re.M | re.S)
# Blocks whose entries are replaced one by one when a fragment is put into a model; elsewhere blocks are merged.
ENTRIES = {"parameters", "settings", "definitions", "functions", "controls", "shocks", "grid"}
# Keys whose block is replaced whole.
WHOLE = {"choice", "branches", "types"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of every fenced block; a hidden cell is for the notebook's kernel only."""
    found = FENCE.findall(page.read_text())
    return [(language, text) for language, text in found if not text.startswith(":tags: [remove-cell]")]


def yaml_blocks() -> list[str]:
    return [text for language, text in blocks(DOCS / "language.md") if language == "yaml"]


def is_whole(text: str) -> bool:
    """Whole models say their dialect first."""
    return text.startswith("dialect:")


def file_name(text: str) -> str | None:
    """The file that a block is, where it says so in its first line."""
    match = re.match(r"# file: (\S+)\n", text)
    return match[1] if match else None


def fragments() -> list[tuple[str, str]]:
    """(whole model, fragment) pairs of the language page: a fragment belongs to the last whole model above it."""
    found, whole = [], None
    for text in yaml_blocks():
        if is_whole(text):
            whole = text
        elif file_name(text) is None:
            found.append((whole, text))
    return found


# Pages of cells alone are run by the build of the pages, and not once more.
BUILT = ("choices", "estimation", "panels", "tour")


def name_of(page: Path) -> str:
    """A page as links name it: its path without the ending."""
    return page.relative_to(DOCS).with_suffix("").as_posix()


def timed(page):
    """What compiles much is left to the slow tests: the folders, whose pages have models of their own, and three others."""
    slow = page.parent != DOCS or page.stem in ("distributions", "numerics", "programs")
    return pytest.param(page, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize("page", [timed(page) for page in PAGES if name_of(page) not in BUILT], ids=name_of)
def test_the_python_of_a_page_runs_in_order_and_prints_what_is_shown(page, monkeypatch):
    """A `text` block right after a `python` block is what that block prints."""
    from matplotlib import pyplot as plt

    monkeypatch.chdir(ROOT)
    scope, printed = {}, None
    for language, text in blocks(page):
        if language == "text" and printed is not None:
            assert text.strip() == printed.strip(), page.name
        printed = None
        if language in ("python", "{code-cell}"):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, page.name, "exec"), scope)
            printed = out.getvalue()
    plt.close("all")


def merged(model: dict, fragment: dict, inside: str = "") -> dict:
    """The model with a fragment put in its place."""
    out = dict(model)
    for key, value in fragment.items():
        old = model.get(key)
        deeper = isinstance(value, dict) and isinstance(old, dict) and inside not in ENTRIES and key not in WHOLE
        out[key] = merged(old, value, key) if deeper else value
    return out


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_whole_models_can_be_read_and_have_nothing_to_say(page):
    for language, text in blocks(page):
        if language == "yaml" and is_whole(text):
            assert [str(d) for d in heptapod.check(text) if d.severity != "note"] == []


@pytest.mark.parametrize("number", range(len(fragments())))
def test_fragments_fit_into_the_last_whole_model_above_them(number):
    whole, fragment = fragments()[number]
    model = merged(yaml.safe_load(whole), yaml.safe_load(fragment))
    assert model != yaml.safe_load(whole)
    heptapod.load(yaml.safe_dump(model, sort_keys=False))


def test_files_of_the_page_make_a_folder_that_is_a_model(tmp_path):
    for text in yaml_blocks():
        if name := file_name(text):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    spec = heptapod.load(tmp_path)
    assert list(spec.stages) == ["YOUNG", "OLD"] and spec.diagnostics == ()


def from_docs(module: str):
    """A helper of the documentation's own."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(DOCS))


def test_the_tables_of_the_page_are_those_of_the_checker():
    tables = from_docs("_tables")
    for page in tables.PAGES:
        assert tables.written(page.read_text()) == page.read_text(), "run python docs/_tables.py"
    shown = [(kind, of or None) for kind, of, _ in tables.MARK.findall(LANGUAGE)]
    wanted = [("keys", block) for block in tables.BLOCKS] + [(k, None) for k in ("grids", "grid_types", "shocks", "codes")]
    assert sorted(map(str, shown)) == sorted(map(str, wanted))


def test_the_plan_of_the_page_is_that_of_the_imports():
    layout = from_docs("_layout")
    page = layout.PAGE.read_text()
    assert layout.written(page) == page, "run python docs/_layout.py"
    assert [package for package, _ in layout.MARK.findall(page)] == list(layout.ORDER)
    spec = importlib.util.spec_from_file_location("make", DOCS / "figures" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    for name in ("wings", "cluster"):
        drawn = (DOCS / "figures" / f"{name}.svg").read_text()
        assert drawn == getattr(make, name)().svg(), f"run python docs/figures/make.py {name}"


def test_files_and_folders_named_on_the_page_of_the_layout_are_there():
    named = re.findall(
        r"`((?:heptapod|stagecraft|dynx_runner|tests|docs|examples|benchmarks)/[\w/.]*)`", (DOCS / "layout.md").read_text()
    )
    assert named and [name for name in named if not (ROOT / name).exists()] == []


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins with a line."""
    text = LANGUAGE.split(head)[1].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines()[2:]]


def test_every_built_in_function_has_its_arguments_on_the_page():
    from heptapod.formulas.builtins import BUILTINS
    from heptapod.parsing.syntax import NUMPY

    calls = dict(re.findall(r"`(\w+)\(([^)]*)\)`", "\n".join(row[0] for row in rows("| function | value |"))))
    assert set(calls) == set(BUILTINS)
    for name, (arity, _) in BUILTINS.items():
        assert ("..." in calls[name]) if arity is None else (calls[name].count(",") + 1 == arity), name
    assert [name for name in NUMPY if f"`np.{name}`" not in LANGUAGE] == []


def test_equations_movers_methods_and_words_are_on_the_page():
    from heptapod.dialect.keys import MOVER_OF, MOVERS
    from heptapod.parsing.kinds import RESERVED
    from heptapod.problem.method import METHODS
    from heptapod.shocks import normal, uniform
    from heptapod.stage.scope import SLOTS

    assert [row[0] for row in rows("| key | from | to | default |")][:-1] == [f"`{slot}`" for slot in SLOTS]
    of = {f"`{mover}`": ", ".join(f"`{s}`" for s, m in MOVER_OF.items() if m == mover) for mover in MOVERS}
    assert {row[0]: row[1] for row in rows("| mover | its equation |")} == of
    found, key = {}, ""
    for first, values, _ in rows("| key | values | meaning |"):
        key = first.strip("`") or key
        found.setdefault(key, []).extend(re.findall(r"`(\w+)`", values))
    assert {k: tuple(v) for k, v in found.items()} == dict(METHODS)
    assert {row[0].strip("`") for row in rows("| `nodes` | rule |")} == {*normal.RULES, *uniform.RULES}
    assert [word for word in RESERVED if f"`{word}`" not in LANGUAGE] == []


def test_older_spellings_are_read_or_refused_as_the_page_says():
    whole = fragments()[-1][0]
    model = yaml.safe_load(whole)
    model["stage"]["math"]["functions"]["Q"] = {"expr": model["stage"]["math"]["functions"]["Q"]}
    model["model"]["connections"]["inter_period"][0]["direction"] = "forward"
    assert [d.code for d in heptapod.check(yaml.safe_dump(model, sort_keys=False))] == ["older", "older"]


def test_every_outcome_is_listed():
    for page in ("concepts", "glossary"):
        text = (DOCS / f"{page}.md").read_text()
        assert [outcome.name for outcome in stagecraft.Outcome if f"`{outcome.name}`" not in text] == []


def test_every_public_name_is_described():
    """The API page takes them from the packages; what it makes of them holds each name and its docstring."""
    api = from_docs("_api")
    page = [(DOCS / "api.md").read_text()]
    api.insert(None, "api", page)
    assert "<!-- api" not in page[0]
    for package in ("heptapod", "stagecraft", "dynx_runner"):
        public = api.public(importlib.import_module(package))
        assert public
        for name, thing in public.items():
            assert f"}} {name}" in page[0] and f":module: {package}\n" in page[0], name
            assert thing.__doc__.splitlines()[0] in page[0], name


@pytest.mark.parametrize("package", ["heptapod", "stagecraft", "dynx_runner"])
def test_public_functions_tell_all_their_arguments_and_what_they_return(package):
    for name, function in from_docs("_api").public(importlib.import_module(package)).items():
        if inspect.isfunction(function):
            told, signature = inspect.getdoc(function) or "", inspect.signature(function)
            assert [a for a in signature.parameters if f"`{a}`" not in told and f"`{a}" not in told] == [], f"{package}.{name}"
            gives = signature.return_annotation not in (None, "None", inspect.Signature.empty)
            assert not gives or "Returns:**" in told, f"{package}.{name}"


# Classes whose methods a user calls, and whose docstrings therefore name every argument.
MET = ("Accuracy", "EulerErrors", "Exported", "Fit", "Info", "MLE", "ModelCircuit", "ModelError", "Panel", "Perch", "Period",
       "Population", "Posterior", "Recorder", "ResultStore", "SMM", "SavedFit", "Stage", "StageByAge", "Statics")  # fmt: skip


def classes_of_the_api():
    """Those that the page of the API describes, and what `circuit.stage` returns."""
    from stagecraft.circuit.ages import StageByAge

    yield StageByAge
    for module, names in from_docs("_api").MARK.findall((DOCS / "api.md").read_text()):
        room = importlib.import_module(module)
        found = from_docs("_api").public(room).values() if not names else [getattr(room, name) for name in names.split()]
        yield from (thing for thing in found if inspect.isclass(thing))


def test_public_methods_say_what_they_do_and_those_that_users_call_name_their_arguments():
    silent, met = [], set()
    for cls in classes_of_the_api():
        for name, thing in vars(cls).items():
            function = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
            if not inspect.isfunction(function) or (name[0] == "_" and name not in from_docs("_api").SHOWN):
                continue
            told, arguments = inspect.getdoc(function) or "", list(inspect.signature(function).parameters)[1:]
            missing = [x for x in arguments if not re.search(rf"`\*{{0,2}}{x}\b", told)] if cls.__name__ in MET else []
            met |= {cls.__name__}
            silent += [f"{cls.__name__}.{name} {missing}"] if missing or not told else []
    assert silent == [] and set(MET) <= met


def test_figures_stand_where_pages_look_for_them():
    for page in PAGES:
        for name in re.findall(r"^:file: (\S+)$", page.read_text(), flags=re.M):
            text = (DOCS / name).read_text()
            assert text.startswith("<svg ") and text.rstrip().endswith("</svg>")
        for name in re.findall(r"^!\[[^\]]+\]\((\S+)\)$", page.read_text(), flags=re.M):
            assert (page.parent / name).read_bytes()[:4] == b"\x89PNG", f"{page.name}: {name}"


def test_every_page_that_teaches_has_a_figure():
    text = (DOCS / "index.md").read_text()
    names = [
        name for group in re.findall(r":caption: (?:Learn|How to|Understand)\n(.*?)```", text, re.S) for name in group.split()
    ]
    pages = [name for name in names if (DOCS / f"{name}.md").exists() and not name.endswith("index")]
    pages += [f"howto/{page.stem}" for page in (DOCS / "howto").glob("*.md") if page.stem != "index"]
    shown = r"^!\[|^:file: figures/|^```\{code-cell\}|^```\{(?:image|figure)\}"
    assert len(pages) > 20
    assert [name for name in pages if not re.search(shown, (DOCS / f"{name}.md").read_text(), re.M)] == []


def test_figures_are_those_of_the_python_above_them():
    figures = from_docs("_figures")
    drawn = json.loads(figures.DRAWN.read_text())
    shown = {}
    for page in figures.pages():
        assert shown.keys().isdisjoint(figures.digests(page)), page.name
        shown |= figures.digests(page)
    stale = [name for name, digest in shown.items() if drawn.get(name) != digest]
    assert stale == [], f"run python docs/_figures.py PAGE for the pages of {stale}"
    assert sorted(drawn) == sorted(shown) == sorted(path.name for path in figures.FOLDER.glob("*.png"))


def test_the_diagram_of_the_landing_page_is_that_of_the_text():
    from stagecraft.board.draw import svg

    drawn = svg(stagecraft.load(ROOT / "examples/cons_indshock/cons_indshock.yml")[0]["CONS"].board)
    assert (DOCS / "figures" / "cons.svg").read_text() == drawn + "\n"


def test_every_page_stands_in_one_table_of_contents_and_its_links_lead_somewhere():
    listed = []
    for page in PAGES:
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), flags=re.M | re.S):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed += [name_of(page.parent / f"{name}.md") for name in names]
        for link, place in re.findall(r"\]\(([\w./-]+\.md)(#[\w-]+)?\)", page.read_text()):
            target = page.parent / link
            assert target.exists(), f"{page.name}: {link}"
            heads = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.M)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert not place or place[1:] in slugs, f"{page.name}: {link}{place}"
    assert sorted(listed) == sorted(name_of(page) for page in PAGES if page.name != "index.md" or page.parent != DOCS)


def test_nothing_shown_is_wider_than_the_page():
    for page in PAGES:
        for language, text in blocks(page):
            # A diagnostic is one line by nature; the style sheet breaks it.
            lines = [line for line in text.splitlines() if "`" not in line]
            if language == "text":
                assert max(map(len, lines), default=0) <= 96, f"{page.name}: {text}"


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    # Notebooks, and pages that another test runs, are laid out here and not run once more.
    environment = {**os.environ, "DYNX_RUN_ELSEWHERE": "notebooks/* distributions.md"}
    command = [sys.executable, "-m", "sphinx", "-W", "-b", "html", str(DOCS), str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for page in BUILT:  # Nothing but cells, which the build runs.
        assert {language for language, _ in blocks(DOCS / f"{page}.md")} == {"{code-cell}"}
    for page in PAGES:
        text = (tmp_path / "html" / f"{name_of(page)}.html").read_text()
        assert len(text) > 2_000
        # No network is needed: scripts, styles, fonts and pictures come from here.
        assert (
            re.findall(r"<(?:script|img|source)[^>]* src=\"(?:https?:)?//[^\"]*|<link[^>]* href=\"(?:https?:)?//[^\"]*", text)
            == []
        )
    whole = (tmp_path / "html" / "llms-full.txt").read_text()
    assert whole == from_docs("_llms").whole() and not re.search(r"<!-- api |\{toctree\}|\{include\}", whole)
