"""What the documentation shows runs, prints what it says, and lists every key and every error that there is."""

import ast
import contextlib
import importlib
import io
import re
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import pytest
import yaml

import heptapod
import stagecraft

matplotlib.use("Agg")
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LANGUAGE = (DOCS / "language.md").read_text()
FENCE = re.compile(r"^```(\{code-cell\}|\w+)[^\n]*\n(.*?)^```", flags=re.M | re.S)
# Blocks whose entries are replaced one by one when a fragment is put into a model; elsewhere blocks are merged.
ENTRIES = {"parameters", "settings", "definitions", "functions", "controls", "shocks", "grid"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of every fenced block; a hidden cell is for the notebook's kernel only."""
    found = FENCE.findall(page.read_text())
    return [(language, text) for language, text in found if not text.startswith(":tags: [remove-cell]")]


def yaml_blocks() -> list[str]:
    return [text for language, text in blocks(DOCS / "language.md") if language == "yaml"]


def is_whole(text: str) -> bool:
    """Whole models say their dialect first."""
    return text.startswith("dialect:")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
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
        deeper = isinstance(value, dict) and isinstance(old, dict) and inside not in ENTRIES
        out[key] = merged(old, value, key) if deeper else value
    return out


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_whole_models_can_be_read(page):
    for language, text in blocks(page):
        if language == "yaml" and is_whole(text):
            assert all(stage.num.method == "egm" for stage in heptapod.load(text).stages.values())


@pytest.mark.parametrize("number", range(len(yaml_blocks()) - 1))
def test_fragments_fit_into_the_model_of_their_page(number):
    whole, *fragments = yaml_blocks()
    assert is_whole(whole) and not any(is_whole(f) for f in fragments)
    model = merged(yaml.safe_load(whole), yaml.safe_load(fragments[number]))
    spec = heptapod.load(yaml.safe_dump(model, sort_keys=False))
    assert not spec.structure.stages[0].reason


HERE = {
    "the file": [],
    "`model`": ["model"],
    "`connections`": ["model", "connections"],
    "a connection": ["model", "connections", "inter_period", 0],
    "`stage`": ["stage"],
    "`math`": ["stage", "math"],
    "`controls`": ["stage", "math", "controls"],
    "`methods`": ["stage", "methods"],
    "a shock": ["stage", "math", "shocks", "income"],
    "a grid": ["stage", "math", "state_space", "cntn", "grid", "a_nxt"],
    "a perch": ["stage", "math", "state_space", "arvl"],
}


def unread() -> list[tuple[str, str, str]]:
    """(place, key or word, error) of every row of the table "Not read yet"."""
    table = LANGUAGE.split("## Not read yet")[1]
    rows = re.findall(r"^\| (.*?) \| (`.*?) \| .*? \| `([\w-]+)` \|$", table, flags=re.M)
    return [(place, word, code) for place, words, code in rows for word in re.findall(r"`([^`]+)`", words)]


@pytest.mark.parametrize(("place", "word", "code"), unread())
def test_what_is_said_not_to_be_read_is_refused(place, word, code):
    model = yaml.safe_load(yaml_blocks()[0])
    key, _, value = word.partition(": ")
    at(model, HERE[place])[key] = yaml.safe_load(value) if value else {"X": {}}
    if key == "stages":
        model = {"model": model["model"], "stages": {"CONS": model["stage"], "MORE": model["stage"]}}
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(yaml.safe_dump(model))
    assert code in {d.code for d in caught.value.diagnostics}, str(caught.value)


def at(node, path: list):
    """What stands at a path, empty blocks included."""
    for step in path:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    return node


def test_every_error_code_has_a_line():
    """Codes are the first argument of whatever reports an error."""
    reports = {"error", "warning", "note", "fail", "Refusal", "Diagnostic", "_Refused"}
    used = set()
    for path in (ROOT / "heptapod").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "attr", getattr(node.func, "id", None))
                if name in reports and isinstance(node.args[0].value, str):
                    used.add(node.args[0].value)
    table = LANGUAGE.split("| code | what is wrong |")[1].split("## Not read yet")[0]
    listed = {code for row in re.findall(r"^\| (`.*?) \|", table, flags=re.M) for code in re.findall(r"`([\w-]+)`", row)}
    assert listed == used


READ = [
    *HERE.values(),
    ["model", "age"],
    ["model", "defaults"],
    ["stage", "math", "functions"],
    ["stage", "parameters", "gamma"],
    ["stage", "math", "shocks", "job"],
    ["stage", "math", "state_space"],
]
READ.remove(HERE["`controls`"])


@pytest.mark.parametrize("place", READ, ids=lambda p: ".".join(map(str, p)) or "top")
def test_every_key_that_is_read_is_listed(place):
    """The error for an unknown key lists the known ones; each stands on the page."""
    model = yaml.safe_load(yaml_blocks()[0])
    at(model, place)["qqqqqq"] = {}
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(yaml.safe_dump(model))
    (found,) = [d for d in caught.value.diagnostics if d.code == "unknown-key"]
    keys = re.search(r"(?:keys|equations) are ([\w, ]+)", found.help)[1].split(", ")
    assert [k for k in keys if not re.search(rf"`(?:\w+\.)*{k}`", LANGUAGE)] == []


def test_every_built_in_function_and_word_is_listed():
    from heptapod.builtins import BUILTINS

    assert [name for name in BUILTINS if f"`{name}(" not in LANGUAGE] == []
    text = yaml_blocks()[0]
    for old, new in (("type: exp", "type: qqqqqq"), ("shock_method: lognormal", "shock_method: qqqqqq")):
        with pytest.raises(heptapod.ModelError) as caught:
            heptapod.load(text.replace(old, new))
        words = caught.value.help.removeprefix("one of ").split(", ")
        assert len(words) > 2 and [w for w in words if f"`{w}`" not in LANGUAGE] == []


def test_every_outcome_is_listed():
    for page in ("concepts", "glossary"):
        text = (DOCS / f"{page}.md").read_text()
        assert [outcome.name for outcome in stagecraft.Outcome if f"`{outcome.name}`" not in text] == []


def test_every_public_name_is_described():
    """The API page takes them from the packages; what it makes of them holds each name and its docstring."""
    sys.path.insert(0, str(DOCS))
    try:
        api = importlib.import_module("_api")
    finally:
        sys.path.remove(str(DOCS))
    page = [(DOCS / "api.md").read_text()]
    api.insert(None, "api", page)
    assert "<!-- api" not in page[0]
    for package in ("heptapod", "stagecraft", "dynx_runner"):
        public = api.public(importlib.import_module(package))
        assert public
        for name, thing in public.items():
            assert f"}} {package}.{name}" in page[0], name
            assert thing.__doc__.splitlines()[0] in page[0], name


def test_figures_stand_where_pages_look_for_them():
    for page in PAGES:
        for name in re.findall(r"^:file: (\S+)$", page.read_text(), flags=re.M):
            text = (DOCS / name).read_text()
            assert text.startswith("<svg ") and text.rstrip().endswith("</svg>")


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning_in_under_three_minutes(tmp_path):
    start = time.perf_counter()
    command = [sys.executable, "-m", "sphinx", "-W", "-b", "html", str(DOCS), str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for page in PAGES:
        assert (tmp_path / "html" / f"{page.stem}.html").stat().st_size > 2_000
    assert time.perf_counter() - start < 180
